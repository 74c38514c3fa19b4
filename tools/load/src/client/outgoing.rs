//! What a participant publishes: frames that its caller encoded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace::control::ids::{Gid, Sid};
use millrace::signal::message::Request;
use millrace::wire::ext::audio_level::AudioLevel;
use millrace::wire::id::RtpTs;

use super::Shared;
use crate::Error;
use crate::drive::{Media, Running};
use crate::peer::Peer;
use crate::publisher::packets::{Vp8, h264_plain, vp8_plain};
use crate::publisher::rate::Rate;
use crate::publisher::wire::Wire;
use crate::sdp::Offering;
use crate::signal::Session;

const REPORTS: Duration = Duration::from_secs(1);
/// Bytes of a payload, at most: with headers, extensions and tag it fits into any path.
const PAYLOAD: usize = 1150;
/// What is probed for at most, in bit/s.
const WANTED: f64 = 4e6;
/// The level that is told of sound whose level nobody measured: a voice.
const VOICE: AudioLevel = AudioLevel { level: 30, voice: true };

/// How a picture is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// VP8.
    Vp8,
    /// H264, baseline profile, in Annex B.
    H264,
}

/// What is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracks {
    /// A picture.
    pub picture: Option<Picture>,
    /// Sound, as Opus.
    pub sound: bool,
}

/// A stream that one publishes.
#[derive(Debug)]
pub struct Outgoing {
    line: Arc<Line>,
}

/// What a stream goes by: a connection after the other, since a server may be followed by its successor.
#[derive(Debug)]
pub(super) struct Line {
    tracks: Tracks,
    /// What was offered last.
    offering: Mutex<Option<Offering>>,
    running: Mutex<Option<Running<Source>>>,
    key_wanted: Arc<AtomicBool>,
    allowed_bps: Arc<AtomicU64>,
}

impl Line {
    pub(super) fn new(tracks: Tracks) -> Arc<Self> {
        let (key_wanted, allowed_bps) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        Arc::new(Self {
            tracks,
            offering: Mutex::default(),
            running: Mutex::default(),
            key_wanted,
            allowed_bps,
        })
    }

    /// Publishes, on a new connection.
    pub(super) async fn publish(
        &self,
        shared: &Shared,
        gid: Gid,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.key_wanted.store(true, Ordering::Relaxed);
        let source = Source::new(self.tracks, self.key_wanted.clone(), self.allowed_bps.clone());
        let offering = source.wire.offered();
        *self.offering.lock().unwrap_or_else(PoisonError::into_inner) = Some(offering.clone());
        let ready = |extensions| {
            let mut source = source;
            source.wire.negotiated(extensions);
            source
        };
        let running = shared.send(gid, session, Vec::new(), &offering, ready, None).await?;
        let before = self.running().replace(running);
        if let Some(before) = before {
            // How it ended without its server is of no interest.
            let _ = before.stop().await;
        }
        Ok(())
    }

    /// Restarts ICE.
    pub(super) async fn restart(&self, shared: &Shared, session: &mut Session) -> Result<(), Error> {
        let offering = self.offering.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(offering) = offering else { return Ok(()) };
        let (ice, remote) = shared.restart(session, &offering).await?;
        if let Some(running) = &*self.running() {
            running.restart(ice, remote);
        }
        Ok(())
    }

    /// Goes on from another address of ours.
    pub(super) fn change_address(&self) {
        if let Some(running) = &*self.running() {
            running.change_address();
        }
    }

    /// Sends nothing any more, and says nothing of it.
    pub(super) async fn fall_silent(&self) {
        let running = self.running().take();
        if let Some(running) = running {
            // How it ended is of no interest.
            let _ = running.stop().await;
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running<Source>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self, due: Due) {
        if let Some(running) = &*self.running() {
            running.changer()(Box::new(move |source| source.due.push_back(due)));
        }
    }
}

impl Outgoing {
    pub(super) const fn over(line: Arc<Line>) -> Self {
        Self { line }
    }

    /// Sends an encoded picture. `at` is its time since any moment, the same for all of the stream.
    pub fn picture(&self, at: Duration, keyframe: bool, data: Vec<u8>) {
        let ticks = RtpTs((at.as_micros() * 90 / 1000) as u32);
        self.line.due(Due::Picture(ticks, keyframe, data));
    }

    /// Sends a packet of Opus of any length.
    pub fn sound(&self, at: Duration, data: Vec<u8>) {
        let ticks = RtpTs((at.as_micros() * 48 / 1000) as u32);
        self.line.due(Due::Sound(ticks, data));
    }

