//! Resources of WHIP (RFC 9725) and WHEP: who may post them, under which name they are found again, what may be done to
//! them. Each stands for a link of its own (`rooms`), and is gone when that is.

mod player;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

pub use self::player::{Kinds, Look};
use super::directory::{Asker, Identity, TokenId, hex};
use super::ids::{Gid, Sid, Uid};
use super::negotiate;
use super::requests::{DRAINING_AGAIN, refusal};
use super::rooms::{Follow, LinkId};
use super::{Now, State};
use crate::router::command::IceCredentials;
use crate::signal::message::{Answer, Layer, Muted, Publish, Refusal, Secret};

/// Resources at once, ...
const MOST: usize = 20_000;
/// ... and of one person. A server's own token may stand for a whole audience behind a proxy.
const MOST_OF_ONE: usize = 1000;
/// When to come again to a server that has as many as it may.
const FULL_AGAIN: Duration = Duration::from_secs(5);

/// What somebody posts.
#[derive(Clone, Debug)]
pub struct Post {
    /// To which group.
    pub gid: Gid,
    /// A user's token, or a pin of the group.
    pub bearer: Secret,
    /// What a guest, and a stream, is to be called.
    pub name: Option<String>,
    /// What for.
    pub aim: Aim,
    /// The offer.
    pub sdp: String,
}

/// What a resource is for.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// To publish, as this one of one's streams, or as the first that is free.
    Publish(Option<Sid>),
    /// To watch whom this says.
    Watch(Follow),
}

/// A resource that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its name, which nobody can guess.
    pub id: Secret,
    /// Names its ICE session.
    pub tag: String,
    /// The answer.
    pub sdp: String,
}

/// Under which condition something is to be done (RFC 9110 section 13.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// It is not said.
    Absent,
    /// `*`
    Any,
    /// One of these tags holds, without their quotes.
    Tags(Vec<String>),
}

/// What became of a patch.
#[derive(Clone, Debug)]
pub enum Patched {
    /// The candidates were taken note of.
    Trickled,
    /// ICE was restarted.
    Restarted {
        /// Names the new ICE session.
        tag: String,
        /// Our side of it.
        fragment: String,
    },
}

/// All resources.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Resources {
    /// By the digests of their names: how long looking one up takes says nothing of the names.
    all: HashMap<TokenId, Resource>,
    links: HashMap<LinkId, TokenId>,
    per_person: HashMap<Uid, usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resource {
    link: LinkId,
    gid: Gid,
    publishes: bool,
    uid: Uid,
    /// Of what it was posted with.
    bearer: TokenId,
    /// A guest who came for it alone.
    guest: Option<TokenId>,
    tag: String,
    /// The client's ICE credentials.
    remote: Option<IceCredentials>,
    /// How its player is told what it sees.
    player: player::Player,
}

impl State {
    /// Makes a resource.
    pub fn post(&mut self, now: Now, from: IpAddr, post: &Post) -> Result<Made, Refusal> {
        if self.draining() {
            let text = "This server takes nobody new at the moment: try again, perhaps at another one.";
            return Err(Refusal::busy(text, DRAINING_AGAIN));
        }
        if self.resources.all.len() >= MOST {
            return Err(Refusal::busy("The server carries as many sessions as it can.", FULL_AGAIN));
        }
        let remote = negotiate::credentials(&post.sdp).flatten();
        let (identity, guest) = self.who_posts(now, from, post)?;
        let (uid, token) = (identity.uid, identity.token);
        let made = self.begin(now, from, post, identity);
        let (link, sdp) = match made {
            Ok(made) => made,
            Err(refusal) => {
                if guest {
                    self.directory.dismiss(token);
                }
                return Err(refusal);
            }
        };
        let id = Secret(random_id());
        let tag = self.rooms.ufrag(link).unwrap_or_default();
        let resource = Resource {
            link,
            gid: post.gid,
            publishes: matches!(post.aim, Aim::Publish(_)),
            uid,
            bearer: TokenId::of(&post.bearer.0),
            guest: guest.then_some(token),
            tag: tag.clone(),
            remote,
            player: player::Player::new(&sdp),
        };
        self.resources.insert(TokenId::of(&id.0), resource);
        Ok(Made { id, tag, sdp })
    }

