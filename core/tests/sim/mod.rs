//! A world in simulated time: the routers of one server, a seeded network, publishers and viewers built from `wire`.
//!
//! The world plays the control plane, too: it makes sessions, installs keys when they are claimed, announces tracks.

extern crate millrace_core as millrace;

pub mod bottleneck;
pub mod browser;
pub mod encoder;
pub mod layered;
pub mod loss;
pub mod network;
pub mod operations;
pub mod peer;
pub mod publisher;
pub mod scenario;
pub mod tcp;
pub mod viewer;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use millrace::batch::{Path, TxBatch};
use millrace::router::command::{
    Command, ExtensionIds, IceCredentials, Kind, PayloadParams, SessionParams, SlotParams, View,
};
use millrace::router::event::{Event, Why};
use millrace::router::id::{LayerId, SessionId, ShardId, SlotId, TrackId};
use millrace::router::speakers::Talker;
use millrace::router::{Router, RouterConfig, Snapshot};
use millrace::units::{Bitrate, Duration, Instant, PictureSize};
use millrace::wire::id::{Mid, Pt, Ssrc};
use millrace::wire::payload::Codec;
use millrace::wire::srtp::{Keys, Profile};

use bottleneck::Bottleneck;
use browser::Browser;
use layered::Layered;
use network::{Link, Rng};
use peer::Peer;
use publisher::Publisher;
use tcp::Download;
use viewer::Viewer;

/// What every session negotiates here.
pub const EXTENSIONS: ExtensionIds = ExtensionIds {
    mid: 1,
    rid: 2,
    repaired_rid: 3,
    twcc: 4,
    audio_level: 5,
    abs_send_time: 6,
    video_orientation: 7,
    playout_delay: 8,
    dependency_descriptor: 9,
    capture_time: 10,
};
/// Payload types of the publishers ...
pub const PUBLISHED_VP8: PayloadParams = PayloadParams { codec: Codec::Vp8, pt: Pt(96), rtx: Some(Pt(97)) };
pub const PUBLISHED_OPUS: PayloadParams = PayloadParams { codec: Codec::Opus, pt: Pt(111), rtx: None };
pub const PUBLISHED_RED: PayloadParams = PayloadParams { codec: Codec::Red, pt: Pt(63), rtx: None };
/// ... and others of the viewers.
pub const WATCHED_VP8: PayloadParams = PayloadParams { codec: Codec::Vp8, pt: Pt(100), rtx: Some(Pt(101)) };
pub const WATCHED_VP9: PayloadParams =
    PayloadParams { codec: Codec::Vp9 { profile: 0 }, pt: Pt(102), rtx: Some(Pt(103)) };
pub const WATCHED_AV1: PayloadParams =
    PayloadParams { codec: Codec::Av1 { profile: 0 }, pt: Pt(104), rtx: Some(Pt(105)) };
pub const WATCHED_OPUS: PayloadParams = PayloadParams { codec: Codec::Opus, pt: Pt(109), rtx: None };
pub const WATCHED_RED: PayloadParams = PayloadParams { codec: Codec::Red, pt: Pt(64), rtx: None };

/// A tile of this size, visible, with all rights.
pub fn tile(width: u16, height: u16) -> View {
    View {
        tile: PictureSize::new(width, height),
        active: true,
        cap: PictureSize::new(u16::MAX, u16::MAX),
        priority: 1,
    }
}

/// Shows nothing.
pub fn hidden() -> View {
    View { active: false, ..tile(0, 0) }
}

pub fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.to_owned(), pwd: format!("{name}-password-of-22-characters") }
}

/// Keys of a session: the server's and the client's.
pub fn keys(seed: u64) -> (Keys, Keys) {
    let profile = if seed.is_multiple_of(3) { Profile::Aes128CmSha1_80 } else { Profile::AeadAes128Gcm };
    let mut rng = Rng::new(seed);
    let material: Vec<u8> = (0..profile.keying_material_len()).map(|_| rng.next() as u8).collect();
    let keys = |server| Keys::from_exporter(profile, &material, server).expect("of the right length");
    (keys(true), keys(false))
}

enum Parcel {
    ToServer(usize, Path, Vec<u8>),
    ToPeer(usize, Vec<u8>),
}

