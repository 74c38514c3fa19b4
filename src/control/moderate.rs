//! What owner and admins do to others in a running call. The owner may do everything, an admin what the record says;
//! nobody moderates the owner, and only the owner moderates an admin.

use super::directory::{Failure, MemberChanges};
use super::ids::{Gid, Uid};
use super::requests::refusal;
use super::rights::Admin;
use super::rooms::{LinkId, Removal};
use super::{Now, State};
use crate::signal::message::{Action, Edit, Moderate, Muted, Notice, Refusal};
use crate::sorted::Set;

/// People that one request may name.
const NAMED: usize = 500;

impl State {
    /// Does something to some people of a group, or to all, or asks it of them.
    pub(super) fn moderate(&mut self, now: Now, link: LinkId, ask: &Moderate) -> Result<(), Refusal> {
        let Moderate { gid, action, uids, sid, audio, video, stream } = ask;
        let gid = *gid;
        let (by, name) = self.moderator(link, gid, |admin| match action {
            Action::Remove => admin.remove,
            _ => admin.moderate,
        })?;
        let people = self.subject(gid, by, uids.as_deref())?;
        if let Some(stream) = stream {
            self.rooms.must_have(gid, *stream)?;
        }
        // Where neither is named both are meant.
        let both = audio.is_none() && video.is_none();
        let what = Muted { audio: both || *audio == Some(true), video: both || *video == Some(true) };
        match action {
            Action::Mute => people.iter().for_each(|uid| self.rooms.mute_for(gid, by, *uid, *sid, what)),
            Action::Hangup => people.iter().for_each(|uid| self.rooms.hang_up(gid, *uid, *sid)),
            Action::Lower => people.iter().for_each(|uid| self.rooms.lower_hand_of(gid, *uid)),
            Action::Remove => people.iter().for_each(|uid| self.put_out(now, gid, *uid)),
            Action::Unmute
            | Action::Publish
            | Action::Stop
            | Action::Subscribe
            | Action::Fullscreen
            | Action::Leave => {
                let (sid, stream, what_of) = (*sid, *stream, *action == Action::Unmute);
                let (audio, video) = if what_of { (what.audio, what.video) } else { (false, false) };
                let notice = Notice::Asked { gid, by, name, action: *action, sid, audio, video, stream };
                self.rooms.ask_people(gid, &people, notice);
            }
        }
        Ok(())
    }

    /// Changes what some members may do; it acts at once.
    pub(super) fn edit(&mut self, link: LinkId, ask: &Edit) -> Result<(), Refusal> {
        let (by, _) = self.moderator(link, ask.gid, |admin| admin.members)?;
        if ask.admin.is_some() && !self.owns(by, ask.gid) {
            return Err(Refusal::new("NOTALLOWED", "Only the owner makes admins."));
        }
        if !ask.limits.valid() {
            return Err(Refusal::new(
                "BADARG",
                "There is no such resolution, or number of voices or layers.",
            ));
        }
        for uid in self.subject(ask.gid, by, Some(&ask.uids))? {
            let changes = MemberChanges { limits: ask.limits, admin: ask.admin, ..MemberChanges::default() };
            self.directory.edit_member(ask.gid, uid, ask.rights.said(), &changes).map_err(refusal)?;
        }
        Ok(())
    }

    /// Who asks, if that person has this bit.
    fn moderator(
        &self,
        link: LinkId,
        gid: Gid,
        may: impl Fn(Admin) -> bool,
    ) -> Result<(Uid, String), Refusal> {
        let user = self.rooms.holder(link).ok_or_else(|| Refusal::new("AUTHFAIL", "The session is over."))?;
        let (uid, name) = (user.uid, user.name.clone());
        if !self.rooms.people(gid).contains(&uid) {
            return Err(Refusal::new("BADGROUP", format!("Join group {gid} first.")));
        }
        if !may(self.directory.admin(gid, uid)) {
            return Err(Refusal::new("NOTALLOWED", "You may not do this: ask the owner of the room."));
        }
        Ok((uid, name))
    }

    /// Whom it is done to: those named, or everyone else who is here and may be moderated by `by`.
    fn subject(&self, gid: Gid, by: Uid, named: Option<&[Uid]>) -> Result<Set<Uid>, Refusal> {
        let owner = self.owns(by, gid);
        let may = |uid: Uid| !self.owns(uid, gid) && (owner || self.directory.admin(gid, uid) == Admin::NONE);
        let Some(named) = named else {
            return Ok(self.rooms.people(gid).into_iter().filter(|uid| *uid != by && may(*uid)).collect());
        };
        if named.len() > NAMED {
            return Err(Refusal::new("TOOMANY", format!("Name {NAMED} people at most.")));
        }
        if !named.iter().all(|uid| may(*uid)) {
            return Err(Refusal::new(
                "NOTALLOWED",
                "The owner is above this, and admins are but for the owner.",
            ));
        }
        Ok(named.iter().copied().collect())
    }

    fn owns(&self, uid: Uid, gid: Gid) -> bool {
        self.directory.group(gid).is_some_and(|group| group.owner == uid)
    }

    /// Sends somebody who is in a group to another one, and makes that person a member of it.
    pub fn send_over(&mut self, now: Now, gid: Gid, uid: Uid, to: Gid) -> Result<(), Failure> {
        if !self.owns(uid, to) && !self.directory.is_member(to, uid) {
            self.directory.amend_member(to, uid, |_| ())?;
        }
        for link in self.links_of(gid, uid) {
            self.rooms.send_over(now.instant, link, gid, to);
        }
        Ok(())
    }

    /// Ends a membership, and puts the person out whatever the group leaves to anyone.
    pub fn put_out(&mut self, now: Now, gid: Gid, uid: Uid) {
        self.directory.remove_from(gid, uid);
        for link in self.links_of(gid, uid) {
            self.rooms.remove(now.instant, link, gid, Removal::Removed);
        }
    }
}

#[cfg(test)]
mod tests;
