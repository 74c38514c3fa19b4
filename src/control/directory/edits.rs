//! What an owner, or an admin who may, changes of members and pins in a group that is there.

use super::{
    Change, Directory, Failure, GroupEntry, Happening, Listed, Member, MemberChanges, Pin, PinChanges,
    PinRole, TokenId,
};
use crate::control::ids::{Gid, Uid};
use crate::control::limits::Limits;
use crate::control::rights::{Admin, Override};
use crate::sorted::sort_by_key;

/// Pins of one group.
pub(super) const PINS: usize = 100;

impl Directory {
    /// Changes what is said of users in a group; who is not a member yet becomes one. All or none: an address that nobody
    /// has fails, and so do the owner and other admins where an admin asks, and bits of admins, which the owner alone sets.
    pub fn edit_members(
        &mut self,
        by: Uid,
        gid: Gid,
        addresses: &[&str],
        changes: &MemberChanges,
    ) -> Result<(), Failure> {
        let uids = self.users_at(by, gid, addresses, |admin| admin.members)?;
        if changes.admin.is_some() && self.group(gid).is_none_or(|group| group.owner != by) {
            return Err(Failure::NotAllowed);
        }
        uids.into_iter().try_for_each(|uid| self.edit_member(gid, uid, Override::default(), changes))
    }

    /// Changes what is said of one user in a group, who becomes a member: `rights` where they say something, the rest
    /// by `changes`. Whoever asks must have been found to be allowed to.
    pub fn edit_member(
        &mut self,
        gid: Gid,
        uid: Uid,
        rights: Override,
        changes: &MemberChanges,
    ) -> Result<(), Failure> {
        self.amend_member(gid, uid, |member| {
            changes.apply(member);
            member.said = rights.or(member.said);
        })
    }

    /// Ends one membership. Whoever asks must have been found to be allowed to.
    pub fn remove_from(&mut self, gid: Gid, uid: Uid) {
        self.remove_member(gid, uid);
        self.happenings.push(Happening::MemberGone(gid, uid));
    }

    /// Ends memberships in a group.
    pub fn remove_members(&mut self, by: Uid, gid: Gid, addresses: &[&str]) -> Result<(), Failure> {
        for uid in self.users_at(by, gid, addresses, |admin| admin.remove)? {
            self.remove_from(gid, uid);
        }
        Ok(())
    }

    /// The users with these addresses, if `by` may do what `may` says to all of them.
    fn users_at(
        &self,
        by: Uid,
        gid: Gid,
        addresses: &[&str],
        may: impl Fn(&Admin) -> bool,
    ) -> Result<Vec<Uid>, Failure> {
        let entry = self.groups.get(&gid).filter(|entry| entry.may(by, may)).ok_or(Failure::BadGroup)?;
        let user = |address: &&str| {
            let uid = self.addresses.get(*address).copied().ok_or(Failure::BadUser)?;
            let above = entry.group.owner == uid || !entry.admin(uid).is_none() && by != uid;
            if above && entry.group.owner != by { Err(Failure::NotAllowed) } else { Ok(uid) }
        };
        addresses.iter().map(user).collect()
    }

    /// Adds a pin to a group; its digits.
    pub fn add_pin(&mut self, by: Uid, gid: Gid, changes: &PinChanges) -> Result<String, Failure> {
        let mut group = self.keyed(by, gid)?.group.clone();
        if group.pins.len() >= PINS {
            return Err(Failure::TooMany);
        }
        self.append_pin(&mut group, PinRole::Further, Override::default());
        let pin = group.pins.last_mut().ok_or(Failure::TooMany)?;
        changes.apply(pin);
        let digits = pin.digits.clone();
        self.changes.push(Change::PutGroup(gid, group.clone()));
        self.keyed(by, gid)?.group = group;
        Ok(digits)
    }

    /// Changes a pin of a group, and with it what it gave to those who came with it.
    pub fn edit_pin(&mut self, by: Uid, gid: Gid, digits: &str, changes: &PinChanges) -> Result<(), Failure> {
        self.keyed(by, gid)?;
        self.amend_pin(gid, digits, |pin| changes.apply(pin))
    }

