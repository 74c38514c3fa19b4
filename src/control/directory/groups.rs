//! Groups, their pins and members, and guests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::limit::network;
use super::{
    Asker, Change, DEFAULT_CALL_FLAGS, DEMO_ADDRESS, Directory, Failure, GROUPS_OF_A_USER, GUEST_LIFE,
    GUESTS, Group, GroupEntry, Happening, Member, MemberEntry, Membership, Minted, Pin, PinRole, Room,
    Settings, TokenId, User, edits::PINS, past, random, tidy,
};
use crate::control::ids::{Gid, Uid};
use crate::control::limits::Limits;
use crate::control::rights::{Admin, Override, Preset, Rights, Say, Standing, decide};

/// Members who are told of a call at most.
const RINGS: usize = 500;

impl Directory {
    /// Creates a group that belongs to `uid`, with its two pins.
    pub fn create_group(&mut self, uid: Uid, settings: &Settings) -> Result<Membership, Failure> {
        let name = settings.name.as_deref().and_then(tidy).ok_or(Failure::MissingName)?;
        let owner = self.users.get(&uid).ok_or(Failure::AuthFail)?;
        if owner.user.guest_of.is_some() {
            return Err(Failure::NotAllowed);
        }
        if owner.owns.len() >= GROUPS_OF_A_USER {
            return Err(Failure::TooMany);
        }
        let preset = settings.preset.unwrap_or_default();
        let mut group = Group {
            name,
            owner: uid,
            preset,
            choices: preset.choices().changed(&settings.choices),
            resolution: settings.resolution.unwrap_or(0),
            call_flags: settings.call_flags.unwrap_or(DEFAULT_CALL_FLAGS),
            call_duration: settings.call_duration.unwrap_or(0),
            limits: Limits::default().changed(&settings.limits),
            expires: settings.expires.unwrap_or(0),
            guests: settings.guests.unwrap_or(false),
            pins: Vec::with_capacity(2),
        };
        self.append_pin(&mut group, PinRole::Participant, Override::PARTICIPANT);
        self.append_pin(&mut group, PinRole::Viewer, Override::VIEWER);

        let gid = Gid(self.numbers.gid);
        self.numbers.gid = self.numbers.gid.saturating_add(1);
        self.changes.push(Change::Numbers(self.numbers));
        self.changes.push(Change::PutGroup(gid, group.clone()));
        if let Some(owner) = self.users.get_mut(&uid) {
            owner.owns.insert(gid);
        }
        let entry = GroupEntry { group, members: HashMap::new() };
        let membership = entry.membership(gid, uid);
        self.groups.insert(gid, entry);
        Ok(membership)
    }

    pub(super) fn append_pin(&mut self, group: &mut Group, role: PinRole, rights: Override) {
        let digits = loop {
            let digits = random::pin(self.entropy.as_mut());
            if group.pins.iter().all(|pin| pin.digits != digits) {
                break digits;
            }
        };
        group.pins.push(Pin { digits, role, rights, ..Pin::decoy() });
    }

    /// Edits a group; its pins stay.
    pub fn edit_group(&mut self, uid: Uid, gid: Gid, settings: &Settings) -> Result<Membership, Failure> {
        let known = self.groups.get(&gid).filter(|entry| entry.may(uid, |admin| admin.modify));
        known.ok_or(Failure::BadGroup)?;
        self.amend_group(gid, |group| {
            if let Some(name) = settings.name.as_deref().and_then(tidy) {
                group.name = name;
            }
            if let Some(preset) = settings.preset
                && preset != group.preset
            {
                group.preset = preset;
                group.choices = preset.choices();
            }
            group.choices = group.choices.changed(&settings.choices);
            group.resolution = settings.resolution.unwrap_or(group.resolution);
            group.limits = group.limits.changed(&settings.limits);
            group.guests = settings.guests.unwrap_or(group.guests);
            group.call_flags = settings.call_flags.unwrap_or(group.call_flags);
            group.expires = settings.expires.unwrap_or(group.expires);
            group.call_duration = settings.call_duration.unwrap_or(group.call_duration);
        })?;
        self.groups.get(&gid).map(|entry| entry.membership(gid, uid)).ok_or(Failure::BadGroup)
    }

