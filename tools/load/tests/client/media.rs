//! A publisher and a viewer over a bridge that opens and seals again, and loses what the test wants lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace::wire::demux::{Kind, classify};
use millrace::wire::id::{Seq, Ssrc};
use millrace::wire::payload::{self, Codec};
use millrace::wire::rtcp::{self, Packet};
use millrace::wire::rtp::View;
use millrace_load::drive::Media;
use millrace_load::identity::{certificate, fingerprint};
use millrace_load::peer::{Peer, Received, random_credentials};
use millrace_load::publisher::Publisher;
use millrace_load::sdp::{self, OPUS, Ours, VP8, VP8_RTX};
use millrace_load::viewer::{Viewer, Window};
use millrace_load::webinar::plan;

use crate::lite::{Lite, connect};

/// A client and the end that it is connected to.
struct End<M> {
    media: M,
    peer: Peer,
    lite: Lite,
    indices: HashMap<Ssrc, Seq>,
}

impl<M: Media> End<M> {
    fn new(now: Instant, media: M) -> Self {
        let (peer, lite) = connect(now);
        Self { media, peer, lite, indices: HashMap::new() }
    }

    /// What it sends now, in plain.
    fn collect(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.peer.handle_timeout(now).expect("it goes on");
        self.media.poll(now, &mut self.peer);
        let mut plain = Vec::new();
        while let Some(mut datagram) = self.peer.poll_transmit() {
            let (_, opener) = self.lite.media.as_mut().expect("connected");
            let len = match classify(&datagram) {
                Some(Kind::Rtp) => opener.open_rtp(&mut datagram).expect("authentic"),
                Some(Kind::Rtcp) => opener.open_rtcp(&mut datagram).expect("authentic"),
                _ => {
                    for mut answer in self.lite.take(now, &datagram) {
                        self.peer.handle_datagram(now, &mut answer).expect("it goes on");
                    }
                    continue;
                }
            };
            datagram.truncate(len);
            plain.push(datagram);
        }
        plain
    }

    /// Gives it what the other one sent.
    fn deliver(&mut self, now: Instant, plain: &[u8]) {
        let (sealer, _) = self.lite.media.as_mut().expect("connected");
        let mut datagram = plain.to_vec();
        datagram.resize(plain.len() + 40, 0);
        let sealed = match View::parse(plain).ok().filter(|_| classify(plain) == Some(Kind::Rtp)) {
            Some(view) => {
                let index = self.indices.entry(view.ssrc()).or_insert_with(|| Seq(view.seq().0.into()));
                *index = index.nearest(view.seq());
                sealer.seal_rtp(&mut datagram, plain.len(), view.header_len(), *index, view.ssrc())
            }
            None => sealer.seal_rtcp(&mut datagram, plain.len()),
        };
        datagram.truncate(sealed.expect("room"));
        match self.peer.handle_datagram(now, &mut datagram).expect("it goes on") {
            Received::Rtp(len) => self.media.rtp(now, &datagram[..len]),
            Received::Rtcp(len) => self.media.rtcp(now, &datagram[..len]),
            Received::Nothing => panic!("media was sent"),
        }
    }

    fn next(&self) -> Option<Instant> {
        self.peer.poll_timeout().into_iter().chain(self.media.poll_timeout()).min()
    }
}

/// What the bridge saw.
#[derive(Default)]
struct Seen {
    video: usize,
    audio: usize,
    keyframes: usize,
    retransmissions: usize,
    feedbacks: usize,
    reports: usize,
    worst_fraction: u8,
}

struct Bridge {
    now: Instant,
    publisher: End<Publisher>,
    viewer: End<Viewer>,
    seen: Seen,
}

impl Bridge {
    fn new() -> Self {
        let now = Instant::now();
        let mut publisher = Publisher::new(now, plan(1920, 1200, 8, false, true));
        let certificate = certificate().expect("a certificate");
        let (ice, print) = (random_credentials(), fingerprint(&certificate));
        let (audio, video) = publisher.offered();
        let mut offer = sdp::offer(&Ours { ice: &ice, fingerprint: &print }, audio, &video);
        // A bridge changes nothing, so the viewer may read the publisher's offer as if it were the server's.
        offer.push_str("a=candidate:1 1 udp 1 127.0.0.1 4433 typ host\r\n");
        let offered = sdp::read_offer(&offer).expect("readable");
        publisher.negotiated(offered.extensions);
        let window = Arc::new(Window::default());
        window.open(0);
        let viewer = Viewer::new(now, offered, window);
        Self {
            now,
            publisher: End::new(now, publisher),
            viewer: End::new(now, viewer),
            seen: Seen::default(),
        }
    }

