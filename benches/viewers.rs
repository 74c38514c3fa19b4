//! What is decided for viewers: which layer each of their slots gets, and which packets of it are left out.
//!
//! *Allocation*: viewers with 10 and with 50 slots, each slot a track of three layers with three temporal layers each, and a
//! budget for half of what they want. One tile of each viewer changes, and all its slots are looked at again: twice a second
//! that happens to a viewer by itself, by time and by its estimate.
//! *Leaving out*: viewers who get one of four pictures of a stream beside others who get all, so that the difference is what a
//! packet costs that is looked at and not sent.
//! `cargo bench --bench viewers`. CPU time of this thread, the best of several rounds: other load hardly disturbs it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millrace::batch::{Path, TxBatch};
use millrace::router::command::{
    Command, ExtensionIds, IceCredentials, Kind, LayerParams, PayloadParams, SessionParams, SlotParams,
    TrackLimits, TrackParams, View,
};
use millrace::router::id::{LayerId, SessionId, ShardId, SlotId, TrackId};
use millrace::router::{Router, RouterConfig};
use millrace::units::{Bitrate, Duration, Instant, PictureSize};
use millrace::wire::id::{Mid, Pt, Rid, RtpTs, Seq, Ssrc};
use millrace::wire::payload::Codec;
use millrace::wire::srtp::{Keys, Profile, Sealer};
use millrace::wire::{rtp, stun};

const ROUNDS: usize = 7;
/// How often each viewer is looked at in one round: the processor's account of a thread is kept in steps of milliseconds.
const AGAIN: usize = 40;
const IDS: ExtensionIds = ExtensionIds {
    mid: 1,
    rid: 2,
    repaired_rid: 3,
    audio_level: 0,
    twcc: 4,
    abs_send_time: 0,
    video_orientation: 0,
    playout_delay: 0,
    capture_time: 0,
    dependency_descriptor: 0,
};
const VP8: PayloadParams = PayloadParams { codec: Codec::Vp8, pt: Pt(96), rtx: Some(Pt(97)) };
const RIDS: [&str; 3] = ["q", "h", "f"];
const SIZES: [PictureSize; 3] =
    [PictureSize::new(320, 180), PictureSize::new(640, 360), PictureSize::new(1280, 720)];
/// Bytes of a picture of each layer: one packet.
const BYTES: [usize; 3] = [200, 500, 1150];
/// The temporal layers of four pictures in turn.
const TEMPORAL: [u8; 4] = [0, 2, 1, 2];

fn main() {
    allocation();
    sieve();
}

fn allocation() {
    println!("{:>8} {:>8} {:>16} {:>28}", "slots", "viewers", "allocation ns", "10,000 viewers, ms a second");
    for (slots, viewers) in [(10, 400), (50, 100)] {
        let mut bench = Bench::new(slots, 3, viewers, slots);
        bench.limit(|_| Some(700 * slots as u64 / 2));
        bench.play(90);
        let mut best = f64::MAX;
        for round in 0..ROUNDS {
            let start = cpu();
            for turn in 0..AGAIN {
                for viewer in 0..viewers {
                    bench.set_view(viewer, (round + turn) % slots, 1 + (turn % 2) as u8);
                    bench.drain();
                }
            }
            best = best.min((cpu() - start) / (viewers * AGAIN) as f64);
        }
        println!("{slots:>8} {viewers:>8} {best:>16.0} {:>28.1}", best * 10_000.0 * 2.0 / 1e6);
    }
}

fn sieve() {
    println!("{:>8} {:>16} {:>16} {:>16}", "viewers", "sent ns", "left out ns", "pictures sent");
    const VIEWERS: usize = 200;
    const PICTURES: usize = 400;
    let mut all = Bench::new(1, 1, VIEWERS, 1);
    let mut few = Bench::new(1, 1, VIEWERS, 1);
    // Of one layer of 120 kbit/s: a quarter of the pictures.
    few.limit(|_| Some(45));
    let mut best = [f64::MAX; 2];
    let mut share = 0.0;
    all.play(150);
    few.play(150);
    for _ in 0..ROUNDS {
        let before = few.router.counters().packets_out;
        let costs = [all.play(PICTURES), few.play(PICTURES)];
        let packets = (VIEWERS * PICTURES) as f64;
        share = (few.router.counters().packets_out - before) as f64 / packets;
        let sent = costs[0] / packets;
        let left_out = (costs[1] / packets - share * sent) / (1.0 - share);
        best.iter_mut().zip([sent, left_out]).for_each(|(best, new)| *best = best.min(new));
    }
    println!("{VIEWERS:>8} {:>16.0} {:>16.0} {:>14.0} %", best[0], best[1], share * 100.0);
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
}