    /// Whether somebody needs a keyframe that has not been sent yet: the next picture should be one.
    pub fn keyframe_wanted(&self) -> bool {
        self.line.key_wanted.load(Ordering::Relaxed)
    }

    /// What the way to the server carries, in bit/s, by REMB, losses and delay: what encoders are to be set to.
    pub fn allowed_bps(&self) -> u64 {
        self.line.allowed_bps.load(Ordering::Relaxed)
    }

    pub(super) fn unpublish(&self, gid: Gid) -> Request {
        Request::Unpublish { sid: Sid(0), gid: Some(gid) }
    }

    pub(super) async fn stop(self) -> Result<(), Error> {
        let running = self.line.running().take();
        match running {
            Some(running) => running.stop().await.map(drop),
            None => Ok(()),
        }
    }
}

enum Due {
    Picture(RtpTs, bool, Vec<u8>),
    Sound(RtpTs, Vec<u8>),
}

/// The end of it that lives where sockets do.
struct Source {
    wire: Wire,
    codec: Option<Picture>,
    vp8: Vp8,
    due: VecDeque<Due>,
    key_wanted: Arc<AtomicBool>,
    allowed_bps: Arc<AtomicU64>,
    last: Option<(Instant, RtpTs)>,
    next_report: Option<Instant>,
}

impl Source {
    fn new(tracks: Tracks, key_wanted: Arc<AtomicBool>, allowed_bps: Arc<AtomicU64>) -> Self {
        let picture = tracks.picture;
        Self {
            wire: Wire::new(
                picture.iter().map(|_| None),
                tracks.sound,
                picture == Some(Picture::H264),
                Rate::new(true),
            ),
            codec: picture,
            vp8: Vp8 { picture: 0, key_index: 0 },
            due: VecDeque::new(),
            key_wanted,
            allowed_bps,
            last: None,
            next_report: None,
        }
    }

    /// Tells the encoder what it may use. What it would like is not known, so as much as can be found out is looked for.
    fn allow(&mut self, now: Instant) {
        let allowed = self.wire.rate.allowed(now, WANTED);
        self.allowed_bps.store(allowed as u64, Ordering::Relaxed);
    }

    fn send(&mut self, now: Instant, due: Due, peer: &mut Peer) {
        match due {
            Due::Sound(ticks, data) => self.wire.send_audio(peer, &data, ticks, VOICE),
            Due::Picture(ticks, keyframe, data) => {
                if keyframe {
                    self.wire.wanted(0);
                    self.vp8.key_index = (self.vp8.key_index + 1) & 0x1f;
                }
                self.vp8.picture = (self.vp8.picture + 1) & 0x7fff;
                self.last = Some((now, ticks));
                let payloads = match self.codec {
                    Some(Picture::Vp8) => vp8_plain(self.vp8, &data, PAYLOAD),
                    Some(Picture::H264) => h264_plain(&data, PAYLOAD),
                    None => return,
                };
                let count = payloads.len();
                for (n, payload) in payloads.into_iter().enumerate() {
                    self.wire.send_video(peer, 0, payload, n + 1 == count, ticks);
                }
            }
        }
    }
}

impl Media for Source {
    fn rtp(&mut self, _now: Instant, _packet: &[u8]) {}

    fn rtcp(&mut self, now: Instant, compound: &[u8]) {
        self.wire.rtcp(now, compound);
        self.allow(now);
        self.key_wanted.store(self.wire.key_wanted(0), Ordering::Relaxed);
    }

    fn poll(&mut self, now: Instant, peer: &mut Peer) {
        if !peer.connected() {
            return;
        }
        self.wire.turn(now);
        self.wire.repair_missed(peer);
        self.wire.probe(peer);
        self.allow(now);
        while let Some(due) = self.due.pop_front() {
            self.send(now, due, peer);
        }
        self.key_wanted.store(self.wire.key_wanted(0), Ordering::Relaxed);
        if self.next_report.is_none_or(|at| at <= now) {
            self.next_report = Some(now + REPORTS);
            if let Some((at, RtpTs(ticks))) = self.last {
                let since = now.duration_since(at).as_micros() * 90 / 1000;
                self.wire.report(now, RtpTs(ticks.wrapping_add(since as u32)), peer);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_report.into_iter().chain(self.wire.poll_timeout()).min()
    }
}