    /// Removes a pin of a group. Who came with it keeps what it gave, or goes with it if it says so.
    pub fn remove_pin(&mut self, by: Uid, gid: Gid, digits: &str) -> Result<(), Failure> {
        let GroupEntry { group, members } = self.keyed(by, gid)?;
        let owner = group.owner;
        let place = group.pins.iter().position(|pin| pin.digits == digits).ok_or(Failure::BadGroup)?;
        let pin = group.pins.remove(place);
        let change = Change::PutGroup(gid, group.clone());
        let came = members.iter_mut().filter(|(_, known)| known.member.pin.as_deref() == Some(digits));
        let (mut gone, mut changes) = (Vec::new(), vec![change]);
        for (uid, known) in came {
            // The digits may be drawn again.
            known.member.pin = None;
            if pin.leave {
                gone.push(*uid);
            } else if known.kept {
                changes.push(Change::PutMember(gid, *uid, known.member.clone()));
            }
        }
        self.changes.extend(changes);
        for uid in gone {
            self.remove_member(gid, uid);
            // The owner is no less the owner for having come with a pin.
            let owns = uid == owner;
            self.happenings.push(match owns {
                true => Happening::MemberChanged(gid, uid),
                false => Happening::MemberGone(gid, uid),
            });
        }
        Ok(())
    }

    /// The pins of a group, in the order in which they were made.
    pub fn pins(&self, by: Uid, gid: Gid) -> Result<&[Pin], Failure> {
        let entry = self.groups.get(&gid).filter(|entry| entry.may(by, |admin| admin.pins));
        entry.map(|entry| entry.group.pins.as_slice()).ok_or(Failure::BadGroup)
    }

    /// The members of a group, with the owner, in the order of their numbers.
    pub fn members(&self, by: Uid, gid: Gid) -> Result<Vec<Listed>, Failure> {
        let sees = |admin: &Admin| admin.members || admin.remove;
        let entry = self.groups.get(&gid).filter(|entry| entry.may(by, sees)).ok_or(Failure::BadGroup)?;
        let owner = entry.group.owner;
        let mut uids: Vec<Uid> = entry.members.keys().copied().filter(|uid| *uid != owner).collect();
        uids.push(owner);
        sort_by_key(&mut uids, |uid| *uid);
        let listed = uids.into_iter().filter_map(|uid| {
            let user = self.user(uid)?;
            let member = entry.members.get(&uid).map(|known| known.member.clone()).unwrap_or_default();
            let (name, address) = (user.name.clone(), user.address.clone());
            Some(Listed { uid, name, address, member, rights: entry.rights(uid) })
        });
        Ok(listed.collect())
    }

    /// What the holder of a token may send and get at most from now on.
    pub fn limit_token(&mut self, id: TokenId, limits: Limits) -> Result<(), Failure> {
        let token = self.tokens.get_mut(&id).ok_or(Failure::AuthFail)?;
        if token.limits == limits {
            return Ok(());
        }
        token.limits = limits;
        let token = token.clone();
        if self.users.get(&token.uid).is_some_and(|entry| entry.kept) {
            self.changes.push(Change::PutToken(id, token));
        }
        self.happenings.push(Happening::TokenChanged(id));
        Ok(())
    }

    /// A group whose pins `by` may change.
    fn keyed(&mut self, by: Uid, gid: Gid) -> Result<&mut GroupEntry, Failure> {
        let entry = self.groups.get_mut(&gid).filter(|entry| entry.may(by, |admin| admin.pins));
        entry.ok_or(Failure::BadGroup)
    }
}

impl MemberChanges {
    fn apply(&self, member: &mut Member) {
        member.said = self.said.unwrap_or(member.said);
        member.resolution = self.resolution.unwrap_or(member.resolution);
        member.call_flags = self.call_flags.unwrap_or(member.call_flags);
        member.expires = self.expires.unwrap_or(member.expires);
        member.call_duration = self.call_duration.unwrap_or(member.call_duration);
        member.limits = member.limits.changed(&self.limits);
        member.admin = self.admin.unwrap_or(member.admin);
    }
}

impl PinChanges {
    fn apply(&self, pin: &mut Pin) {
        pin.rights = pin.rights.changed(&self.rights);
        pin.expires = self.expires.unwrap_or(pin.expires);
        pin.count = self.count.unwrap_or(pin.count);
        pin.limits = pin.limits.changed(&self.limits);
        pin.leave = self.leave.unwrap_or(pin.leave);
        pin.call_duration = self.call_duration.unwrap_or(pin.call_duration);
    }
}