    /// Whose token it is, or the guest whom a pin makes. A wrong pin, an unknown group and a dead token are the same.
    fn who_posts(&mut self, now: Now, from: IpAddr, post: &Post) -> Result<(Identity, bool), Refusal> {
        let bearer = &post.bearer.0;
        if let Some(identity) = self.directory.authenticate(now.unix, bearer) {
            return Ok((identity, false));
        }
        let name = post.name.as_deref().unwrap_or_default();
        let minted = self.directory.guest(now.unix, from, post.gid, bearer, name);
        let minted = minted.map_err(|failure| match failure.name() {
            "BADGROUP" => Refusal::new("AUTHFAIL", "This is neither a valid token nor a pin of that group."),
            _ => refusal(failure),
        })?;
        let identity = self.directory.authenticate(now.unix, &minted.token);
        identity
            .map(|identity| (identity, true))
            .ok_or_else(|| Refusal::new("AUTHFAIL", "The guest is gone."))
    }

    /// The link of a resource: it enters the group and publishes or watches.
    fn begin(
        &mut self,
        now: Now,
        from: IpAddr,
        post: &Post,
        identity: Identity,
    ) -> Result<(LinkId, String), Refusal> {
        let (uid, token, gid) = (identity.uid, identity.token, post.gid);
        if self.resources.of(uid) >= MOST_OF_ONE {
            return Err(Refusal::new("TOOMANY", format!("{MOST_OF_ONE} sessions at once are the most.")));
        }
        let asker = Asker { uid, token, from };
        let membership = self.directory.join_group(now.unix, &asker, gid, None).map_err(refusal)?;
        let seat = self.seat(now, token, membership);
        if matches!(post.aim, Aim::Publish(_)) {
            self.end_lost(now, uid, &post.bearer, gid);
        }
        let follow = match post.aim {
            Aim::Publish(_) => None,
            Aim::Watch(follow) => Some(follow),
        };
        let rings = follow.is_none() && self.rooms.is_silent(gid);
        let link = self.rooms.attend(now.instant, identity, follow)?;
        let begun = self.rooms.join(now.instant, link, gid, seat).and_then(|_| match post.aim {
            Aim::Publish(sid) => {
                let sid = sid.unwrap_or_else(|| self.rooms.free_sid(uid));
                let publish = Publish {
                    gids: vec![gid],
                    sid,
                    source: 1,
                    name: post.name.clone(),
                    sdp: post.sdp.clone(),
                    muted: Muted::default(),
                    layers: layers(&post.sdp),
                };
                match self.rooms.publish(now.instant, link, &publish)? {
                    Answer::Published { sdp, .. } => Ok(sdp),
                    _ => Err(Refusal::new("BADSDP", "The offer cannot be answered.")),
                }
            }
            Aim::Watch(_) => self.rooms.view(now.instant, link, &post.sdp),
        });
        match begun {
            Ok(sdp) => {
                self.rooms.begin_call(now.instant, link, gid);
                if rings {
                    self.ring(now, link, gid);
                }
                Ok((link, sdp))
            }
            Err(refusal) => {
                self.rooms.bye(now.instant, link);
                Err(refusal)
            }
        }
    }

    /// Who posts again after it was cut off takes its own place: the session that hears nothing any more ends.
    fn end_lost(&mut self, now: Now, uid: Uid, bearer: &Secret, gid: Gid) {
        let bearer = TokenId::of(&bearer.0);
        let own = |r: &&Resource| r.uid == uid && r.publishes && r.gid == gid && r.bearer == bearer;
        if self.resources.of(uid) == 0 {
            return;
        }
        let own = self.resources.all.values().filter(own).map(|resource| resource.link);
        for link in own.filter(|link| self.rooms.is_lost(*link)).collect::<Vec<_>>() {
            self.rooms.bye(now.instant, link);
        }
    }

