//! Changes of users, groups, pins and members as a whole, for REST in resource style: whoever asks must have been found
//! to be allowed to.

use super::apps::kept_appid;
use super::{Change, Directory, Failure, Group, GroupEntry, Happening, Member, Pin, TokenId, User, tidy};
use crate::control::ids::{Gid, Uid};
use crate::control::limits::Limits;

impl Directory {
    /// Makes a user of an app; the address must be free.
    pub fn create_user(&mut self, appid: &str, name: &str, address: &str) -> Result<Uid, Failure> {
        let name = tidy(name).ok_or(Failure::MissingName)?;
        let address = tidy(address).ok_or(Failure::BadUser)?;
        if self.addresses.contains_key(&address) {
            return Err(Failure::TooMany);
        }
        Ok(self.add_user(User { name, address, guest_of: None, app: kept_appid(appid) }, true))
    }

    /// Gives a user another name.
    pub fn rename_user(&mut self, uid: Uid, name: &str) -> Result<(), Failure> {
        let name = tidy(name).ok_or(Failure::MissingName)?;
        self.user(uid).ok_or(Failure::BadUser)?;
        self.rename(uid, &name);
        Ok(())
    }

    /// A further token of a user.
    pub fn add_token_of(&mut self, uid: Uid, expires: u64, limits: Limits) -> Result<String, Failure> {
        self.user(uid).ok_or(Failure::BadUser)?;
        let token = self.add_token(uid, expires);
        self.limit_token(TokenId::of(&token), limits)?;
        Ok(token)
    }

    /// Ends all tokens of a user.
    pub fn end_tokens_of(&mut self, uid: Uid) {
        let ids: Vec<_> =
            self.tokens.iter().filter(|(_, token)| token.uid == uid).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.logout(id));
    }

    /// Removes a user, with all tokens, memberships and groups.
    pub fn delete_user(&mut self, uid: Uid) -> Result<(), Failure> {
        let entry = self.users.get(&uid).ok_or(Failure::BadUser)?;
        for gid in entry.owns.clone() {
            self.delete_group(uid, gid)?;
        }
        self.end_tokens_of(uid);
        self.remove_user(uid);
        Ok(())
    }

    /// Changes a group; its pins and its owner stay.
    pub fn amend_group(&mut self, gid: Gid, amend: impl FnOnce(&mut Group)) -> Result<(), Failure> {
        let group = &mut self.groups.get_mut(&gid).ok_or(Failure::BadGroup)?.group;
        amend(group);
        self.changes.push(Change::PutGroup(gid, group.clone()));
        self.happenings.push(Happening::GroupChanged(gid));
        Ok(())
    }

    /// Changes a pin, and with it what it gave to those who came with it.
    pub fn amend_pin(&mut self, gid: Gid, digits: &str, amend: impl FnOnce(&mut Pin)) -> Result<(), Failure> {
        let GroupEntry { group, members } = self.groups.get_mut(&gid).ok_or(Failure::BadGroup)?;
        let pin = group.pins.iter_mut().find(|pin| pin.digits == digits).ok_or(Failure::BadGroup)?;
        amend(pin);
        let (given, given_limits, duration) = (pin.rights, pin.limits, pin.call_duration);
        self.changes.push(Change::PutGroup(gid, group.clone()));
        let came = members.iter_mut().filter(|(_, known)| known.member.pin.as_deref() == Some(digits));
        for (uid, known) in came {
            (known.member.given, known.member.given_limits) = (given, given_limits);
            known.member.given_call_duration = duration;
            if known.kept {
                self.changes.push(Change::PutMember(gid, *uid, known.member.clone()));
            }
        }
        self.happenings.push(Happening::GroupChanged(gid));
        Ok(())
    }

    /// Changes what is said of a user in a group, who becomes a member.
    pub fn amend_member(
        &mut self,
        gid: Gid,
        uid: Uid,
        amend: impl FnOnce(&mut Member),
    ) -> Result<(), Failure> {
        let known = self.groups.get(&gid).ok_or(Failure::BadGroup)?.members.get(&uid);
        let user = self.users.get(&uid).ok_or(Failure::BadUser)?;
        // What somebody decided outlives a restart, though mere viewers of a webinar do not.
        let kept = user.kept;
        let mut member = known.map(|known| known.member.clone()).unwrap_or_default();
        amend(&mut member);
        if kept {
            self.changes.push(Change::PutMember(gid, uid, member.clone()));
        }
        self.insert_member(gid, uid, member, kept);
        self.happenings.push(Happening::MemberChanged(gid, uid));
        Ok(())
    }
}