    /// Deletes a group of `uid`: its guests and memberships go with it.
    pub fn delete_group(&mut self, uid: Uid, gid: Gid) -> Result<(), Failure> {
        let entry =
            self.groups.get(&gid).filter(|entry| entry.group.owner == uid).ok_or(Failure::BadGroup)?;
        let members: Vec<Uid> = entry.members.keys().copied().collect();
        // First, so that rooms end the call as a whole and not member by member.
        self.happenings.push(Happening::GroupGone(gid));
        for member in members {
            self.remove_member(gid, member);
        }
        let guests: Vec<TokenId> = self
            .tokens
            .iter()
            .filter(|(_, token)| self.user(token.uid).is_some_and(|user| user.guest_of == Some(gid)))
            .map(|(id, _)| *id)
            .collect();
        for id in guests {
            let guest = self.tokens.get(&id).map(|token| token.uid);
            self.logout(id);
            if let Some(guest) = guest {
                self.remove_user(guest);
            }
        }
        self.forget_messages(gid);
        self.groups.remove(&gid);
        if let Some(owner) = self.users.get_mut(&uid) {
            owner.owns.remove(&gid);
        }
        self.changes.push(Change::RemoveGroup(gid));
        Ok(())
    }

    /// Lets `who` into a group: with a pin, as its owner, as a member, or as anyone if the group leaves a right to them.
    pub fn join_group(
        &mut self,
        now: Duration,
        who: &Asker,
        gid: Gid,
        pin: Option<&str>,
    ) -> Result<Membership, Failure> {
        let Some(pin) = pin.map(str::trim).filter(|pin| !pin.is_empty()) else {
            return self.enter_without_pin(now, who, gid);
        };
        if self.must_wait(now, who) {
            return Err(Failure::RateLimit);
        }
        let Some(place) = self.find_pin(now, gid, pin, Some(who.uid)) else {
            return Err(self.wrong_guess(now, who));
        };
        let entry = self.groups.get(&gid).ok_or(Failure::BadGroup)?;
        entry.open(now, who.uid)?;
        self.use_pin(gid, who.uid, place);
        let entry = self.groups.get(&gid).ok_or(Failure::BadGroup)?;
        Ok(entry.membership(gid, who.uid))
    }

    fn enter_without_pin(&mut self, now: Duration, who: &Asker, gid: Gid) -> Result<Membership, Failure> {
        let uid = who.uid;
        let known =
            self.groups.get(&gid).is_some_and(|entry| entry.rights(uid).any() || entry.group.owner == uid);
        if !known {
            // Rooms are guessed at without a pin as well.
            return Err(self.wrong_guess(now, who));
        }
        let entry = self.groups.get_mut(&gid).ok_or(Failure::BadGroup)?;
        entry.open(now, uid)?;
        // An owner who came as a viewer before is the owner again.
        if entry.group.owner == uid && entry.members.contains_key(&uid) {
            self.remove_member(gid, uid);
            self.happenings.push(Happening::MemberChanged(gid, uid));
        }
        let entry = self.groups.get(&gid).ok_or(Failure::BadGroup)?;
        Ok(entry.membership(gid, uid))
    }

    fn must_wait(&self, now: Duration, who: &Asker) -> bool {
        self.guesses_by_token.exhausted(&who.token, now)
            || self.guesses_by_address.exhausted(&network(who.from), now)
    }

    fn wrong_guess(&mut self, now: Duration, who: &Asker) -> Failure {
        if self.must_wait(now, who) {
            return Failure::RateLimit;
        }
        self.guesses_by_token.wrong(who.token, now);
        self.guesses_by_address.wrong(network(who.from), now);
        Failure::BadGroup
    }

