//! Packets on a byte stream, as ICE over TCP carries them (RFC 4571 section 2, RFC 6544 section 3): each after its length
//! in two bytes.

/// The longest packet that is taken: more than any path carries in a datagram, and so than a peer has reason to send.
pub const LONGEST: usize = 2048;
/// Bytes before each packet.
pub const HEADER: usize = 2;

/// The stream is no sequence of packets: it cannot be found again where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// What stands before a packet of `len` bytes; `None` for one that nobody sends.
pub fn header(len: usize) -> Option<[u8; HEADER]> {
    u16::try_from(len).ok().filter(|_| (1..=LONGEST).contains(&len)).map(u16::to_be_bytes)
}

/// Finds the packets in what a stream brings. Only a packet that comes in pieces is copied, into room that is there from
/// the beginning.
#[derive(Debug)]
pub struct Decoder {
    /// The beginning of a packet, with its length.
    partial: Box<[u8; HEADER + LONGEST]>,
    filled: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { partial: Box::new([0; HEADER + LONGEST]), filled: 0 }
    }
}

impl Decoder {
    /// Takes what came, and hands each whole packet to `each`, which may change it in place. Empty ones say nothing.
    pub fn take(&mut self, mut bytes: &mut [u8], each: &mut impl FnMut(&mut [u8])) -> Result<(), TooLong> {
        while self.filled > 0 && !bytes.is_empty() {
            let wanted = length(self.partial.get(..self.filled).unwrap_or_default())?;
            let wanted = wanted.map_or(HEADER, |len| HEADER + len);
            let (now, later) = bytes.split_at_mut(bytes.len().min(wanted - self.filled));
            if let Some(room) = self.partial.get_mut(self.filled..self.filled + now.len()) {
                room.copy_from_slice(now);
            }
            self.filled += now.len();
            bytes = later;
            let whole = length(self.partial.get(..self.filled).unwrap_or_default())?;
            if let Some(len) = whole
                && self.filled == HEADER + len
            {
                self.filled = 0;
                hand_over(self.partial.get_mut(HEADER..HEADER + len), each);
            }
        }
        while let Some(len) = length(bytes)? {
            if bytes.len() < HEADER + len {
                break;
            }
            let (now, later) = bytes.split_at_mut(HEADER + len);
            hand_over(now.get_mut(HEADER..), each);
            bytes = later;
        }
        if let Some(room) = self.partial.get_mut(..bytes.len())
            && !bytes.is_empty()
        {
            room.copy_from_slice(bytes);
            self.filled = bytes.len();
        }
        Ok(())
    }
}

/// The length of the packet with which `bytes` begin, if they say that much.
const fn length(bytes: &[u8]) -> Result<Option<usize>, TooLong> {
    match bytes {
        [high, low, ..] => {
            let len = (*high as usize) << 8 | *low as usize;
            if len > LONGEST { Err(TooLong) } else { Ok(Some(len)) }
        }
        _ => Ok(None),
    }
}

fn hand_over(packet: Option<&mut [u8]>, each: &mut impl FnMut(&mut [u8])) {
    if let Some(packet) = packet.filter(|packet| !packet.is_empty()) {
        each(packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(packets: &[&[u8]]) -> Vec<u8> {
        let framed = |packet: &&[u8]| [&header(packet.len()).expect("a length")[..], packet].concat();
        packets.iter().flat_map(framed).collect()
    }

    #[test]
    fn packets_are_found_wherever_the_stream_is_cut() {
        let (long, packets) = (vec![7; LONGEST], [&[1][..], &[2, 3], &[9; 300]]);
        let packets: Vec<&[u8]> = packets.into_iter().chain([&long[..], &[4; 5]]).collect();
        let whole = stream(&packets);
        for piece in [1, 2, 3, 5, 299, 301, 2049, whole.len()] {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for part in whole.clone().chunks_mut(piece) {
                decoder.take(part, &mut |packet| found.push(packet.to_vec())).expect("a stream of packets");
            }
            assert_eq!(found, packets, "cut every {piece} bytes");
        }
    }

    #[test]
    fn empty_packets_are_passed_over() {
        let mut found = Vec::new();
        let bytes = &mut [0, 0, 0, 0, 0, 1, 5, 0];
        Decoder::default()
            .take(bytes, &mut |packet| found.push(packet.to_vec()))
            .expect("a stream of packets");
        assert_eq!(found, [[5]]);
    }

    #[test]
    fn a_longer_packet_than_anybody_sends_is_refused_whole_or_in_pieces() {
        let [high, low] = (LONGEST as u16 + 1).to_be_bytes();
        assert_eq!(Decoder::default().take(&mut [high, low, 1], &mut |_| {}), Err(TooLong));
        let mut decoder = Decoder::default();
        assert_eq!(decoder.take(&mut [high], &mut |_| {}), Ok(()));
        assert_eq!(decoder.take(&mut [low], &mut |_| {}), Err(TooLong));
        assert_eq!((header(0), header(LONGEST + 1)), (None, None));
    }
}
