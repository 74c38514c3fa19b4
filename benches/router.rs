//! What the router costs for each forwarded packet, sealing included and the kernel not, beside copying and sealing alone.
//!
//! One publisher sends VP8 in batches, every viewer watches it; all in this process, in simulated time.
//! `cargo bench --bench router`. CPU time of this thread, the best of several rounds: other load hardly disturbs it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millrace::batch::{Path, TxBatch};
use millrace::router::command::{
    Command, ExtensionIds, IceCredentials, Kind, PayloadParams, SessionParams, SlotParams, TrackParams, View,
};
use millrace::router::id::{SessionId, ShardId, SlotId, TrackId};
use millrace::router::{Router, RouterConfig};
use millrace::units::{Bitrate, Duration, Instant, PictureSize};
use millrace::wire::id::{Mid, Pt, RtpTs, Seq, Ssrc};
use millrace::wire::payload::Codec;
use millrace::wire::srtp::{Keys, Profile, Sealer};
use millrace::wire::{rtp, stun};

/// Media packets of this size are what browsers send.
const PAYLOAD: usize = 1150;
const ROUNDS: usize = 7;
const IDS: ExtensionIds = ExtensionIds {
    mid: 1,
    rid: 0,
    repaired_rid: 0,
    audio_level: 2,
    twcc: 3,
    abs_send_time: 4,
    video_orientation: 5,
    playout_delay: 6,
    capture_time: 0,
    dependency_descriptor: 7,
};
const VP8: PayloadParams = PayloadParams { codec: Codec::Vp8, pt: Pt(96), rtx: Some(Pt(97)) };
const TRACK: TrackId = TrackId { index: 0, generation: 0 };

fn main() {
    println!(
        "{:>8} {:>6} {:>12} {:>12} {:>7} {:>12}",
        "viewers", "batch", "router ns", "sealing ns", "ratio", "ingest ns"
    );
    for (viewers, batch) in [(200, 1), (200, 8), (200, 32), (1000, 8)] {
        let mut best = [f64::MAX; 3];
        let (mut bench, mut alone, mut floor) = (Bench::new(viewers), Bench::new(0), Floor::new(viewers));
        for _ in 0..ROUNDS {
            let turns = 400_000 / viewers / batch;
            let packets = (turns * batch) as f64;
            let ingest = alone.run(batch, 20_000 / batch) / (20_000 / batch * batch) as f64;
            let router = bench.run(batch, turns) / packets - ingest;
            let sealing = floor.run(batch, turns) / packets;
            let figures = [router / viewers as f64, sealing / viewers as f64, ingest];
            best.iter_mut().zip(figures).for_each(|(best, new)| *best = best.min(new));
        }
        let [router, sealing, ingest] = best;
        let ratio = router / sealing;
        println!("{viewers:>8} {batch:>6} {router:>12.1} {sealing:>12.1} {ratio:>7.2} {ingest:>12.1}");
    }
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0)
}

fn keys(n: u64, server: bool) -> Keys {
    let profile = Profile::AeadAes128Gcm;
    let material: Vec<u8> = (0..profile.keying_material_len()).map(|i| (n as usize * 31 + i) as u8).collect();
    Keys::from_exporter(profile, &material, server).expect("of the right length")
}

fn path(n: u32) -> Path {
    let remote = SocketAddr::new(IpAddr::from([127, 0, (n >> 8) as u8, n as u8]), 4000);
    Path { socket: 0, local: IpAddr::from([127, 0, 0, 1]), remote }
}

struct Bench {
    router: Router,
    now: Instant,
    sealer: Sealer,
    seq: u64,
    batch: TxBatch,
}

impl Bench {
    fn new(viewers: usize) -> Self {
        let router = Router::new(RouterConfig { shard: ShardId(0), shards: 1, seed: 1 });
        let mut bench = Self {
            router,
            now: Instant::from_millis(1000),
            sealer: Sealer::new(&keys(0, false)),
            seq: 1,
            batch: TxBatch::new(),
        };
        for n in 0..=viewers as u32 {
            bench.join(n);
        }
        let view = View {
            tile: PictureSize::new(1280, 720),
            active: true,
            cap: PictureSize::new(u16::MAX, u16::MAX),
            priority: 1,
        };
        for n in 1..=viewers as u32 {
            let session = SessionId { index: n, generation: 0 };
            let watch = Command::Watch { session, slot: SlotId(0), track: Some(TRACK), view };
            bench.router.handle_command(bench.now, watch);
        }
        bench.packet(true);
        bench.drain();
        bench
    }