/// See the module.
pub struct World {
    pub now: Instant,
    pub routers: Vec<Router>,
    pub publishers: HashMap<usize, Publisher>,
    pub layered: HashMap<usize, Layered>,
    /// Which publisher a video track is of.
    published: HashMap<TrackId, usize>,
    pub viewers: HashMap<usize, Viewer>,
    /// Viewers as exact as Chromium.
    pub browsers: HashMap<usize, Browser>,
    /// Narrow places, who is behind which, and the downloads that pass them.
    pub bottlenecks: Vec<Bottleneck>,
    pub behind: HashMap<usize, usize>,
    pub downloads: Vec<(usize, Download)>,
    /// Who is behind which session, by the session's index.
    pub peers: Vec<Peer>,
    sessions: Vec<Arc<SessionParams>>,
    pub events: Vec<(Instant, Event)>,
    /// Who talks, and which shard said so.
    pub talking: Vec<(Instant, ShardId, Vec<Talker>)>,
    /// Which shard the kernel brings a peer's datagrams to, by its port; else the port modulo the number of shards.
    pub flows: HashMap<u16, usize>,
    /// Whether viewers that are added take redundant audio.
    pub red: bool,
    /// One processor has everything to do: whoever has something to do waits for it, up to so long each time.
    pub busy: Duration,
    rng: Rng,
    in_flight: BinaryHeap<Reverse<(Instant, u64)>>,
    parcels: HashMap<u64, Parcel>,
    sent: u64,
    next_track: u32,
    batch: TxBatch,
    /// Every SRTP index ever used towards a peer, and a digest of what it sealed.
    seals: HashMap<(usize, Ssrc, u64), u64>,
    highest: HashMap<(usize, Ssrc), u64>,
    pub bytes_to_peers: u64,
    /// TCP connections that went to another shard.
    pub moved: Vec<(Path, ShardId)>,
    /// Sends of packets of about a thousand bytes, and how many of those they carried.
    pub large_runs: (u64, u64),
}

impl World {
    pub fn new(shards: u8, seed: u64) -> Self {
        let config = |n| RouterConfig { shard: ShardId(n), shards, seed: seed ^ u64::from(n) };
        Self {
            now: Instant::from_millis(1000),
            routers: (0..shards).map(|n| Router::new(config(n))).collect(),
            publishers: HashMap::new(),
            layered: HashMap::new(),
            published: HashMap::new(),
            viewers: HashMap::new(),
            browsers: HashMap::new(),
            bottlenecks: Vec::new(),
            behind: HashMap::new(),
            downloads: Vec::new(),
            batch: TxBatch::new(),
            peers: Vec::new(),
            sessions: Vec::new(),
            events: Vec::new(),
            talking: Vec::new(),
            flows: HashMap::new(),
            red: false,
            busy: Duration::ZERO,
            rng: Rng::new(seed),
            in_flight: BinaryHeap::new(),
            parcels: HashMap::new(),
            sent: 0,
            next_track: 0,
            seals: HashMap::new(),
            highest: HashMap::new(),
            bytes_to_peers: 0,
            moved: Vec::new(),
            large_runs: (0, 0),
        }
    }

    /// A command to every shard; those that are meant for one are harmless elsewhere, or taken by none.
    pub fn command(&mut self, make: impl Fn() -> Command) {
        let now = self.now;
        self.routers.iter_mut().for_each(|r| r.handle_command(now, make()));
        self.settle();
    }

    fn add_peer(&mut self, link: Link, params: impl FnOnce(SessionId) -> SessionParams) -> usize {
        let place = self.peers.len();
        let id = SessionId { index: place as u32, generation: 0 };
        let params = Arc::new(params(id));
        let seed = 77 + place as u64;
        let (server, client) = keys(seed);
        let ip = if place.is_multiple_of(2) {
            IpAddr::from([127, 0, 0, 1])
        } else {
            "::1".parse().expect("an address")
        };
        let address = SocketAddr::new(ip, 10_000 + place as u16);
        self.peers.push(Peer::new(id, params.local.clone(), address, link, &client, server, seed, self.now));
        self.sessions.push(params.clone());
        self.command(|| Command::AddSession(params.clone()));
        place
    }

