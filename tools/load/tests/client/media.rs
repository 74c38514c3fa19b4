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
use millrace_load::measure::{Count, Meter, Timed, Window};
use millrace_load::peer::{Peer, Received, random_credentials};
use millrace_load::publisher::{Plan, Publisher, Video};
use millrace_load::scenario::Publishing;
use millrace_load::sdp::{self, H264, H264_RTX, OPUS, Ours, VP8, VP8_RTX};
use millrace_load::viewer::{Tally, Viewer};

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
        if classify(&datagram) == Some(Kind::Rtp) && self.media.sealed(now, &datagram) {
            return;
        }
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
    largest: usize,
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
    meter: Arc<Meter>,
}

impl Bridge {
    /// `checks`: whether the viewer opens and checks everything.
    fn new(checks: bool) -> Self {
        Self::of(Publishing { simulcast: false, ..Publishing::default() }, checks)
    }

    fn of(publishing: Publishing, checks: bool) -> Self {
        Self::planned(publishing.plan(), checks)
    }

    fn planned(plan: Plan, checks: bool) -> Self {
        let now = Instant::now();
        let window = Arc::new(Window::default());
        window.open(now);
        let meter = Arc::new(Meter::new(window));
        let mut publisher = Publisher::new(now, plan, 7, meter.clone());
        let certificate = certificate().expect("a certificate");
        let (ice, print) = (random_credentials(), fingerprint(&certificate));
        let mut offer = sdp::offer(&Ours::new(&ice, &print), &publisher.offered());
        // A bridge changes nothing, so the viewer may read the publisher's offer as if it were the server's.
        offer.push_str("a=candidate:1 1 udp 1 127.0.0.1 4433 typ host\r\n");
        let offered = sdp::read_offer(&offer).expect("readable");
        publisher.negotiated(offered.extensions);
        let viewer = Viewer::new(now, offered, meter.clone(), checks);
        Self {
            now,
            publisher: End::new(now, publisher),
            viewer: End::new(now, viewer),
            seen: Seen::default(),
            meter,
        }
    }

