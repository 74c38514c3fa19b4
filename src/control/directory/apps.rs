//! Apps: whose users these are, and what an app's own backend does with its secret.

use std::net::IpAddr;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::limit::network;
use super::{App, Change, Directory, Failure, Minted, TokenId, User, Webhook, random, tidy};
use crate::control::ids::{Gid, Uid};
use crate::control::limits::Limits;
use crate::signal::message::Secret;

/// The server's own app, there from the first start on. Users whom no app made are its users.
pub const DEFAULT_APP: &str = "default";

/// Apps of one server.
const APPS: usize = 1_000;
/// Longest appid.
const APPID_LENGTH: usize = 64;

impl Directory {
    /// The app of this name, which is made, with a new secret, if there is none.
    pub fn app_or_new(&mut self, appid: &str) -> Result<&App, Failure> {
        if !self.apps.contains_key(appid) {
            let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if appid.is_empty() || appid.len() > APPID_LENGTH || !appid.chars().all(fit) {
                return Err(Failure::BadApp);
            }
            if self.apps.len() >= APPS {
                return Err(Failure::TooMany);
            }
            let mut secret = || Secret(random::token(self.entropy.as_mut()));
            let app = App {
                secret: secret(),
                key: secret(),
                several: false,
                public_keys: Vec::new(),
                webhook: None,
            };
            self.put_app(appid, app);
        }
        self.app(appid).ok_or(Failure::BadApp)
    }

    /// Says whether a token of the app's users may be signed in several times at once.
    pub fn allow_several(&mut self, appid: &str, several: bool) -> Result<(), Failure> {
        let app = self.app(appid).ok_or(Failure::BadApp)?;
        if app.several != several {
            let app = App { several, ..app.clone() };
            self.put_app(appid, app);
        }
        Ok(())
    }

    /// Changes an app; whoever asks must have been found to be allowed to.
    pub fn amend_app(&mut self, appid: &str, amend: impl FnOnce(&mut App)) -> Result<(), Failure> {
        let mut app = self.app(appid).ok_or(Failure::BadApp)?.clone();
        amend(&mut app);
        self.put_app(appid, app);
        Ok(())
    }

    fn put_app(&mut self, appid: &str, app: App) {
        self.changes.push(Change::PutApp(appid.to_owned(), app.clone()));
        self.apps.insert(appid.to_owned(), app);
    }

    /// What is known of an app.
    pub fn app(&self, appid: &str) -> Option<&App> {
        self.apps.get(appid)
    }

    /// The app whose a user is; a guest is of the app whose group it came for.
    pub fn appid_of_user(&self, uid: Uid) -> Option<&str> {
        let user = self.user(uid)?;
        match user.guest_of {
            None => Some(appid_of(user)),
            Some(gid) => self.appid_of_group(gid),
        }
    }

    /// The app whose a group is: that of its owner.
    pub fn appid_of_group(&self, gid: Gid) -> Option<&str> {
        self.user(self.group(gid)?.owner).map(appid_of)
    }

    /// The app whose a group is, and where it is told what happens there.
    pub fn webhook_of(&self, gid: Gid) -> Option<(&str, Option<&Webhook>)> {
        let appid = self.appid_of_group(gid)?;
        Some((appid, self.app(appid).and_then(|app| app.webhook.as_ref())))
    }

    /// The app whose user this is.
    pub(super) fn app_of(&self, user: &User) -> Option<&App> {
        self.app(appid_of(user))
    }

    /// Whether this is the app's backend: it shows the app's secret. An unknown app and a wrong secret answer alike.
    pub fn authorize_app(
        &mut self,
        now: Duration,
        from: IpAddr,
        appid: &str,
        secret: &str,
    ) -> Result<(), Failure> {
        let from = network(from);
        if self.secrets_by_address.exhausted(&from, now) {
            return Err(Failure::RateLimit);
        }
        let app = self.app(appid);
        // Digests are compared: how long that takes says nothing of the secret, nor whether there is the app.
        let known = TokenId::of(app.map_or("", |app| app.secret.0.as_str()));
        let right = bool::from(known.0.ct_eq(&TokenId::of(secret).0));
        if app.is_none() || !right {
            self.secrets_by_address.wrong(from, now);
            return Err(Failure::AuthFail);
        }
        Ok(())
    }

    /// The user of an app with this address, who is made, or renamed, if need be, and a token that dies at `expires`.
    pub fn add_app_user(
        &mut self,
        appid: &str,
        name: &str,
        address: &str,
        expires: u64,
    ) -> Result<Minted, Failure> {
        let name = tidy(name).ok_or(Failure::MissingName)?;
        let address = tidy(address).ok_or(Failure::MissingAddress)?;
        let uid = match self.addresses.get(&address) {
            Some(_) => {
                let uid = self.app_user(appid, &address)?;
                self.rename(uid, &name);
                uid
            }
            None => {
                let (name, address) = (name.clone(), address.clone());
                self.add_user(User { name, address, guest_of: None, app: kept_appid(appid) }, true)
            }
        };
        let token = self.add_token(uid, expires);
        Ok(Minted { token, uid, name, address })
    }

    /// A further token of a user of an app.
    pub fn app_token(&mut self, appid: &str, address: &str, expires: u64) -> Result<Minted, Failure> {
        let uid = self.app_user(appid, address)?;
        let token = self.add_token_of(uid, expires, Limits::default())?;
        let User { name, address, .. } = self.user(uid).ok_or(Failure::BadUser)?.clone();
        Ok(Minted { token, uid, name, address })
    }

    /// Removes a user of an app, with all tokens, memberships and groups.
    pub fn remove_app_user(&mut self, appid: &str, address: &str) -> Result<(), Failure> {
        let uid = self.app_user(appid, address)?;
        self.delete_user(uid)
    }

    /// The user of an app with this address. No app has to do with another's users, nor with guests.
    pub fn app_user(&self, appid: &str, address: &str) -> Result<Uid, Failure> {
        let address = tidy(address).ok_or(Failure::MissingAddress)?;
        let uid = self.addresses.get(&address).copied().ok_or(Failure::BadUser)?;
        let user = self.user(uid).filter(|user| user.guest_of.is_none() && appid_of(user) == appid);
        user.map(|_| uid).ok_or(Failure::BadUser)
    }
}

/// As a user's record names an app.
pub(super) fn kept_appid(appid: &str) -> Option<String> {
    (appid != DEFAULT_APP).then(|| appid.to_owned())
}

fn appid_of(user: &User) -> &str {
    user.app.as_deref().unwrap_or(DEFAULT_APP)
}
