//! Links: signing in, losing the transport and finding it again, signing out.

use serde::{Deserialize, Serialize};

use subtle::ConstantTimeEq;

use super::admission::FULL_AGAIN;
use super::posted::Role;
use super::view::Viewing;
use super::{Effect, GRACE, LinkId, Rooms, Seat, Timer, secret};
use crate::control::directory::{Identity, TokenId};
use crate::control::ids::{Gid, Sid, Uid};
use crate::signal::message::{Notice, Refusal, Secret, Welcome};
use crate::sorted::{Map, Set, sort_by_key};
use crate::units::Instant;

/// Sessions of one token at once, where an app allows several.
const SESSIONS_OF_A_TOKEN: usize = 16;

/// Somebody's call in a group.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Spell {
    /// With the first stream that was published or watched.
    pub(super) began: Instant,
    /// When it ends, as its holder was told; [`Instant::NEVER`] if it was not.
    pub(super) told: Instant,
}

/// One signed-in client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) user: Identity,
    resume: Secret,
    /// When it signed in.
    began: Instant,
    /// Counts the transports that carried this link.
    epoch: u32,
    /// When it is over, if it has no transport.
    pub(super) over_at: Option<Instant>,
    /// Where it is, and what it may do there.
    pub(super) groups: Map<Gid, Seat>,
    /// Its calls there.
    pub(super) calls: Map<Gid, Spell>,
    /// What it publishes.
    pub(super) streams: Set<Sid>,
    /// What it watches.
    pub(super) viewing: Viewing,
    /// What it is there for, if it has no signalling: see [`super::posted`].
    pub(super) role: Option<Role>,
}

/// A link and the transport that carries it, so that a transport which was replaced cannot end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The link.
    pub link: LinkId,
    epoch: u32,
}

impl Rooms {
    /// Signs a client in on a new transport: takes up the link that `resume` names if it is one of the same token,
    /// else begins a new one. Another link of the same token ends with SIGNOUT, unless the user's app allows several.
    pub fn hello(
        &mut self,
        now: Instant,
        user: Identity,
        resume: Option<&Secret>,
    ) -> Result<(Attachment, Welcome), Refusal> {
        let mut others = self.links_of_token(user.token);
        others.retain(|link| !self.is_posted(*link));
        for link in others.iter().copied() {
            let known = self.links.get(link).map(|link| link.resume.0.as_bytes());
            let told = resume.map(|secret| secret.0.as_bytes());
            if let (Some(known), Some(told)) = (known, told)
                && bool::from(known.ct_eq(told))
            {
                return self.take_up(link, user);
            }
        }
        let stay = if user.several { SESSIONS_OF_A_TOKEN - 1 } else { 0 };
        // Of several the oldest goes.
        sort_by_key(&mut others, |link| self.links.get(*link).map(|link| link.began));
        let gone = others.len().saturating_sub(stay);
        others.into_iter().take(gone).for_each(|link| self.sign_out(now, link));
        let resume = secret::resume();
        let link = self.new_link(now, user.clone(), resume.clone(), None)?;
        let Identity { uid, address, name, .. } = user;
        Ok((Attachment { link, epoch: 0 }, Welcome { resume, resumed: false, uid, address, name }))
    }

    pub(super) fn new_link(
        &mut self,
        now: Instant,
        user: Identity,
        resume: Secret,
        role: Option<Role>,
    ) -> Result<LinkId, Refusal> {
        let (token, uid) = (user.token, user.uid);
        let link = Link {
            user,
            resume,
            began: now,
            epoch: 0,
            over_at: None,
            groups: Map::new(),
            calls: Map::new(),
            streams: Set::new(),
            viewing: Viewing::default(),
            role,
        };
        let full = || Refusal::busy("The server is full; try again later.", FULL_AGAIN);
        let link = self.links.insert(link).ok_or_else(full)?;
        self.tokens.insert((token, link));
        self.users.insert((uid, link));
        Ok(link)
    }