    fn tally(&mut self) -> Tally {
        let now = self.now;
        self.viewer.media.tally(now)
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
            VP8 | H264 => {
                let h264 = Codec::H264 { profile: 0x42e0, packetization_mode: 1 };
                let codec = if view.pt() == VP8 { Codec::Vp8 } else { h264 };
                self.seen.video += 1;
                self.seen.largest = self.seen.largest.max(packet.len());
                self.seen.keyframes += usize::from(payload::inspect(codec, view.payload()).keyframe);
            }
            VP8_RTX | H264_RTX => self.seen.retransmissions += 1,
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
    for checks in [true, false] {
        let mut bridge = Bridge::new(checks);
        bridge.run(Duration::from_secs(10), |_| false);
        let counts = bridge.tally().all;
        let seen = &bridge.seen;
        assert!((1990..=2010).contains(&seen.video), "200 a second: {}", seen.video);
        assert!((1180..=1200).contains(&seen.largest), "{}", seen.largest);
        assert!((495..=505).contains(&seen.audio), "50 a second: {}", seen.audio);
        assert_eq!(counts.get(Count::Media) as usize, seen.video + seen.audio);
        let none = [Count::Lost, Count::Asked, Count::Doubled, Count::Jumps, Count::Requests, Count::Freezes];
        assert_eq!(none.map(|what| counts.get(what)), [0; 6]);
        assert_eq!((counts.get(Count::Keyframes), seen.keyframes), (1, 1), "the first frame");
        assert_eq!(counts.get(Count::Frames) as usize, seen.video / 8);
        assert!((190..=200).contains(&seen.feedbacks), "20 a second: {}", seen.feedbacks);
        assert!((16..=20).contains(&seen.reports), "of two streams, once a second: {}", seen.reports);
        assert_eq!(seen.worst_fraction, 0);
        let checked = if checks { counts.get(Count::Frames) } else { 0 };
        assert_eq!((counts.get(Count::Checked), counts.get(Count::Broken)), (checked, 0));
        let latency = bridge.meter.timings();
        assert_eq!(latency.of(Timed::Latency).len(), counts.get(Count::Frames), "of every frame");
    }
}

#[test]
fn what_is_lost_is_asked_for_and_repaired() {
    for checks in [true, false] {
        let mut bridge = Bridge::new(checks);
        bridge.run(Duration::from_secs(10), |n| n % 17 == 7);
        bridge.run(Duration::from_secs(2), |_| false);
        let counts = bridge.tally().all;
        let seen = &bridge.seen;
        let get = |what| counts.get(what);
        assert!(get(Count::Repaired) > 50 && get(Count::Asked) >= get(Count::Repaired), "{counts:?}");
        assert!(seen.retransmissions as u64 >= get(Count::Repaired));
        // Sound is not repaired.
        assert!(get(Count::Lost) <= 30, "{}", get(Count::Lost));
        let media = get(Count::Media) + get(Count::Lost);
        assert!(media.abs_diff((seen.video + seen.audio) as u64) <= 3, "in the end every picture came");
        assert!(seen.worst_fraction >= 5, "about a seventeenth of 256: {}", seen.worst_fraction);
        assert_eq!(get(Count::Broken), 0, "what was repaired is as it was sent");
        let windowed = bridge.tally().window;
        assert!(
            windowed.get(Count::Expected) > 2300 && windowed.loss() < Some(0.002),
            "nothing of the picture: {windowed:?}"
        );
    }
}

#[test]
fn what_never_comes_is_counted_as_lost_by_the_stamps() {
    let mut bridge = Bridge::new(false);
    bridge.run(Duration::from_secs(5), |_| false);
    // The server fell silent for a while, which no hole in its numbers would tell.
    let mut silent = 0..1500;
    bridge.run(Duration::from_secs(10), |_| silent.next().is_some());
    let counts = bridge.tally().window;
    let loss = counts.loss().expect("known");
    assert!((0.39..0.41).contains(&loss), "1200 of 3000 packets: {loss}");
    assert!(counts.get(Count::Freezes) >= 1 && counts.get(Count::FrozenMs) > 1000);
}

#[test]
fn what_was_not_asked_for_is_not_lost() {
    let mut bridge = Bridge::new(false);
    bridge.run(Duration::from_secs(5), |_| false);
    // The tile showed somebody else for a while, and has now come back to this stream.
    let mut elsewhere = 0..1500;
    bridge.run(Duration::from_secs(5), |_| elsewhere.next().is_some());
    bridge.viewer.media.asks_anew();
    bridge.run(Duration::from_secs(5), |_| false);
    let loss = bridge.tally().window.loss().expect("known");
    assert!(loss < 0.001, "{loss}");
}

#[test]
fn without_a_keyframe_one_is_asked_for() {
    let mut bridge = Bridge::new(false);
    bridge.run(Duration::from_millis(300), |_| true);
    bridge.run(Duration::from_secs(3), |_| false);
    let counts = bridge.tally().all;
    let (requests, keyframes) = (counts.get(Count::Requests), counts.get(Count::Keyframes));
    assert!(requests >= 1 && keyframes == 1, "{requests} {keyframes}");
    assert!(requests <= 2, "not asked again once it comes");
}

#[test]
fn where_nobody_can_ask_keyframes_come_by_themselves() {
    let publishing = Publishing { simulcast: false, audio: false, ..Publishing::default() };
    let plan = Plan { key_every: Some(Duration::from_secs(1)), ..publishing.plan() };
    let mut bridge = Bridge::planned(plan, true);
    bridge.run(Duration::from_millis(5500), |_| false);
    assert_eq!(bridge.seen.keyframes, 6, "at once and once a second");
}

#[test]
fn encoded_frames_arrive_as_they_were_sent_also_when_packets_are_lost() {
    for media in [Video::Vp8, Video::H264] {
        let mut bridge = Bridge::of(Publishing { media, simulcast: false, ..Publishing::default() }, true);
        bridge.run(Duration::from_secs(4), |_| false);
        bridge.run(Duration::from_secs(4), |n| n % 29 == 3);
        bridge.run(Duration::from_secs(2), |_| false);
        let counts = bridge.tally().all;
        let get = |what| counts.get(what);
        assert!(get(Count::Frames) >= 240, "25 a second: {media:?} {counts:?}");
        assert_eq!((get(Count::Checked), get(Count::Broken)), (get(Count::Frames), 0), "{media:?}");
        assert!(get(Count::Repaired) > 10 && bridge.seen.largest <= 1200);
        if media == Video::Vp8 {
            assert_eq!(get(Count::Keyframes), 1, "nobody asked for another");
        }
    }
}

#[test]
fn a_frame_that_was_tampered_with_is_found() {
    let mut bridge = Bridge::of(
        Publishing { media: Video::Vp8, simulcast: false, audio: false, ..Publishing::default() },
        true,
    );
    bridge.run(Duration::from_secs(1), |_| false);
    let packets = bridge.publisher.collect(bridge.now + Duration::from_millis(40));
    let mut packet = packets[0].clone();
    let at = packet.len() / 2;
    packet[at] ^= 1;
    bridge.viewer.deliver(bridge.now, &packet);
    for rest in &packets[1..] {
        bridge.viewer.deliver(bridge.now, rest);
    }
    assert_eq!(bridge.tally().all.get(Count::Broken), 1);
}

#[test]
fn a_publisher_asks_less_of_a_way_that_loses_much() {
    let mut bridge =
        Bridge::of(Publishing { media: Video::Vp8, audio: false, ..Publishing::default() }, false);
    bridge.run(Duration::from_secs(4), |_| false);
    let before = bridge.seen.video;
    bridge.run(Duration::from_secs(4), |n| n % 4 == 0);
    let during = bridge.seen.video;
    bridge.run(Duration::from_secs(4), |n| n % 4 == 0);
    assert!((bridge.seen.video - during) * 2 < before, "{before} {during} {}", bridge.seen.video);
}

#[test]
fn layers_that_nobody_watches_rest_and_begin_with_a_keyframe() {
    let mut bridge =
        Bridge::of(Publishing { media: Video::Vp8, audio: false, ..Publishing::default() }, false);
    bridge.run(Duration::from_secs(1), |_| false);
    bridge.publisher.media.watched(&[true, false, false]);
    let (video, keyframes) = (bridge.seen.video, bridge.seen.keyframes);
    assert_eq!(keyframes, 3);
    bridge.run(Duration::from_secs(1), |_| false);
    assert!((24..=30).contains(&(bridge.seen.video - video)), "25 small frames");
    bridge.publisher.media.watched(&[true, true, false]);
    bridge.run(Duration::from_secs(1), |_| false);
    assert_eq!(bridge.seen.keyframes, keyframes + 1);
}