    /// A guest user of a group that allows guests, with the rights of the pin.
    pub fn guest(
        &mut self,
        now: Duration,
        from: IpAddr,
        gid: Gid,
        pin: &str,
        name: &str,
    ) -> Result<Minted, Failure> {
        self.handle_timeout(now);
        let from = network(from);
        if self.guesses_by_address.exhausted(&from, now) {
            return Err(Failure::RateLimit);
        }
        let place = self.find_pin(now, gid, pin.trim(), None);
        let entry = self.groups.get(&gid).filter(|entry| entry.group.guests);
        let (Some(place), Some(entry)) = (place, entry) else {
            self.guesses_by_address.wrong(from, now);
            return Err(Failure::BadGroup);
        };
        if entry.group.expired(now.as_secs()) {
            return Err(Failure::Expired);
        }
        if self.guests >= GUESTS {
            return Err(Failure::TooMany);
        }
        let kept = entry.group.preset != Preset::Webinar;
        let name = tidy(name).unwrap_or_else(|| "Guest".to_owned());
        let address = random::address(self.entropy.as_mut());
        let uid = self.add_user(
            User { name: name.clone(), address: address.clone(), guest_of: Some(gid), app: None },
            kept,
        );
        let token = self.add_token(uid, now.as_secs() + GUEST_LIFE);
        self.use_pin(gid, uid, place);
        Ok(Minted { token, uid, name, address })
    }

    /// The place of the pin in the group, if it opens now. Takes as long for a wrong pin as for an unknown room.
    fn find_pin(&self, now: Duration, gid: Gid, digits: &str, uid: Option<Uid>) -> Option<usize> {
        let entry = self.groups.get(&gid);
        let pins = entry.map_or([].as_slice(), |entry| entry.group.pins.as_slice());
        let decoy = Pin::decoy();
        let mut found = None;
        // As many comparisons for every room, there or not.
        for (place, pin) in pins.iter().chain(std::iter::repeat(&decoy)).take(PINS).enumerate() {
            if bool::from(pin.digits.as_bytes().ct_eq(digits.as_bytes())) {
                found = Some(place);
            }
        }
        let entry = entry?;
        let place = found?;
        let pin = entry.group.pins.get(place)?;
        let came_with_it = uid
            .and_then(|uid| entry.members.get(&uid))
            .is_some_and(|known| known.member.pin.as_deref() == Some(pin.digits.as_str()));
        let used_up = pin.count != 0 && pin.used >= pin.count && !came_with_it;
        (!past(pin.expires, now.as_secs()) && !used_up).then_some(place)
    }

    /// Makes `uid` a member with what the pin gives.
    fn use_pin(&mut self, gid: Gid, uid: Uid, place: usize) {
        let Some(entry) = self.groups.get_mut(&gid) else { return };
        let Some(pin) = entry.group.pins.get_mut(place) else { return };
        let (digits, given, given_limits) = (pin.digits.clone(), pin.rights, pin.limits);
        let given_call_duration = pin.call_duration;
        let counted = pin.count != 0;
        let known = entry.members.get(&uid).map(|known| known.member.clone());
        if known.as_ref().is_some_and(|member| {
            member.pin.as_ref() == Some(&digits)
                && (member.given, member.given_limits, member.given_call_duration)
                    == (given, given_limits, given_call_duration)
        }) {
            return;
        }
        if counted {
            pin.used = pin.used.saturating_add(1);
            self.changes.push(Change::PutGroup(gid, entry.group.clone()));
        }
        let views = given.publish == Say::Deny;
        if entry.group.owner == uid && !views {
            // The owner has every right anyway; a record would only be in the way.
            if known.is_some() {
                self.remove_member(gid, uid);
                self.happenings.push(Happening::MemberChanged(gid, uid));
            }
            return;
        }
        // Who is kept already stays so: the store would go on with the pin of before.
        let was_kept = entry.members.get(&uid).is_some_and(|known| known.kept);
        let kept = self.users.get(&uid).is_some_and(|user| user.kept)
            && (was_kept || !(entry.group.preset == Preset::Webinar && views));
        if known.is_some() {
            self.happenings.push(Happening::MemberChanged(gid, uid));
        }
        let known = known.unwrap_or_default();
        let member = Member { given, given_limits, given_call_duration, pin: Some(digits), ..known };
        if kept {
            self.changes.push(Change::PutMember(gid, uid, member.clone()));
        }
        self.insert_member(gid, uid, member, kept);
    }

