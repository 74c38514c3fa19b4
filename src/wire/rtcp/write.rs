//! Writing compounds.

use super::{Chunk, Delay, Feedback, Remb, ReportBlock, SenderInfo, extended, format, kind, twcc};
use crate::units::Bitrate;
use crate::wire::bytes::Out;
use crate::wire::id::{Seq16, Ssrc};

/// Appends packets to a compound in a caller's buffer. Each method returns whether there was room; if there was none, or
/// the arguments cannot be said in RTCP, the compound stays as it was.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Begins at the front of `buf`.
    pub const fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Bytes written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A sender report with up to 31 blocks.
    pub fn sender_report(&mut self, ssrc: Ssrc, info: &SenderInfo, blocks: &[ReportBlock]) -> bool {
        self.packet(kind::SENDER_REPORT, count(blocks.len()), |out| {
            out.u32(ssrc.0)?;
            out.put(&info.ntp.to_be_bytes())?;
            out.u32(info.ts.0)?;
            out.u32(info.packets)?;
            out.u32(info.bytes)?;
            blocks.iter().try_for_each(|block| put_block(out, block))
        })
    }

    /// A receiver report with up to 31 blocks.
    pub fn receiver_report(&mut self, ssrc: Ssrc, blocks: &[ReportBlock]) -> bool {
        self.packet(kind::RECEIVER_REPORT, count(blocks.len()), |out| {
            out.u32(ssrc.0)?;
            blocks.iter().try_for_each(|block| put_block(out, block))
        })
    }

    /// A source description with a CNAME of up to 255 bytes.
    pub fn cname(&mut self, ssrc: Ssrc, cname: &[u8]) -> bool {
        self.packet(kind::SDES, Some(1), |out| {
            let start = out.len();
            out.u32(ssrc.0)?;
            out.put(&[Chunk::CNAME, u8::try_from(cname.len()).ok()?])?;
            out.put(cname)?;
            // At least one zero byte ends the items.
            out.u8(0)?;
            out.align(start)
        })
    }

    /// A goodbye of up to 31 sources, with a reason of up to 255 bytes unless it is empty.
    pub fn bye(&mut self, ssrcs: &[Ssrc], reason: &str) -> bool {
        self.packet(kind::BYE, count(ssrcs.len()), |out| {
            let start = out.len();
            ssrcs.iter().try_for_each(|ssrc| out.u32(ssrc.0))?;
            if !reason.is_empty() {
                out.u8(u8::try_from(reason.len()).ok()?)?;
                out.put(reason.as_bytes())?;
            }
            out.align(start)
        })
    }

    /// A receiver's time (RFC 3611 section 4.4).
    pub fn receiver_time(&mut self, ssrc: Ssrc, ntp: u64) -> bool {
        self.packet(kind::EXTENDED, Some(0), |out| {
            out.u32(ssrc.0)?;
            out.put(&[extended::RECEIVER_TIME, 0, 0, 2])?;
            out.put(&ntp.to_be_bytes())
        })
    }

    /// How long ago a receiver's time came (RFC 3611 section 4.5).
    pub fn delay(&mut self, ssrc: Ssrc, delay: &Delay) -> bool {
        self.packet(kind::EXTENDED, Some(0), |out| {
            out.u32(ssrc.0)?;
            out.put(&[extended::DELAY, 0, 0, 3])?;
            out.u32(delay.ssrc.0)?;
            out.u32(delay.last_rr)?;
            out.u32(delay.since)
        })
    }

    /// A NACK of these packets, best in ascending order: neighbours share four bytes.
    /// Without any packet nothing is written and the answer is `true`.
    pub fn nack(&mut self, sender: Ssrc, media: Ssrc, seqs: impl IntoIterator<Item = Seq16>) -> bool {
        let mut seqs = seqs.into_iter();
        let Some(Seq16(mut first)) = seqs.next() else { return true };
        let mut mask = 0u16;
        self.packet(kind::TRANSPORT_FEEDBACK, Some(format::NACK), |out| {
            out.u32(sender.0)?;
            out.u32(media.0)?;
            for Seq16(seq) in seqs {
                match seq.wrapping_sub(first) {
                    0 => {}
                    n @ 1..=16 => mask |= 1 << (n - 1),
                    _ => {
                        out.u16(first)?;
                        out.u16(mask)?;
                        (first, mask) = (seq, 0);
                    }
                }
            }
            out.u16(first)?;
            out.u16(mask)
        })
    }

    /// A picture loss indication.
    pub fn pli(&mut self, sender: Ssrc, media: Ssrc) -> bool {
        self.packet(kind::PAYLOAD_FEEDBACK, Some(format::PLI), |out| {
            out.u32(sender.0)?;
            out.u32(media.0)
        })
    }

    /// A full intra request to one source; `number` grows by one with each new request.
    pub fn fir(&mut self, sender: Ssrc, media: Ssrc, number: u8) -> bool {
        self.packet(kind::PAYLOAD_FEEDBACK, Some(format::FIR), |out| {
            out.u32(sender.0)?;
            // RFC 5104 section 4.3.1.2: the media source of the common part is 0.
            out.u32(0)?;
            out.u32(media.0)?;
            out.put(&[number, 0, 0, 0])
        })
    }

    /// A bound on the bitrate of up to 255 sources together, rounded down to 18 significant bits.
    pub fn remb(&mut self, sender: Ssrc, bitrate: Bitrate, ssrcs: &[Ssrc]) -> bool {
        self.packet(kind::PAYLOAD_FEEDBACK, Some(format::APPLICATION), |out| {
            let bps = bitrate.as_bps();
            let exponent = (u64::BITS - bps.leading_zeros()).saturating_sub(18);
            let mantissa = (bps >> exponent) as u32;
            out.u32(sender.0)?;
            out.u32(0)?;
            out.put(Remb::NAME)?;
            out.u32(u32::from(u8::try_from(ssrcs.len()).ok()?) << 24 | exponent << 18 | mantissa)?;
            ssrcs.iter().try_for_each(|ssrc| out.u32(ssrc.0))
        })
    }

    /// Transport-wide feedback on the packets from `feedback.base` on: each one's delta in units of 250 us to the one
    /// received before it (the first: to the reference), or `None` if it was not received.
    pub fn twcc(
        &mut self,
        feedback: &Feedback,
        statuses: impl IntoIterator<Item = Option<i16>, IntoIter: Clone>,
    ) -> bool {
        let statuses = statuses.into_iter();
        self.packet(kind::TRANSPORT_FEEDBACK, Some(format::TWCC), |out| {
            let start = out.len();
            twcc::write(out, feedback, statuses)?;
            // Without the P bit: a reader knows from the chunks where the deltas end.
            out.align(start)
        })
    }

    /// One packet: its header, what `body` writes, and then the length.
    fn packet(&mut self, kind: u8, count: Option<u8>, body: impl FnOnce(&mut Out<'_>) -> Option<()>) -> bool {
        let start = self.len;
        let mut out = Out::new(self.buf, start);
        let write = || {
            out.put(&[0x80 | count?, kind])?;
            out.u16(0)?;
            body(&mut out)?;
            let words = u16::try_from((out.len() - start) / 4 - 1).ok()?;
            out.set_u16(start + 2, words)?;
            Some(out.len())
        };
        match write() {
            Some(end) => {
                self.len = end;
                true
            }
            None => false,
        }
    }
}

/// Counts are of five bits.
fn count(len: usize) -> Option<u8> {
    u8::try_from(len).ok().filter(|n| *n < 32)
}

fn put_block(out: &mut Out<'_>, block: &ReportBlock) -> Option<()> {
    // RFC 3550 appendix A.3: what does not fit into 24 bits with sign is cut at the limit.
    let lost = block.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
    out.u32(block.ssrc.0)?;
    out.u32(u32::from(block.fraction_lost) << 24 | lost)?;
    out.u32(block.highest_seq)?;
    out.u32(block.jitter)?;
    out.u32(block.last_sr)?;
    out.u32(block.delay_since_sr)
}