    /// A publisher of one audio track and one VP8 track with these layers; its place, and the names of its tracks.
    pub fn publish(&mut self, link: Link, sizes: &[(u16, u16)]) -> (usize, TrackId, TrackId) {
        let track = |index| TrackId { index, generation: 0 };
        let (audio, video) = (track(self.next_track), track(self.next_track + 1));
        self.next_track += 2;
        let tracks = publisher::tracks(audio, video, sizes);
        let place = self.add_peer(link, |id| SessionParams {
            id,
            local: credentials(&format!("session{}", id.index)),
            claim: Default::default(),
            extensions: EXTENSIONS,
            tracks,
            slots: vec![],
            rtcp_ssrc: Ssrc(1),
            seed: id.index.into(),
        });
        self.publishers.insert(place, Publisher::new(place as u64, sizes, self.now));
        self.published.insert(video, place);
        (place, audio, video)
    }

    /// A publisher of one video track in layers of its codec's own; its place, and the name of its track.
    pub fn publish_layered(&mut self, link: Link, codec: Codec) -> (usize, TrackId) {
        let video = TrackId { index: self.next_track + 1, generation: 0 };
        self.next_track += 2;
        let place = self.add_peer(link, |id| SessionParams {
            id,
            local: credentials(&format!("session{}", id.index)),
            claim: Default::default(),
            extensions: EXTENSIONS,
            tracks: vec![layered::track(video, codec)],
            slots: vec![],
            rtcp_ssrc: Ssrc(1),
            seed: id.index.into(),
        });
        self.layered.insert(place, Layered::new(place as u64, codec, self.now));
        (place, video)
    }

    /// A viewer with an audio slot (0) and `videos` video slots (from 1); its place.
    pub fn view(&mut self, link: Link, videos: u16) -> usize {
        let slots = self.slots(videos);
        let viewer = Viewer::new(&slots);
        let place = self.add_viewer(link, slots);
        self.viewers.insert(place, viewer);
        place
    }

    /// A viewer as [`Self::view`] makes one, which takes no dependency descriptors; its place.
    pub fn view_undescribed(&mut self, link: Link, videos: u16) -> usize {
        let slots = self.slots(videos);
        let viewer = Viewer::new(&slots);
        let place =
            self.add_viewer_with(link, slots, ExtensionIds { dependency_descriptor: 0, ..EXTENSIONS });
        self.viewers.insert(place, viewer);
        place
    }

    /// A viewer with audio slots alone; its place.
    pub fn listen(&mut self, link: Link, audios: u16) -> usize {
        let mut slots = self.slots(audios - 1);
        for slot in &mut slots {
            (slot.kind, slot.rtx_ssrc, slot.payloads) = (Kind::Audio, None, vec![WATCHED_OPUS]);
        }
        let viewer = Viewer::new(&slots);
        let place = self.add_viewer(link, slots);
        self.viewers.insert(place, viewer);
        place
    }

    /// The same as [`World::view`], as exact as Chromium.
    pub fn browse(&mut self, link: Link, videos: u16) -> usize {
        let slots = self.slots(videos);
        let browser = Browser::new(&slots, self.now);
        let place = self.add_viewer(link, slots);
        self.browsers.insert(place, browser);
        place
    }

    fn slots(&self, videos: u16) -> Vec<SlotParams> {
        let place = self.peers.len() as u32;
        let slot = |n: u16| SlotParams {
            slot: SlotId(n),
            kind: if n == 0 { Kind::Audio } else { Kind::Video },
            mid: Mid::new(n.to_string().as_bytes()).expect("a mid"),
            ssrc: Ssrc(place << 16 | u32::from(n) << 1 | 0x1000),
            rtx_ssrc: (n > 0).then_some(Ssrc(place << 16 | u32::from(n) << 1 | 0x1001)),
            payloads: match n {
                0 if self.red => vec![WATCHED_OPUS, WATCHED_RED],
                0 => vec![WATCHED_OPUS],
                _ => vec![WATCHED_VP8, WATCHED_VP9, WATCHED_AV1],
            },
        };
        (0..=videos).map(slot).collect()
    }

    fn add_viewer(&mut self, link: Link, slots: Vec<SlotParams>) -> usize {
        self.add_viewer_with(link, slots, EXTENSIONS)
    }