    /// Ends a membership. The owner stays the owner.
    pub fn leave_group(&mut self, uid: Uid, gid: Gid) -> Result<(), Failure> {
        let entry = self.groups.get(&gid).ok_or(Failure::BadGroup)?;
        if entry.members.contains_key(&uid) {
            self.remove_member(gid, uid);
        } else if entry.group.owner != uid && !entry.rights(uid).any() {
            return Err(Failure::BadGroup);
        }
        self.happenings.push(Happening::MemberGone(gid, uid));
        Ok(())
    }

    /// The groups of `uid`, the latest first.
    pub fn rooms(&self, uid: Uid) -> Vec<Room> {
        let owns = self.users.get(&uid).into_iter().flat_map(|entry| entry.owns.iter().rev());
        owns.filter_map(|gid| {
            let group = &self.groups.get(gid)?.group;
            let pin = |role| group.pin(role).to_owned();
            Some(Room {
                uid,
                gid: *gid,
                name: group.name.clone(),
                pin: pin(PinRole::Participant),
                spin: pin(PinRole::Viewer),
            })
        })
        .collect()
    }

    /// What a user may do in a group now: nothing where the group or the membership is over.
    pub fn rights_of(&self, now: Duration, uid: Uid, gid: Gid) -> Rights {
        let open = self.groups.get(&gid).filter(|entry| entry.open(now, uid).is_ok());
        open.map_or(Rights::NONE, |entry| entry.rights(uid))
    }

    /// What a user may do to others in a group.
    pub fn admin(&self, gid: Gid, uid: Uid) -> Admin {
        self.groups.get(&gid).map(|entry| entry.admin(uid)).unwrap_or_default()
    }

    /// A group as a user meets it now; for one who joined before.
    pub fn membership(&self, now: Duration, uid: Uid, gid: Gid) -> Result<Membership, Failure> {
        let entry = self.groups.get(&gid).ok_or(Failure::BadGroup)?;
        let membership = entry.membership(gid, uid);
        if !membership.rights.any() {
            return Err(Failure::BadGroup);
        }
        entry.open(now, uid).map(|()| membership)
    }

    /// Who is told that a call begins in a group: its owner and members who may take part; in a webinar those who may
    /// publish, since its viewers are many and come by themselves.
    pub fn rings_for(&self, now: Duration, gid: Gid) -> Vec<Uid> {
        let Some(entry) = self.groups.get(&gid) else { return Vec::new() };
        let webinar = entry.group.preset == Preset::Webinar;
        let takes_part = |uid: &Uid| {
            let rights = entry.rights(*uid);
            rights.publish || rights.subscribe && !webinar
        };
        let members = entry.members.keys().copied().filter(|uid| *uid != entry.group.owner);
        let all = std::iter::once(entry.group.owner).chain(members);
        all.filter(|uid| takes_part(uid) && entry.open(now, *uid).is_ok()).take(RINGS).collect()
    }

    /// What is known of a group.
    pub fn group(&self, gid: Gid) -> Option<&Group> {
        self.groups.get(&gid).map(|entry| &entry.group)
    }

    /// The demo group, made if its owner has none that allows guests: a conference. Its number and its participant's pin.
    pub fn demo_group(&mut self) -> Result<(Gid, String), Failure> {
        let uid = match self.addresses.get(DEMO_ADDRESS).copied() {
            Some(uid) => uid,
            None => {
                let (name, address) = ("Demo".to_owned(), DEMO_ADDRESS.to_owned());
                let user = User { name, address, guest_of: None, app: None };
                self.add_user(user, true)
            }
        };
        let open = |gid: &&Gid| self.groups.get(gid).is_some_and(|entry| entry.group.guests);
        let oldest = self.users.get(&uid).and_then(|entry| entry.owns.iter().find(open).copied());
        let gid = match oldest {
            Some(gid) => gid,
            None => {
                let settings = Settings {
                    name: Some("Demo room".to_owned()),
                    guests: Some(true),
                    ..Settings::default()
                };
                self.create_group(uid, &settings)?.gid
            }
        };
        let pin = self.group(gid).map(|group| group.pin(PinRole::Participant).to_owned()).unwrap_or_default();
        Ok((gid, pin))
    }

