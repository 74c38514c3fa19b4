//! What the rooms want done: values, which the actor carries out.

use std::sync::Arc;

use bytes::Bytes;

use super::LinkId;
use crate::handshake::Fingerprint;
use crate::router::command::{Command, IceCredentials, Kind, SessionParams};
use crate::router::id::{SessionId, ShardId, TrackId};
use crate::signal::message::Notice;

/// One thing to do. They are to be done in their order.
#[derive(Debug)]
pub enum Effect {
    /// Say the same to some links.
    Tell(Vec<LinkId>, Notice),
    /// Say to one link what was written for several: a notice, as a line.
    Say(LinkId, Bytes),
    /// End the transport of a link, after all that was told to it.
    Close(LinkId),
    /// A command to one shard.
    Shard(ShardId, Command),
    /// A command to every shard.
    Shards(ToAll),
    /// A handshake is about to begin, with a peer that has one of these certificates.
    Expect(SessionId, Vec<Fingerprint>),
    /// No handshake any more.
    Forget(SessionId),
}

/// A command that every shard gets a copy of.
#[derive(Clone, Debug)]
pub enum ToAll {
    /// [`Command::AddSession`]
    AddSession(Arc<SessionParams>),
    /// [`Command::RestartIce`]
    RestartIce(SessionId, IceCredentials),
    /// [`Command::RemoveSession`]
    RemoveSession(SessionId),
    /// [`Command::AnnounceTrack`]
    AnnounceTrack(TrackId, Kind, ShardId),
    /// [`Command::WithdrawTrack`]
    WithdrawTrack(TrackId),
}

impl ToAll {
    /// One copy.
    pub fn command(&self) -> Command {
        match self {
            Self::AddSession(params) => Command::AddSession(Arc::clone(params)),
            Self::RestartIce(session, local) => {
                Command::RestartIce { session: *session, local: local.clone() }
            }
            Self::RemoveSession(session) => Command::RemoveSession(*session),
            Self::AnnounceTrack(track, kind, home) => {
                Command::AnnounceTrack { track: *track, kind: *kind, home: *home }
            }
            Self::WithdrawTrack(track) => Command::WithdrawTrack(*track),
        }
    }
}