    fn add_viewer_with(&mut self, link: Link, slots: Vec<SlotParams>, extensions: ExtensionIds) -> usize {
        self.add_peer(link, |id| SessionParams {
            id,
            local: credentials(&format!("session{}", id.index)),
            claim: Default::default(),
            extensions,
            tracks: vec![],
            slots,
            rtcp_ssrc: Ssrc(2),
            seed: id.index.into(),
        })
    }

    /// Brings what goes down to this peer through a narrow place.
    pub fn narrow(&mut self, place: usize, bottleneck: usize) {
        self.behind.insert(place, bottleneck);
    }

    /// What a browser got.
    pub fn browser(&self, place: usize) -> &Browser {
        &self.browsers[&place]
    }

    pub fn watch(&mut self, viewer: usize, slot: u16, track: Option<TrackId>, view: View) {
        let session = self.peers[viewer].id;
        self.command(|| Command::Watch { session, slot: SlotId(slot), track, view });
    }

    pub fn set_view(&mut self, viewer: usize, slot: u16, view: View) {
        let session = self.peers[viewer].id;
        self.command(|| Command::SetView { session, slot: SlotId(slot), view });
    }

    /// What the viewer in this place got.
    pub fn viewer(&self, place: usize) -> &Viewer {
        &self.viewers[&place]
    }

    pub fn publisher(&self, place: usize) -> &Publisher {
        &self.publishers[&place]
    }

    /// What the way to a viewer is taken to carry.
    pub fn estimate(&self, place: usize) -> Option<Bitrate> {
        let session = self.peers[place].id;
        self.routers.iter().find_map(|router| router.estimate(session, self.now))
    }

