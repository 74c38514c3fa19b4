//! What a signalling session asks of the state: the directory decides who may, the rooms do.

use std::net::IpAddr;
use std::time::Duration;

use super::directory::{Asker, Failure, Happening, Membership, TokenId};
use super::ids::{Gid, Uid};
use super::rooms::{Attachment, LinkId, Removal, Seat};
use super::{Now, State};
use crate::signal::message::{Answer, Mark, Refusal, Request, Secret, VERSION, Welcome};

/// When to ask a server again that takes nobody new.
pub(super) const DRAINING_AGAIN: Duration = Duration::from_secs(10);

/// A signed-in session.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn {
    /// Its link, on this transport.
    pub attachment: Attachment,
    /// Who asks.
    pub asker: Asker,
}

impl State {
    /// Signs a client in.
    pub fn hello(
        &mut self,
        now: Now,
        from: IpAddr,
        v: u32,
        token: &Secret,
        resume: Option<&Secret>,
    ) -> Result<(SignedIn, Welcome), Refusal> {
        if v != VERSION {
            return Err(Refusal::new("VERSION", format!("This server speaks version {VERSION}.")));
        }
        let identity = self
            .directory
            .authenticate(now.unix, &token.0)
            .ok_or_else(|| Refusal::new("AUTHFAIL", "The token is not valid: sign in again."))?;
        if self.draining && resume.is_none() {
            let text = "This server takes nobody new at the moment: try again, perhaps at another one.";
            return Err(Refusal::busy(text, DRAINING_AGAIN));
        }
        let asker = Asker { uid: identity.uid, token: identity.token, from };
        let (attachment, welcome) = self.rooms.hello(now.instant, identity, resume)?;
        Ok((SignedIn { attachment, asker }, welcome))
    }

    /// Does what a signed-in client asks. Every right is checked here or in the rooms, whatever the client shows.
    pub fn request(&mut self, now: Now, who: &SignedIn, request: &Request) -> Result<Answer, Refusal> {
        let link = who.attachment.link;
        if !self.rooms.is_current(who.attachment) {
            return Err(Refusal::new("SIGNOUT", "This session was taken up elsewhere."));
        }
        let rooms = &mut self.rooms;
        match request {
            Request::Hello { .. } => {
                return Err(Refusal::new("BADOP", "This session has said hello already."));
            }
            Request::Join { gid, pin } => {
                let pin = pin.as_ref().map(|pin| pin.0.as_str());
                return self.join(now, who, *gid, pin);
            }
            Request::Leave { gid } => {
                rooms.leave(now.instant, link, *gid);
            }
            Request::Publish(ask) => {
                let silent: Vec<_> = ask.gids.iter().copied().filter(|gid| rooms.is_silent(*gid)).collect();
                let answer = rooms.publish(now.instant, link, ask)?;
                ask.gids.iter().for_each(|gid| rooms.begin_call(now.instant, link, *gid));
                silent.into_iter().for_each(|gid| self.ring(now, link, gid));
                return Ok(answer);
            }
            Request::Share { sid, gids } => {
                let silent: Vec<_> = gids.iter().copied().filter(|gid| rooms.is_silent(*gid)).collect();
                rooms.share(link, *sid, gids)?;
                gids.iter().for_each(|gid| rooms.begin_call(now.instant, link, *gid));
                silent.into_iter().for_each(|gid| self.ring(now, link, gid));
            }
            Request::Unpublish { sid, gid } => rooms.unpublish(link, *sid, *gid)?,
            Request::Moderate(ask) => self.moderate(now, link, ask)?,
            Request::Edit(ask) => self.edit(link, ask)?,
            Request::Mute { sid, audio, video } => rooms.mute(link, *sid, *audio, *video)?,
            Request::Watch(ask) => {
                rooms.watch(link, ask)?;
                rooms.begin_call(now.instant, link, ask.gid);
            }
            Request::Unwatch(stream) => rooms.unwatch(link, *stream)?,
            Request::Answer { rev, sdp } => rooms.answer(now.instant, link, *rev, sdp)?,
            Request::Restart { watching: true, .. } => rooms.restart_viewing(link)?,
            Request::Restart { sid: Some(sid), sdp: Some(sdp), .. } => {
                return rooms.restart_stream(link, *sid, sdp);
            }
            Request::Restart { .. } => {
                return Err(Refusal::new(
                    "BADARG",
                    "Restart either a stream, with sid and sdp, or watching.",
                ));
            }
            Request::Message(say) => return self.say(now, link, say),
            Request::Receipt { gid, delivered, read } => {
                self.receipt(link, *gid, Mark { delivered: *delivered, read: *read })?;
            }
            Request::History(ask) => return self.history(now, link, ask).map(Answer::History),
            Request::File { file } => return self.file_link(now, who, *file),
            Request::Hand { gid, up } => rooms.hand(now.instant, link, *gid, *up)?,
            Request::React { gid, text } => rooms.react(now.instant, link, *gid, text)?,
            Request::Ping {} => {}
            Request::Bye {} => rooms.bye(now.instant, link),
        }
        Ok(Answer::Done {})
    }