    /// Session 0 publishes, the others watch.
    fn join(&mut self, n: u32) {
        let id = SessionId { index: n, generation: 0 };
        let local = IceCredentials { ufrag: format!("user{n}"), pwd: "a password of 22 letters".to_owned() };
        let mid = Mid::new(b"0").expect("a mid");
        let track = TrackParams {
            id: TRACK,
            kind: Kind::Video,
            mid,
            payloads: vec![VP8],
            layers: vec![],
            ssrcs: vec![(Ssrc(7), None)],
            clock_rate: 90_000,
            muted: false,
            max_bitrate: Bitrate::MAX,
            max_size: PictureSize::new(u16::MAX, u16::MAX),
        };
        let slot = SlotParams {
            slot: SlotId(0),
            kind: Kind::Video,
            mid,
            ssrc: Ssrc(1000 + 2 * n),
            rtx_ssrc: Some(Ssrc(1001 + 2 * n)),
            payloads: vec![VP8],
        };
        let params = SessionParams {
            id,
            local: local.clone(),
            claim: Default::default(),
            extensions: IDS,
            tracks: if n == 0 { vec![track] } else { vec![] },
            slots: if n == 0 { vec![] } else { vec![slot] },
            rtcp_ssrc: Ssrc(1),
            seed: n.into(),
        };
        self.router.handle_command(self.now, Command::AddSession(Arc::new(params)));
        let mut check = [0; 200];
        let key = stun::Key::new(local.pwd.as_bytes());
        let len = stun::write_request(&mut check, &[n as u8; 12], &format!("user{n}:x"), 1, true, 1, &key);
        let len = len.expect("fits");
        self.router.handle_datagram(self.now, path(n), check.get_mut(..len).expect("fits"));
        let install = Command::InstallKeys { session: id, keys: Box::new(keys(n.into(), true)) };
        self.router.handle_command(self.now, install);
    }

    /// Seals and hands in one packet of the publisher.
    fn packet(&mut self, keyframe: bool) {
        let mut packet = sealed(&self.sealer, self.seq, keyframe);
        self.seq += 1;
        self.router.handle_datagram(self.now, path(0), &mut packet);
    }

    fn drain(&mut self) {
        while self.router.poll_transmit(self.now, &mut self.batch) {
            self.batch.clear();
        }
        self.batch.clear();
        while self.router.poll_peer().is_some() {}
        while self.router.poll_event().is_some() {}
    }

    /// Nanoseconds for so many turns of the loop, packets sealed beforehand.
    fn run(&mut self, batch: usize, turns: usize) -> f64 {
        // The peers' consent lasts 30 s, and their checks are not what is measured.
        self.now = Instant::from_millis(2000);
        let numbers = self.seq..self.seq + (batch * turns) as u64;
        self.seq = numbers.end;
        let mut packets: Vec<_> = numbers.map(|seq| sealed(&self.sealer, seq, false)).collect();
        let start = cpu();
        for packets in packets.chunks_mut(batch) {
            self.now += Duration::from_micros(500);
            for packet in packets {
                self.router.handle_datagram(self.now, path(0), packet);
            }
            if self.router.poll_timeout() <= self.now {
                self.router.handle_timeout(self.now);
            }
            self.drain();
        }
        cpu() - start
    }
}

fn sealed(sealer: &Sealer, seq: u64, keyframe: bool) -> Vec<u8> {
    let header = rtp::Header {
        marker: false,
        pt: VP8.pt,
        seq: Seq(seq).wire(),
        ts: RtpTs(seq as u32 * 3000),
        ssrc: Ssrc(7),
    };
    let mut packet = vec![0; 40 + PAYLOAD + 20];
    let len = header.write(&mut packet, &[(IDS.twcc, &(seq as u16).to_be_bytes())]).expect("fits");
    let mut payload = vec![0x90, 0xe0];
    payload.extend((seq as u16 | 0x8000).to_be_bytes());
    payload.extend([seq as u8, 0, u8::from(!keyframe) | 0x10, 0, 0, 0x9d, 1, 0x2a, 0, 5, 0xd0, 2]);
    payload.resize(PAYLOAD, 7);
    packet.get_mut(len..len + PAYLOAD).expect("room").copy_from_slice(&payload);
    let len = sealer.seal_rtp(&mut packet, len + PAYLOAD, len, Seq(seq), Ssrc(7)).expect("room");
    packet.truncate(len);
    packet
}

/// Copying and sealing the same packets for the same viewers, and nothing else.
struct Floor {
    sealers: Vec<Sealer>,
    payload: Vec<u8>,
    batch: TxBatch,
    seq: u64,
}

impl Floor {
    fn new(viewers: usize) -> Self {
        Self {
            sealers: (0..viewers as u64).map(|n| Sealer::new(&keys(n, true))).collect(),
            payload: vec![7; PAYLOAD],
            batch: TxBatch::new(),
            seq: 1,
        }
    }

    fn run(&mut self, batch: usize, turns: usize) -> f64 {
        let start = cpu();
        for _ in 0..turns {
            for (n, sealer) in self.sealers.iter().enumerate() {
                for seq in self.seq..self.seq + batch as u64 {
                    let Some(room) = self.batch.reserve() else { continue };
                    let ssrc = Ssrc(n as u32);
                    let end = 24 + PAYLOAD;
                    room.get_mut(24..end).expect("room").copy_from_slice(&self.payload);
                    let len = sealer.seal_rtp(room, end, 24, Seq(seq), ssrc).expect("room");
                    self.batch.commit(path(n as u32), len);
                    if !self.batch.has_room() {
                        self.batch.clear();
                    }
                }
            }
            self.seq += batch as u64;
        }
        cpu() - start
    }
}