    pub(super) fn insert_member(&mut self, gid: Gid, uid: Uid, member: Member, kept: bool) {
        let (Some(entry), Some(user)) = (self.groups.get_mut(&gid), self.users.get_mut(&uid)) else { return };
        user.member_of.insert(gid);
        entry.members.insert(uid, MemberEntry { member, kept });
    }

    pub(super) fn remove_member(&mut self, gid: Gid, uid: Uid) {
        let Some(known) = self.groups.get_mut(&gid).and_then(|entry| entry.members.remove(&uid)) else {
            return;
        };
        if let Some(user) = self.users.get_mut(&uid) {
            user.member_of.remove(&gid);
        }
        if known.kept {
            self.changes.push(Change::RemoveMember(gid, uid));
        }
    }
}

impl Pin {
    /// What an unknown room's pin is compared with.
    fn decoy() -> Self {
        Self {
            digits: "--------".to_owned(),
            role: PinRole::Further,
            rights: Override::default(),
            expires: 0,
            count: 0,
            used: 0,
            limits: Limits::default(),
            leave: false,
            call_duration: 0,
        }
    }
}

impl GroupEntry {
    fn standing(&self, uid: Uid) -> Standing {
        let said = self.members.get(&uid).map(|known| known.member.says());
        match (said, self.group.owner == uid) {
            (Some(said), true) if said.publish == Say::Deny => Standing::OwnerAsViewer(said),
            (_, true) => Standing::Owner,
            (Some(said), false) => Standing::Member(said),
            (None, false) => Standing::Stranger,
        }
    }

    /// Whether somebody is the owner, or an admin who may.
    pub(super) fn may(&self, uid: Uid, what: impl Fn(&Admin) -> bool) -> bool {
        self.group.owner == uid || what(&self.admin(uid))
    }

    pub(super) fn admin(&self, uid: Uid) -> Admin {
        match self.standing(uid) {
            Standing::Owner => Admin::ALL,
            Standing::OwnerAsViewer(_) | Standing::Stranger => Admin::NONE,
            Standing::Member(_) => self.members.get(&uid).map(|known| known.member.admin).unwrap_or_default(),
        }
    }

    pub(super) fn rights(&self, uid: Uid) -> Rights {
        decide(&self.group.choices, self.standing(uid))
    }

    /// Whether neither the group nor the membership is over.
    fn open(&self, now: Duration, uid: Uid) -> Result<(), Failure> {
        let until = self.members.get(&uid).map_or([0; 2], |known| self.until(&known.member));
        if self.group.expired(now.as_secs()) || until.into_iter().any(|at| past(at, now.as_secs())) {
            return Err(Failure::Expired);
        }
        Ok(())
    }

    /// When a membership ends: by itself, and with the pin that takes its members along.
    fn until(&self, member: &Member) -> [u64; 2] {
        let pin = self.group.pins.iter().find(|pin| member.pin.as_ref() == Some(&pin.digits));
        [member.expires, pin.filter(|pin| pin.leave).map_or(0, |pin| pin.expires)]
    }

    fn membership(&self, gid: Gid, uid: Uid) -> Membership {
        let group = &self.group;
        let own = self.members.get(&uid).map(|known| &known.member);
        let over = |own: Option<u32>, groups: u32| own.filter(|value| *value != 0).unwrap_or(groups);
        let [own_end, pins_end] = own.map_or([0; 2], |own| self.until(own));
        let expiries = [group.expires, own_end, pins_end];
        Membership {
            gid,
            name: group.name.clone(),
            preset: group.preset,
            resolution: own.map(|own| own.resolution).filter(|value| *value != 0).unwrap_or(group.resolution),
            call_flags: over(own.map(|own| own.call_flags), group.call_flags),
            call_duration: over(
                own.map(|own| own.call_duration),
                over(own.map(|own| own.given_call_duration), group.call_duration),
            ),
            limits: own.map_or(group.limits, |own| group.limits.and(own.limits).and(own.given_limits)),
            expires: expiries.into_iter().filter(|at| *at != 0).min().unwrap_or(0),
            rights: self.rights(uid),
            admin: self.admin(uid),
            pins: (group.owner == uid)
                .then(|| (group.pin(PinRole::Participant).to_owned(), group.pin(PinRole::Viewer).to_owned())),
        }
    }
}