    fn join(&mut self, now: Now, who: &SignedIn, gid: Gid, pin: Option<&str>) -> Result<Answer, Refusal> {
        let membership = self.directory.join_group(now.unix, &who.asker, gid, pin).map_err(refusal)?;
        let seat = self.seat(now, who.asker.token, membership);
        self.rooms.join(now.instant, who.attachment.link, gid, seat).map(Answer::Joined)
    }

    /// Tells members who are elsewhere that somebody begins a call in a group.
    pub(super) fn ring(&mut self, now: Now, by: LinkId, gid: Gid) {
        let Some(group) = self.directory.group(gid) else { return };
        let name = group.name.clone();
        let members = self.directory.rings_for(now.unix, gid);
        self.rooms.ring(now.instant, by, gid, &name, &members);
    }

    /// What a membership gives to who came with this token.
    pub(super) fn seat(&self, now: Now, token: TokenId, mut membership: Membership) -> Seat {
        membership.limits = membership.limits.and(self.directory.token_limits(token));
        Seat::new(&membership, now.instant, now.unix)
    }

    /// Lets the rooms act upon what happened in the directory.
    pub fn settle(&mut self, now: Now) {
        self.act_upon(now);
        // A guest who goes with a resource is one more thing that happened.
        while self.forget_posted(now) {
            self.act_upon(now);
        }
    }

    fn act_upon(&mut self, now: Now) {
        for happening in self.directory.take_happenings() {
            match happening {
                Happening::TokenDead(token) => self.rooms.end_token(now.instant, token, false),
                Happening::TokenExpired(token) => self.rooms.end_token(now.instant, token, true),
                Happening::GroupGone(gid) => {
                    for (link, _) in self.rooms.present(gid) {
                        self.rooms.remove(now.instant, link, gid, Removal::Deleted);
                    }
                }
                Happening::GroupChanged(gid) => {
                    for (link, uid) in self.rooms.present(gid) {
                        self.look_up(now, link, gid, uid);
                    }
                }
                Happening::MemberChanged(gid, uid) => {
                    for link in self.rooms.links_of(gid, uid) {
                        self.look_up(now, link, gid, uid);
                    }
                }
                Happening::TokenChanged(token) => {
                    for (link, gid) in self.rooms.seats_of(token) {
                        let Some(uid) = self.rooms.holder(link).map(|user| user.uid) else { continue };
                        self.look_up(now, link, gid, uid);
                    }
                }
                Happening::MemberGone(gid, uid) => {
                    for link in self.rooms.links_of(gid, uid) {
                        self.rooms.remove(now.instant, link, gid, Removal::Removed);
                    }
                }
            }
        }
    }

    pub(super) fn links_of(&self, gid: Gid, uid: Uid) -> Vec<LinkId> {
        self.rooms.links_of(gid, uid)
    }

    /// Looks up what somebody may do in a group now.
    fn look_up(&mut self, now: Now, link: LinkId, gid: Gid, uid: Uid) {
        match self.directory.membership(now.unix, uid, gid) {
            Ok(membership) => {
                let Some(token) = self.rooms.holder(link).map(|user| user.token) else { return };
                let seat = self.seat(now, token, membership);
                self.rooms.set_seat(link, gid, seat);
            }
            Err(Failure::Expired) => self.rooms.remove(now.instant, link, gid, Removal::Expired),
            Err(_) => self.rooms.remove(now.instant, link, gid, Removal::Removed),
        }
    }
}

pub(super) fn refusal(failure: Failure) -> Refusal {
    let text = failure.to_string();
    let mut letters = text.chars();
    let sentence = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>());
    Refusal::new(failure.name(), sentence.unwrap_or_default() + ".")
}

#[cfg(test)]
mod tests;