    /// Runs for `length`; `lose` decides about the n-th RTP packet of the publisher in this run.
    fn run(&mut self, length: Duration, mut lose: impl FnMut(usize) -> bool) {
        let end = self.now + length;
        let mut n = 0;
        while self.now < end {
            for packet in self.publisher.collect(self.now) {
                if classify(&packet) == Some(Kind::Rtp) {
                    n += 1;
                    self.look_at(&packet);
                    if lose(n) {
                        continue;
                    }
                }
                self.viewer.deliver(self.now, &packet);
            }
            for compound in self.viewer.collect(self.now) {
                self.look_at_feedback(&compound);
                self.publisher.deliver(self.now, &compound);
            }
            let next = self.publisher.next().into_iter().chain(self.viewer.next()).min();
            self.now = next.unwrap_or(end).max(self.now + Duration::from_micros(100));
        }
    }

    fn look_at(&mut self, packet: &[u8]) {
        let view = View::parse(packet).expect("RTP");
        match view.pt() {
            VP8 => {
                self.seen.video += 1;
                assert!(packet.len() <= 1200 && packet.len() > 1180, "{}", packet.len());
                self.seen.keyframes += usize::from(payload::inspect(Codec::Vp8, view.payload()).keyframe);
            }
            VP8_RTX => self.seen.retransmissions += 1,
            OPUS => self.seen.audio += 1,
            other => panic!("{other:?}"),
        }
    }

    fn look_at_feedback(&mut self, compound: &[u8]) {
        for packet in rtcp::packets(compound).expect("a valid compound") {
            match packet {
                Packet::Twcc(twcc) => {
                    self.seen.feedbacks += 1;
                    assert!(!twcc.is_empty());
                }
                Packet::ReceiverReport(report) => {
                    for block in report.blocks() {
                        self.seen.reports += 1;
                        self.seen.worst_fraction = self.seen.worst_fraction.max(block.fraction_lost);
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn an_undisturbed_viewer_gets_everything_once_and_reports_as_a_browser_does() {
    let mut bridge = Bridge::new();
    bridge.run(Duration::from_secs(10), |_| false);
    let (seen, tally) = (&bridge.seen, bridge.viewer.media.tally());
    assert!((1990..=2010).contains(&seen.video), "200 a second: {}", seen.video);
    assert!((495..=505).contains(&seen.audio), "50 a second: {}", seen.audio);
    assert_eq!(tally.counted as usize, seen.video);
    assert_eq!((tally.lost, tally.asked, tally.doubled, tally.jumps, tally.requests), (0, 0, 0, 0, 0));
    assert_eq!((tally.keyframes, seen.keyframes), (1, 1), "the first frame");
    assert!((190..=200).contains(&seen.feedbacks), "20 a second: {}", seen.feedbacks);
    assert!((16..=20).contains(&seen.reports), "of two streams, once a second: {}", seen.reports);
    assert_eq!(seen.worst_fraction, 0);
}

#[test]
fn what_is_lost_is_asked_for_and_repaired() {
    let mut bridge = Bridge::new();
    bridge.run(Duration::from_secs(10), |n| n % 17 == 7);
    bridge.run(Duration::from_secs(2), |_| false);
    let (seen, tally) = (&bridge.seen, bridge.viewer.media.tally());
    assert!(tally.repaired > 50 && tally.asked >= tally.repaired, "{tally:?} {}", seen.retransmissions);
    assert!(seen.retransmissions as u64 >= tally.repaired);
    assert_eq!(tally.counted as usize, seen.video, "in the end everything came");
    // Sound is not repaired.
    assert!(tally.lost <= 30, "{}", tally.lost);
    assert!(seen.worst_fraction >= 5, "about a seventeenth of 256: {}", seen.worst_fraction);
}

#[test]
fn without_a_keyframe_one_is_asked_for() {
    let mut bridge = Bridge::new();
    bridge.run(Duration::from_millis(300), |_| true);
    bridge.run(Duration::from_secs(3), |_| false);
    let tally = bridge.viewer.media.tally();
    assert!(tally.requests >= 1 && tally.keyframes == 1, "{} {}", tally.requests, tally.keyframes);
    assert!(tally.requests <= 2, "not asked again once it comes");
}