    fn take_up(&mut self, id: LinkId, user: Identity) -> Result<(Attachment, Welcome), Refusal> {
        let Some(link) = self.links.get_mut(id) else {
            return Err(Refusal::new("AUTHFAIL", "The session is over; say hello again."));
        };
        link.epoch = link.epoch.wrapping_add(1);
        link.over_at = None;
        link.user = user;
        let Identity { uid, address, name, .. } = link.user.clone();
        let welcome = Welcome { resume: link.resume.clone(), resumed: true, uid, address, name };
        let attachment = Attachment { link: id, epoch: link.epoch };
        for gid in link.groups.keys().copied().collect::<Vec<_>>() {
            self.tell_roster(id, gid);
            self.tell_people(id, gid);
            self.tell_hands(id, gid, true);
        }
        self.tell_viewing(id);
        self.tell_layers(id);
        Ok((attachment, welcome))
    }

    /// The links of a token, and the groups that they are in.
    pub fn seats_of(&self, token: TokenId) -> Vec<(LinkId, Gid)> {
        let links = self.links_of_token(token).into_iter();
        let groups =
            |id| self.links.get(id).into_iter().flat_map(move |l| l.groups.keys().map(move |gid| (id, *gid)));
        links.flat_map(groups).collect()
    }

    fn links_of_token(&self, token: TokenId) -> Vec<LinkId> {
        self.tokens.range((token, LinkId::FIRST)..=(token, LinkId::LAST)).map(|(_, link)| *link).collect()
    }

    /// The links of a user.
    pub(super) fn links_of_user(&self, uid: Uid) -> impl Iterator<Item = LinkId> {
        self.users.range((uid, LinkId::FIRST)..=(uid, LinkId::LAST)).map(|(_, link)| *link)
    }

    /// All links that have signalling: those that publish before those that only watch.
    pub fn by_need(&self) -> Vec<LinkId> {
        let all = self.users.iter().map(|(_, link)| *link).filter(|link| !self.is_posted(*link));
        let publishes = |link: &LinkId| self.links.get(*link).is_some_and(|link| !link.streams.is_empty());
        let (mut first, then): (Vec<_>, Vec<_>) = all.partition(publishes);
        first.extend(then);
        first
    }

    /// Who holds a link.
    pub fn holder(&self, link: LinkId) -> Option<&Identity> {
        self.links.get(link).map(|link| &link.user)
    }

    /// Whether this transport still carries its link.
    pub fn is_current(&self, attachment: Attachment) -> bool {
        self.links.get(attachment.link).is_some_and(|link| link.epoch == attachment.epoch)
    }

    /// The transport is gone. A clean end is a leave at once, any other waits for [`GRACE`].
    pub fn detach(&mut self, now: Instant, attachment: Attachment, clean: bool) {
        let Some(link) = self.links.get_mut(attachment.link) else { return };
        if link.epoch != attachment.epoch {
            return;
        }
        if clean {
            self.bye(now, attachment.link);
        } else {
            let over_at = now + GRACE;
            link.over_at = Some(over_at);
            self.wake_at(over_at, Timer::Grace(attachment.link));
        }
    }

    pub(super) fn grace_over(&mut self, now: Instant, id: LinkId) {
        let over_at = self.links.get(id).and_then(|link| link.over_at);
        if over_at.is_some_and(|over_at| over_at <= now) {
            self.bye(now, id);
        }
    }

    /// The link leaves everything, at once.
    pub fn bye(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let gids: Vec<_> = link.groups.keys().copied().collect();
        let (token, uid, posted) = (link.user.token, link.user.uid, link.role.is_some());
        for gid in gids {
            self.leave(now, id, gid);
        }
        self.drop_viewing(id);
        self.links.remove(id);
        self.tokens.remove(&(token, id));
        self.users.remove(&(uid, id));
        if posted {
            self.gone.push(id);
        }
        self.effects.push(Effect::Close(id));
    }

    /// A token is dead: its links end with SIGNOUT, or with AUTHFAIL if its time was over.
    pub fn end_token(&mut self, now: Instant, token: TokenId, expired: bool) {
        for link in self.links_of_token(token) {
            if expired {
                let refusal = Refusal::new("AUTHFAIL", "The token has expired: sign in again.");
                self.tell(link, Notice::Error(refusal));
                self.bye(now, link);
            } else {
                self.sign_out(now, link);
            }
        }
    }

    /// All links of a user end with SIGNOUT.
    pub fn end_user(&mut self, now: Instant, uid: Uid) {
        for link in self.links_of_user(uid).collect::<Vec<_>>() {
            self.sign_out(now, link);
        }
    }

    fn sign_out(&mut self, now: Instant, link: LinkId) {
        self.tell(link, Notice::Signout {});
        self.bye(now, link);
    }
}