fn keys(n: u32, server: bool) -> Keys {
    let profile = Profile::AeadAes128Gcm;
    let material: Vec<u8> = (0..profile.keying_material_len()).map(|i| (n as usize * 31 + i) as u8).collect();
    Keys::from_exporter(profile, &material, server).expect("of the right length")
}

fn path(n: u32) -> Path {
    let remote = SocketAddr::new(IpAddr::from([127, 0, (n >> 8) as u8, n as u8]), 4000);
    Path { socket: 0, local: IpAddr::from([127, 0, 0, 1]), remote }
}

const fn track(n: u32) -> TrackId {
    TrackId { index: n, generation: 0 }
}

const fn session(n: u32) -> SessionId {
    SessionId { index: n, generation: 0 }
}

struct Bench {
    router: Router,
    now: Instant,
    sealers: Vec<Sealer>,
    layers: usize,
    viewers: usize,
    picture: u64,
    batch: TxBatch,
}

impl Bench {
    /// So many publishers of so many layers, and viewers who watch the first `slots` of them.
    fn new(publishers: usize, layers: usize, viewers: usize, slots: usize) -> Self {
        let mut bench = Self {
            router: Router::new(RouterConfig { shard: ShardId(0), shards: 1, seed: 1 }),
            now: Instant::from_millis(1000),
            sealers: (0..publishers as u32).map(|n| Sealer::new(&keys(n, false))).collect(),
            layers,
            viewers,
            picture: 0,
            batch: TxBatch::new(),
        };
        for n in 0..publishers as u32 {
            bench.join(n, vec![bench.publishes(n)], vec![]);
        }
        for n in 0..viewers as u32 {
            let slots = (0..slots as u16).map(|slot| bench.slot(n, slot)).collect();
            bench.join(publishers as u32 + n, vec![], slots);
        }
        for viewer in 0..viewers {
            for slot in 0..slots {
                bench.watch(viewer, slot);
            }
        }
        bench.play(30);
        bench
    }

    fn publishes(&self, n: u32) -> TrackParams {
        let layer = |at: usize| LayerParams {
            layer: LayerId(at as u8),
            rid: Rid::new(RIDS[at].as_bytes()).expect("a rid"),
            size: Some(SIZES[at]),
        };
        TrackParams {
            id: track(n),
            kind: Kind::Video,
            mid: Mid::new(b"0").expect("a mid"),
            payloads: vec![VP8],
            layers: (0..self.layers).map(layer).collect(),
            ssrcs: vec![],
            clock_rate: 90_000,
            muted: false,
            limits: TrackLimits::NONE,
        }
    }

    fn slot(&self, viewer: u32, slot: u16) -> SlotParams {
        let ssrc = 100_000 + 1000 * viewer + 2 * u32::from(slot);
        SlotParams {
            slot: SlotId(slot),
            kind: Kind::Video,
            mid: Mid::new(slot.to_string().as_bytes()).expect("a mid"),
            ssrc: Ssrc(ssrc),
            rtx_ssrc: Some(Ssrc(ssrc + 1)),
            payloads: vec![VP8],
        }
    }

    fn join(&mut self, n: u32, tracks: Vec<TrackParams>, slots: Vec<SlotParams>) {
        let local = IceCredentials { ufrag: format!("user{n}"), pwd: "a password of 22 letters".to_owned() };
        let params = SessionParams {
            id: session(n),
            local: local.clone(),
            claim: Default::default(),
            extensions: IDS,
            tracks,
            slots,
            rtcp_ssrc: Ssrc(1),
            seed: n.into(),
        };
        self.router.handle_command(self.now, Command::AddSession(Arc::new(params)));
        self.check(n);
        let keys = Box::new(keys(n, true));
        self.router.handle_command(self.now, Command::InstallKeys { session: session(n), keys });
    }

    /// A check of a peer, without which its consent ends.
    fn check(&mut self, n: u32) {
        let mut check = [0; 200];
        let key = stun::Key::new(b"a password of 22 letters");
        let len = stun::write_request(&mut check, &[n as u8; 12], &format!("user{n}:x"), 1, true, 1, &key);
        let check = check.get_mut(..len.expect("fits")).expect("fits");
        self.router.handle_datagram(self.now, path(n), check);
    }

    fn viewer(&self, viewer: usize) -> SessionId {
        session((self.sealers.len() + viewer) as u32)
    }

