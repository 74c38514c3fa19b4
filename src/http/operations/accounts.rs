//! Operations that need no user's token: signing in by e-mail, and what an app's own backend does with the app's secret.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Map;

use super::{Answer, Letter, Parameters, Refusal, minted};
use crate::control::directory::{Directory, Failure, SignIn};

/// How long a token lives for which nothing is said, in seconds: a year.
const TOKEN_LIFE: u64 = 365 * 24 * 3600;

/// An operation of the app that was authorized.
type Operation = fn(&mut Directory, Duration, &str, &Parameters) -> Answer;

pub(super) fn operation(op: &str) -> Option<Operation> {
    Some(match op {
        "useradd" => user_add,
        "userdel" => user_delete,
        "usertoken" => user_token,
        _ => return None,
    })
}

/// The app whose secret came along.
pub(super) fn authorize<'a>(
    directory: &mut Directory,
    now: Duration,
    from: IpAddr,
    parameters: &'a Parameters,
) -> Result<&'a str, Refusal> {
    let appid = parameters.text("appid").ok_or(Failure::MissingAppid)?;
    directory.authorize_app(now, from, appid, parameters.text("secret").unwrap_or_default())?;
    Ok(appid)
}

/// Without a code one is sent; with it, it becomes a token.
pub(super) fn login(
    directory: &mut Directory,
    now: Duration,
    from: IpAddr,
    parameters: &Parameters,
    letter: &mut Option<Letter>,
) -> Answer {
    let who = SignIn {
        appid: parameters.text("appid").ok_or(Failure::MissingAppid)?,
        name: parameters.text("name").ok_or(Failure::MissingName)?,
        email: parameters.text("email").ok_or(Failure::MissingEmail)?,
    };
    match parameters.text("code") {
        None => {
            let code = directory.begin_sign_in(now, from, &who)?;
            *letter = Some(Letter { to: who.email.to_owned(), code });
            Ok(Map::new())
        }
        Some(code) => Ok(minted(directory.finish_sign_in(now, from, &who, code)?)),
    }
}

fn user_add(directory: &mut Directory, now: Duration, appid: &str, parameters: &Parameters) -> Answer {
    let address = parameters.text("address").ok_or(Failure::MissingAddress)?;
    let name = parameters.text("name").ok_or(Failure::MissingName)?;
    Ok(minted(directory.add_app_user(appid, name, address, expires(now, parameters)?)?))
}

fn user_delete(directory: &mut Directory, _: Duration, appid: &str, parameters: &Parameters) -> Answer {
    directory.remove_app_user(appid, parameters.text("address").unwrap_or_default())?;
    Ok(Map::new())
}

fn user_token(directory: &mut Directory, now: Duration, appid: &str, parameters: &Parameters) -> Answer {
    let address = parameters.text("address").unwrap_or_default();
    Ok(minted(directory.app_token(appid, address, expires(now, parameters)?)?))
}

/// Minutes from now, as a time; 0 is never. A backend that says nothing shall not fill the store with tokens.
fn expires(now: Duration, parameters: &Parameters) -> Result<u64, Refusal> {
    Ok(match parameters.number("expiry")? {
        None => now.as_secs() + TOKEN_LIFE,
        Some(0) => 0,
        Some(minutes) => now.as_secs() + 60 * u64::from(minutes),
    })
}
