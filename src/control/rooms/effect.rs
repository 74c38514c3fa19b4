//! What the rooms want done: values, which the actor carries out.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::LinkId;
use crate::control::ids::{Gid, Uid};
use crate::handshake::Fingerprint;
use crate::router::command::{Command, IceCredentials, Kind, SessionParams};
use crate::router::id::{SessionId, ShardId, TrackId};
use crate::signal::message::{Notice, Person, Said, Stream, StreamId};

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
    /// What happened in a group, for who asked to be told.
    Report(Gid, Happened),
}

/// What happened in a group, as webhooks tell it.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Somebody came.
    Join(Person),
    /// Somebody left, with all sessions.
    Leave(Uid),
    /// A stream is published.
    Publish(Stream),
    /// A stream is over.
    Unpublish(StreamId),
    /// Something was said.
    Message(Said),
    /// The last one left: the call is over.
    End,
}

impl Happened {
    /// Its name, and what there is to say of it.
    pub fn told(&self) -> (&'static str, Value) {
        match self {
            Self::Join(person) => ("join", json!(person)),
            Self::Leave(uid) => ("leave", json!({ "uid": uid })),
            Self::Publish(stream) => ("publish", json!(stream)),
            Self::Unpublish(stream) => ("unpublish", json!(stream)),
            Self::Message(said) => ("message", json!(said)),
            Self::End => ("end", json!({})),
        }
    }
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