    fn view(priority: u8) -> View {
        let cap = PictureSize::new(u16::MAX, u16::MAX);
        View { tile: PictureSize::new(1280, 720), active: true, cap, priority }
    }

    fn watch(&mut self, viewer: usize, slot: usize) {
        let (session, view) = (self.viewer(viewer), Self::view(1));
        let (slot, track) = (SlotId(slot as u16), Some(track(slot as u32)));
        self.router.handle_command(self.now, Command::Watch { session, slot, track, view });
    }

    fn set_view(&mut self, viewer: usize, slot: usize, priority: u8) {
        let (session, view) = (self.viewer(viewer), Self::view(priority));
        let slot = SlotId(slot as u16);
        self.router.handle_command(self.now, Command::SetView { session, slot, view });
    }

    /// Gives viewers a budget in kbit/s.
    fn limit(&mut self, kbps: impl Fn(usize) -> Option<u64>) {
        for viewer in 0..self.viewers {
            let session = self.viewer(viewer);
            let max_bitrate = kbps(viewer).map_or(Bitrate::MAX, Bitrate::from_kbps);
            let limit = Command::LimitSession { session, max_bitrate, max_voices: 8 };
            self.router.handle_command(self.now, limit);
        }
    }

    fn drain(&mut self) {
        while self.router.poll_transmit(self.now, &mut self.batch) {
            self.batch.clear();
        }
        self.batch.clear();
        while self.router.poll_peer().is_some() {}
        while self.router.poll_event().is_some() {}
    }

    /// Plays so many pictures of all publishers. Nanoseconds that took, without making them and without checks.
    fn play(&mut self, pictures: usize) -> f64 {
        let mut spent = 0.0;
        for _ in 0..pictures {
            self.now += Duration::from_micros(33_333);
            if self.picture.is_multiple_of(300) {
                (0..(self.sealers.len() + self.viewers) as u32).for_each(|n| self.check(n));
                self.drain();
            }
            let mut packets: Vec<_> = (0..self.sealers.len())
                .flat_map(|n| (0..self.layers).map(move |layer| (n, layer)))
                .map(|(n, layer)| (n as u32, self.packet(n, layer)))
                .collect();
            self.picture += 1;
            let start = cpu();
            for (n, packet) in &mut packets {
                self.router.handle_datagram(self.now, path(*n), packet);
            }
            if self.router.poll_timeout() <= self.now {
                self.router.handle_timeout(self.now);
            }
            self.drain();
            spent += cpu() - start;
        }
        spent
    }

    /// The next picture of a layer; every second one is a keyframe until everyone has begun.
    fn packet(&self, publisher: usize, layer: usize) -> Vec<u8> {
        let (seq, ssrc) = (Seq(1 + self.picture), Ssrc(1 + (10 * publisher + layer) as u32));
        let keyframe = self.picture.is_multiple_of(4) && self.picture < 200;
        let temporal = TEMPORAL[(self.picture % 4) as usize];
        let ts = RtpTs(self.picture as u32 * 3000);
        let header = rtp::Header { marker: true, pt: VP8.pt, seq: seq.wire(), ts, ssrc };
        let mut packet = vec![0; 60 + BYTES[2] + 20];
        let transport = (self.picture as usize * self.layers + layer) as u16;
        let extensions: [(u8, &[u8]); 3] =
            [(IDS.mid, b"0"), (IDS.rid, RIDS[layer].as_bytes()), (IDS.twcc, &transport.to_be_bytes())];
        let len = header.write(&mut packet, &extensions).expect("fits");
        let size = SIZES[layer];
        let mut payload = vec![0x90, 0xe0];
        payload.extend((self.picture as u16 | 0x8000).to_be_bytes());
        payload.extend([(self.picture / 4) as u8, temporal << 6 | 0x20, u8::from(!keyframe) | 0x10, 0, 0]);
        payload.extend([0x9d, 1, 0x2a]);
        payload.extend(size.width.to_le_bytes());
        payload.extend(size.height.to_le_bytes());
        // Alike on all layers of a track of one, so that what is sent costs as much as anywhere.
        let bytes = if self.layers == 1 { BYTES[1] } else { BYTES[layer] };
        payload.resize(bytes, 7);
        packet.get_mut(len..len + bytes).expect("room").copy_from_slice(&payload);
        let sealer = &self.sealers[publisher];
        let len = sealer.seal_rtp(&mut packet, len + bytes, len, seq, ssrc).expect("room");
        packet.truncate(len);
        packet
    }
}
