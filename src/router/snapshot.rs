//! What a successor needs of a session so that its peer notices nothing but a short pause: how it is reached, its keys with
//! every index that was used, and where the numbers of its slots stand.
//!
//! What can be had again is left out. What a publisher sends comes again with the next keyframe; what is muted and limited the
//! control plane says anew. It says what each slot shows as well, but a thousand of them are not told in time for the first
//! keyframe, and the next one has its price. And who had to find out anew what a way carries would pause pictures meanwhile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::allocate::Allocation;
use super::bandwidth::Estimator;
use super::bandwidth::reported::Reported;
use super::command::{IceCredentials, SessionParams, SlotParams, View};
use super::egress::numbers::Numbers;
use super::egress::slot::Slot;
use super::event::SessionStats;
use super::id::{SessionId, ShardId, TrackId};
use super::ingest::streams::Stream;
use super::paths::Route;
use super::{Router, session_at};
use crate::batch::Path;
use crate::units::{Bitrate, Duration, Instant};
use crate::wire::srtp::{Material, Windows};

/// SRTCP indices that a successor leaves out. Ours ends when all that it sealed is known, so none would do: it is for the
/// day on which that is not so.
const SPARE: u32 = 256;

/// A session that had its keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which one.
    pub id: SessionId,
    /// Whose it is.
    pub owner: ShardId,
    /// What its peer proves to know, now and after a restart that it has not taken up yet.
    local: IceCredentials,
    restart: Option<IceCredentials>,
    /// Where valid checks came from, and where it sends to. No TCP connections: they end with their process.
    paths: Vec<Path>,
    path: Option<Path>,
    heard: Instant,
    lost: bool,
    material: Material,
    next_rtcp: u32,
    windows: Windows,
    transport_seq: u16,
    epoch: Duration,
    estimator: Option<Box<Estimator>>,
    reported: Reported,
    allocation: Allocation,
    limit: Bitrate,
    voices: u8,
    slots: Vec<SlotSnapshot>,
    streams: Vec<Stream>,
    stats: SessionStats,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SlotSnapshot {
    params: SlotParams,
    numbers: Numbers,
    track: Option<TrackId>,
    view: View,
}

impl SlotSnapshot {
    fn of(slot: &Slot) -> Self {
        let Slot { params, track, view, .. } = slot;
        Self { params: params.clone(), numbers: slot.numbers(), track: *track, view: *view }
    }
}

impl Router {
    /// Our sessions that have their keys, as they are when nothing is sent any more.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let owner = self.config.shard;
        let ours = self.sessions.iter().flatten().filter_map(|session| {
            let guest = self.lobby.at(session.params.id.index)?;
            let (sealer, opener) = session.outlet.sealer.as_ref().zip(session.opener.as_ref())?;
            let datagrams = |path: &Path| !path.is_stream();
            let (local, restart) = guest.credentials();
            Some(Snapshot {
                id: session.params.id,
                owner,
                local,
                restart,
                paths: guest.paths.iter().copied().filter(datagrams).collect(),
                path: session.outlet.path.filter(datagrams),
                heard: session.heard,
                lost: session.lost,
                material: session.material.clone()?,
                next_rtcp: sealer.next_rtcp(),
                windows: opener.windows().clone(),
                transport_seq: session.outlet.transport_seq,
                epoch: session.epoch,
                estimator: session.outlet.estimator.clone(),
                reported: session.reported,
                allocation: session.allocation.clone(),
                limit: session.limit,
                voices: session.voices,
                slots: session.slots.iter().map(SlotSnapshot::of).collect(),
                streams: session.streams.iter().copied().collect(),
                stats: session.stats,
            })
        });
        ours.collect()
    }

    /// Takes over a session of another process, which must not send any more: ours from then on if its owner is this shard.
    /// Every shard is told of every session. `now` goes on from where time was there.
    pub fn restore(&mut self, now: Instant, params: Arc<SessionParams>, snapshot: &Snapshot) {
        let (id, place) = (snapshot.id, snapshot.id.index);
        self.add_session(now, Arc::clone(&params));
        self.lobby.reinstate(id, &snapshot.local, snapshot.restart.as_ref(), &snapshot.paths);
        let ours = snapshot.owner == self.config.shard;
        let route = if ours { Route::Here(place) } else { Route::Relay(snapshot.owner) };
        snapshot.paths.iter().for_each(|path| self.paths.set(*path, route));
        let Some(keys) = snapshot.material.keys().filter(|_| ours) else {
            for track in &params.tracks {
                self.announce(now, track.id, track.kind, snapshot.owner);
            }
            return;
        };
        self.adopt(now, place, params);
        let Some(session) = session_at(&mut self.sessions, place) else { return };
        session.add_slots(snapshot.slots.iter().map(|slot| slot.params.clone()).collect());
        for slot in &snapshot.slots {
            session.resume_slot(slot.params.slot, slot.numbers);
        }
        session.resume(&keys, snapshot.next_rtcp.saturating_add(SPARE), snapshot.windows.clone());
        session.outlet.path = snapshot.path;
        session.outlet.transport_seq = snapshot.transport_seq;
        session.outlet.estimator.clone_from(&snapshot.estimator);
        session.reported = snapshot.reported;
        session.allocation.clone_from(&snapshot.allocation);
        session.streams.resume(&snapshot.streams);
        (session.heard, session.lost) = (snapshot.heard, snapshot.lost);
        (session.limit, session.voices) = (snapshot.limit, snapshot.voices);
        session.epoch = snapshot.epoch;
        // That was told, or would have been.
        session.news.lost = snapshot.lost;
        session.count_from(snapshot.stats);
        self.secured(now, place);
        for slot in &snapshot.slots {
            self.watch(now, id, slot.params.slot, slot.track, slot.view);
        }
    }
}