    /// The shard that owns a session.
    pub fn owner(&self, place: usize) -> Option<u8> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Claimed { session, shard } if *session == self.peers[place].id => Some(shard.0),
            _ => None,
        })
    }

    /// What a slot was last said to show.
    pub fn shown(&self, viewer: usize, slot: u16) -> Option<(Option<LayerId>, Why)> {
        self.events.iter().rev().find_map(|(_, event)| match event {
            Event::SlotLayer { session, slot: s, layer, why }
                if *session == self.peers[viewer].id && s.0 == slot =>
            {
                Some((layer.map(|(layer, _)| layer), *why))
            }
            _ => None,
        })
    }

    pub fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.next_wake();
            if next > end {
                self.now = end;
                return;
            }
            let late = match self.busy.as_micros() as u64 {
                0 => 0,
                most => self.rng.next() % most,
            };
            self.now = self.now.max(next) + Duration::from_micros(late);
            self.turn();
        }
    }

    fn next_wake(&self) -> Instant {
        let parcels = self.in_flight.peek().map_or(Instant::NEVER, |Reverse((at, _))| *at);
        let routers = self.routers.iter().map(Router::poll_timeout);
        let peers = self.peers.iter().map(|p| p.next_check);
        let publishers = self.publishers.values().map(Publisher::next_wake);
        let publishers = publishers.chain(self.layered.values().map(Layered::next_wake));
        let viewers = self.viewers.values().map(Viewer::next_wake);
        let browsers = self.browsers.values().map(Browser::next_wake);
        let downloads = self.downloads.iter().map(|(_, d)| d.next_wake());
        let others = viewers.chain(browsers).chain(downloads);
        routers.chain(peers).chain(publishers).chain(others).min().unwrap_or(Instant::NEVER).min(parcels)
    }

    fn turn(&mut self) {
        let now = self.now;
        while self.in_flight.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, number))) = self.in_flight.pop() else { break };
            match self.parcels.remove(&number) {
                Some(Parcel::ToServer(shard, path, mut bytes)) => {
                    self.routers[shard].handle_datagram(now, path, &mut bytes);
                }
                Some(Parcel::ToPeer(place, bytes)) => self.hand_over(place, bytes),
                None => {}
            }
        }
        for place in 0..self.peers.len() {
            if let Some(check) = self.peers[place].checks(now) {
                self.send_from(place, check);
            }
            if let Some(publisher) = self.publishers.get_mut(&place) {
                for packet in publisher.wake(now) {
                    self.send_sealed(place, packet);
                }
            }
            if let Some(publisher) = self.layered.get_mut(&place) {
                for packet in publisher.wake(now) {
                    self.send_sealed(place, packet);
                }
            }
            if let Some(viewer) = self.viewers.get_mut(&place) {
                for packet in viewer.wake(now) {
                    self.send_sealed(place, packet);
                }
            }
            if let Some(browser) = self.browsers.get_mut(&place) {
                for packet in browser.wake(now) {
                    self.send_sealed(place, packet);
                }
            }
        }
        for (at, download) in &mut self.downloads {
            download.wake(now, &mut self.bottlenecks[*at], &mut self.rng);
        }
        self.settle();
    }

    /// Another process takes over everything.
    pub fn follow(&mut self) {
        let snapshots: Vec<_> = self.routers.iter().flat_map(Router::snapshots).collect();
        let estate = postcard::to_allocvec(&(&self.sessions, snapshots)).expect("plain data");
        let (sessions, snapshots): (Vec<Arc<SessionParams>>, Vec<Snapshot>) =
            postcard::from_bytes(&estate).expect("as it was written");
        self.sessions = sessions;
        let shards = self.routers.len() as u8;
        for (nth, router) in self.routers.iter_mut().enumerate() {
            let seed = self.rng.next();
            *router = Router::new(RouterConfig { shard: ShardId(nth as u8), shards, seed });
            for snapshot in &snapshots {
                let params = self.sessions[snapshot.id.index as usize].clone();
                router.restore(self.now, params, snapshot);
            }
        }
        self.settle();
    }

    /// Turns all routers until none has anything to say.
    pub fn settle(&mut self) {
        let now = self.now;
        for _ in 0..20 {
            let mut messages = Vec::new();
            for at in 0..self.routers.len() {
                let router = &mut self.routers[at];
                if router.poll_timeout() <= now {
                    router.handle_timeout(now);
                }
                let mut out = Vec::new();
                loop {
                    let more = router.poll_transmit(now, &mut self.batch);
                    for run in self.batch.runs() {
                        let segments = self.batch.bytes(run).chunks(run.segment);
                        if run.segment > 1000 {
                            self.large_runs.0 += 1;
                            self.large_runs.1 += segments.clone().count() as u64;
                        }
                        out.extend(segments.map(|s| (run.path, s.to_vec())));
                    }
                    self.batch.clear();
                    if !more {
                        break;
                    }
                }
                while let Some((path, owner)) = router.poll_stray() {
                    self.flows.insert(path.remote.port(), usize::from(owner.0));
                    self.moved.push((path, owner));
                }
                let from = ShardId(at as u8);
                messages.extend(std::iter::from_fn(|| router.poll_peer()).map(|(to, m)| (from, to, m)));
                let events: Vec<_> = std::iter::from_fn(|| router.poll_event()).collect();
                out.into_iter().for_each(|(path, bytes)| self.deliver(path, bytes));
                for event in events {
                    if let Event::Talking(who) = &event {
                        self.talking.push((self.now, from, who.clone()));
                    }
                    self.heed(event);
                }
            }
            if messages.is_empty() {
                break;
            }
            for (from, to, message) in messages {
                self.routers[usize::from(to.0)].handle_peer(now, from, message);
            }
        }
    }

    /// The handshake with a peer that was claimed is done.
    pub fn secure(&mut self, place: usize) {
        let shard = self.owner(place).expect("claimed");
        self.install(place, ShardId(shard));
        self.settle();
    }

    fn install(&mut self, place: usize, shard: ShardId) {
        let peer = &mut self.peers[place];
        peer.secured = true;
        let install = Command::InstallKeys { session: peer.id, keys: Box::new(peer.server_keys.clone()) };
        self.routers[usize::from(shard.0)].handle_command(self.now, install);
    }

    /// What the control plane does about an event.
    fn heed(&mut self, event: Event) {
        let now = self.now;
        if let Event::Claimed { session, shard } = &event {
            if self.peers[session.index as usize].secures {
                self.install(session.index as usize, *shard);
            }
            let mut publishers: Vec<_> = self.publishers.keys().chain(self.layered.keys()).copied().collect();
            publishers.retain(|p| *p <= session.index as usize);
            if publishers.contains(&(session.index as usize)) {
                let first = (publishers.len() as u32 - 1) * 2;
                for (index, kind) in [(first, Kind::Audio), (first + 1, Kind::Video)] {
                    let track = TrackId { index, generation: 0 };
                    for router in &mut self.routers {
                        router.handle_command(now, Command::AnnounceTrack { track, kind, home: *shard });
                    }
                }
            }
        }
        if let Event::LayersWanted { track, layers } = &event {
            let place = self.published.get(track).copied();
            if let Some(publisher) = place.and_then(|place| self.publishers.get_mut(&place)) {
                publisher.heed(layers);
            }
        }
        self.events.push((now, event));
    }

    /// A datagram of a peer enters the network.
    pub fn send_from(&mut self, place: usize, bytes: Vec<u8>) {
        let path = self.peers[place].path();
        self.send_on(place, path, bytes);
    }

    pub fn send_on(&mut self, place: usize, path: Path, bytes: Vec<u8>) {
        let port = path.remote.port();
        let shard = self.flows.get(&port).copied().unwrap_or_else(|| usize::from(port) % self.routers.len());
        for at in self.peers[place].up.carry(self.now, bytes.len(), &mut self.rng) {
            self.post(at, Parcel::ToServer(shard, path, bytes.clone()));
        }
    }

    fn send_sealed(&mut self, place: usize, packet: peer::Clear) {
        if let Some(sealed) = self.peers[place].seal(packet) {
            self.send_from(place, sealed);
        }
    }

    fn deliver(&mut self, path: Path, bytes: Vec<u8>) {
        let Some(place) = self.peers.iter().position(|p| p.has(&path)) else { return };
        self.watch_index(place, &bytes);
        self.bytes_to_peers += bytes.len() as u64;
        if let Some(at) = self.behind.get(&place) {
            // With the headers of UDP and IPv4, as links count.
            let passage = self.bottlenecks[*at].carry(self.now, place, bytes.len() + 28, &mut self.rng);
            if let Some(at) = passage.arrives {
                self.post(at, Parcel::ToPeer(place, bytes));
            }
            return;
        }
        for at in self.peers[place].down.carry(self.now, bytes.len(), &mut self.rng) {
            self.post(at, Parcel::ToPeer(place, bytes.clone()));
        }
    }

    fn post(&mut self, at: Instant, parcel: Parcel) {
        self.sent += 1;
        self.in_flight.push(Reverse((at, self.sent)));
        self.parcels.insert(self.sent, parcel);
    }

    fn hand_over(&mut self, place: usize, bytes: Vec<u8>) {
        let Some(clear) = self.peers[place].open(bytes) else { return };
        if let Some(publisher) = self.publishers.get_mut(&place) {
            publisher.receive(self.now, &clear);
        }
        if let Some(publisher) = self.layered.get_mut(&place) {
            publisher.receive(self.now, &clear);
        }
        if let Some(viewer) = self.viewers.get_mut(&place) {
            viewer.receive(self.now, &clear);
        }
        if let Some(browser) = self.browsers.get_mut(&place) {
            browser.receive(self.now, &clear);
        }
    }

    /// GCM breaks when two plaintexts are sealed under one index: no test may ever see that.
    fn watch_index(&mut self, place: usize, bytes: &[u8]) {
        if bytes.len() < 12 || !(128..192).contains(&bytes[0]) || (192..224).contains(&bytes[1]) {
            return;
        }
        let ssrc = Ssrc(u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]));
        let wire = u16::from_be_bytes([bytes[2], bytes[3]]);
        let highest = self.highest.entry((place, ssrc)).or_insert_with(|| 0x1_0000 + u64::from(wire));
        let index = millrace::wire::id::Seq(*highest).nearest(millrace::wire::id::Seq16(wire)).0;
        *highest = index.max(*highest);
        let digest = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
        let before = *self.seals.entry((place, ssrc, index)).or_insert(digest);
        assert_eq!(before, digest, "index {index} of {ssrc:?} towards peer {place} sealed two plaintexts");
    }

    /// How many SRTP indices were used.
    pub fn seals(&self) -> usize {
        self.seals.len()
    }
}
