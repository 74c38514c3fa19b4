//! What is there, for REST in resource style, which finds out itself who may see it.

use super::{App, Change, Directory, Group, Listed, Member, User};
use crate::control::ids::{Gid, Uid};
use crate::sorted::sort_by_key;

impl Directory {
    /// The users in the order of their numbers, from this one on.
    pub fn users_from(&self, first: Uid) -> Vec<(Uid, &User)> {
        let mut users: Vec<_> = self.users.iter().filter(|(uid, _)| **uid >= first).collect();
        sort_by_key(&mut users, |(uid, _)| **uid);
        users.into_iter().map(|(uid, entry)| (*uid, &entry.user)).collect()
    }

    /// The apps, in the order of their names.
    pub fn apps(&self) -> impl Iterator<Item = (&str, &App)> {
        self.apps.iter().map(|(appid, app)| (appid.as_str(), app))
    }

    /// The user with this address.
    pub fn user_at(&self, address: &str) -> Option<Uid> {
        self.addresses.get(address).copied()
    }

    /// The groups in the order of their numbers, from this one on.
    pub fn groups_from(&self, first: Gid) -> impl Iterator<Item = (Gid, &Group)> {
        self.groups.range(first..).map(|(gid, entry)| (*gid, &entry.group))
    }

    /// Has the store keep something that it holds already: whether it can is what is to be found out.
    pub fn touch(&mut self) {
        self.changes.push(Change::Numbers(self.numbers));
    }

    /// How many users, tokens and groups there are.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.users.len(), self.tokens.len(), self.groups.len())
    }

    /// The groups that a user owns or is a member of, in the order of their numbers.
    pub fn groups_of(&self, uid: Uid) -> Vec<Gid> {
        let Some(entry) = self.users.get(&uid) else { return Vec::new() };
        let mut gids = entry.owns.clone();
        gids.extend(entry.member_of.iter().copied());
        gids.into_iter().collect()
    }

    /// Whether somebody is a member.
    pub fn is_member(&self, gid: Gid, uid: Uid) -> bool {
        self.groups.get(&gid).is_some_and(|entry| entry.members.contains_key(&uid))
    }

    /// One member of a group, or its owner.
    pub fn member(&self, gid: Gid, uid: Uid) -> Option<Listed> {
        let entry = self.groups.get(&gid)?;
        let member = entry.members.get(&uid).map(|known| known.member.clone());
        let member = member.or_else(|| (entry.group.owner == uid).then(Member::default))?;
        let user = self.user(uid)?;
        let (name, address) = (user.name.clone(), user.address.clone());
        Some(Listed { uid, name, address, member, rights: entry.rights(uid) })
    }
}