    /// Takes candidates, or restarts ICE (RFC 9725 section 4.3). We are ICE-lite: what candidates the client has is
    /// learned from its checks.
    pub fn patch(
        &mut self,
        id: &str,
        bearer: Option<&str>,
        condition: &IfMatch,
        fragment: &str,
    ) -> Result<Patched, Refusal> {
        let malformed =
            || Refusal::new("BADSDP", "This is no SDP fragment with ICE credentials or candidates.");
        let resource = self.resources.get_mut(id, bearer)?;
        if *condition == IfMatch::Absent {
            let text = "Say If-Match: with the ETag to trickle candidates, or * to restart ICE.";
            return Err(Refusal::new("NOCONDITION", text));
        }
        let named = negotiate::credentials(fragment).ok_or_else(malformed)?;
        let new = named.filter(|named| resource.remote.as_ref() != Some(named));
        match (condition, new) {
            (IfMatch::Tags(tags), _) if !tags.contains(&resource.tag) => {
                Err(Refusal::new("STALE", "That ICE session is over: its ETag is not the last one."))
            }
            (_, None) => Ok(Patched::Trickled),
            (IfMatch::Any, Some(remote)) => {
                let link = resource.link;
                let restart = self.rooms.restart(link).ok_or_else(no_resource)?;
                let resource = self.resources.get_mut(id, bearer)?;
                resource.tag.clone_from(&restart.ufrag);
                resource.remote = Some(remote);
                Ok(Patched::Restarted { tag: restart.ufrag, fragment: restart.fragment })
            }
            (_, Some(_)) => {
                let text = "New ICE credentials restart ICE: say If-Match: * for that.";
                Err(Refusal::new("UNPROCESSABLE", text))
            }
        }
    }

    /// Ends a resource.
    pub fn unpost(&mut self, now: Now, id: &str, bearer: Option<&str>) -> Result<(), Refusal> {
        let link = self.resources.get_mut(id, bearer)?.link;
        self.rooms.bye(now.instant, link);
        Ok(())
    }

    /// Forgets the resources whose links are gone; whether there were any.
    pub(super) fn forget_posted(&mut self, now: Now) -> bool {
        let gone = self.rooms.take_gone(now.instant);
        for link in &gone {
            if let Some(token) = self.resources.remove(*link).and_then(|resource| resource.guest) {
                self.directory.dismiss(token);
            }
        }
        !gone.is_empty()
    }
}

impl Resources {
    fn insert(&mut self, name: TokenId, resource: Resource) {
        *self.per_person.entry(resource.uid).or_default() += 1;
        self.links.insert(resource.link, name);
        self.all.insert(name, resource);
    }

    fn remove(&mut self, link: LinkId) -> Option<Resource> {
        let resource = self.all.remove(&self.links.remove(&link)?)?;
        if let Some(count) = self.per_person.get_mut(&resource.uid) {
            *count -= 1;
            if *count == 0 {
                self.per_person.remove(&resource.uid);
            }
        }
        Some(resource)
    }

    fn of(&self, uid: Uid) -> usize {
        self.per_person.get(&uid).copied().unwrap_or_default()
    }

    /// A resource, for who shows what it was posted with.
    fn get_mut(&mut self, id: &str, bearer: Option<&str>) -> Result<&mut Resource, Refusal> {
        let resource = self.all.get_mut(&TokenId::of(id)).ok_or_else(no_resource)?;
        let bearer =
            bearer.ok_or_else(|| Refusal::new("AUTHFAIL", "Show the token that made this session."))?;
        if !bool::from(TokenId::of(bearer).0.ct_eq(&resource.bearer.0)) {
            return Err(Refusal::new("NOTALLOWED", "This session was made with another token."));
        }
        Ok(resource)
    }
}

fn no_resource() -> Refusal {
    Refusal::new("NOSESSION", "There is no such session; it may have ended.")
}

fn random_id() -> String {
    let mut bytes = [0; 16];
    // A name that can be guessed is worse than a request that fails: the actor survives a panic.
    assert!(SystemRandom::new().fill(&mut bytes).is_ok(), "the operating system gives no random bytes");
    hex(&bytes)
}

/// Simulcast layers in their order, of sizes that only the stream will tell.
fn layers(sdp: &str) -> Vec<Layer> {
    negotiate::layers_in_order(sdp).into_iter().map(|rid| Layer { rid, width: 0, height: 0 }).collect()
}
