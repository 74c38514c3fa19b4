//! Apps: whose backends sign users in, by a secret or by tokens that they sign themselves.

use serde_json::{Value, json};

use super::problem::{Problem, Sort};
use super::shape::{Kind, Shape, known, maybe, needed, null};
use super::shown::Patch;
use super::{Answer, Call, Object, Reply};
use crate::control::State;
use crate::control::directory::{App, Webhook};
use crate::signal::message::Secret;

/// An app as it is made.
pub(super) static NEW: Shape = Shape {
    name: "AppNew",
    fields: &[
        needed("appid", Kind::Slug, "Its name."),
        maybe("publicKeys", Kind::Keys, KEYS),
        maybe("several", Kind::Truth, SEVERAL),
        maybe("webhook", Kind::Object(&WEBHOOK_NEW), WEBHOOK),
    ],
};

/// What is changed of an app (RFC 7396).
pub(super) static PATCH: Shape = Shape {
    name: "AppPatch",
    fields: &[
        maybe("publicKeys", Kind::Keys, KEYS),
        maybe("several", Kind::Truth, SEVERAL),
        null("webhook", Kind::Object(&WEBHOOK_NEW), WEBHOOK),
    ],
};

/// Where an app is told what happens, as it is set, and as it is shown.
static WEBHOOK_NEW: Shape = Shape {
    name: "WebhookNew",
    fields: &[
        needed("url", Kind::Url, "Where to post to."),
        needed(
            "secret",
            Kind::Key,
            "What it is signed with: `whsec_` and base 64 of 24 bytes or more, or a text.",
        ),
    ],
};
static WEBHOOK_SHOWN: Shape =
    Shape { name: "Webhook", fields: &[needed("url", Kind::Text, "Where is posted to.")] };

/// An app as it is shown.
pub(super) static APP: Shape = Shape {
    name: "App",
    fields: &[
        needed("appid", Kind::Text, "Its name."),
        needed("publicKeys", Kind::Keys, KEYS),
        needed("several", Kind::Truth, SEVERAL),
        known("webhook", Kind::Object(&WEBHOOK_SHOWN), WEBHOOK),
        maybe("secret", Kind::Text, "Its secret; shown to who makes it."),
    ],
};

const KEYS: &str = "The Ed25519 keys of tokens that it signs: `x` of their JWK (RFC 8037), four at most.";
const SEVERAL: &str = "Whether a token of its users may be signed in several times at once.";

const WEBHOOK: &str = "Who is told what happens in groups of its users; null is nobody. With the admin token alone it is changed.";

fn show(appid: &str, app: &App) -> Value {
    let webhook = app.webhook.as_ref().map(|webhook| json!({ "url": webhook.url }));
    json!({ "appid": appid, "publicKeys": app.public_keys, "several": app.several, "webhook": webhook })
}

fn apply(patch: &Object, app: &mut App) {
    if let Some(Value::Array(keys)) = patch.get("publicKeys") {
        app.public_keys = keys.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    app.several = patch.truth("several").unwrap_or(app.several);
    if patch.cleared("webhook") {
        app.webhook = None;
    }
    if let Some(webhook) = patch.object("webhook") {
        let text = |name| Secret(webhook.text(name).unwrap_or_default().to_owned());
        app.webhook = Some(Webhook { url: text("url"), secret: text("secret") });
    }
}

fn find<'s, 'c>(state: &'s State, call: &'c Call) -> Result<(&'c str, &'s App), Problem> {
    call.caller.must_not_be_user()?;
    let appid = call.path.first().and_then(Value::as_str).unwrap_or_default();
    let own = call.caller.appid().is_none_or(|own| own == appid);
    let app = state.directory.app(appid).filter(|_| own);
    app.map(|app| (appid, app)).ok_or_else(|| Problem::not_found("app"))
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    call.caller.must_not_be_user()?;
    let own = |(appid, _): &(&str, &App)| call.caller.appid().is_none_or(|own| own == *appid);
    let apps = (1..).zip(state.directory.apps().filter(own));
    Ok(call.page(apps, |(appid, app)| show(appid, app)))
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let appid = call.body.text("appid").unwrap_or_default();
    if state.directory.app(appid).is_some() {
        return Err(Problem::new(Sort::Conflict, "There is an app of this name: choose another one."));
    }
    let secret = state.directory.app_or_new(appid)?.secret.clone();
    state.directory.amend_app(appid, |app| apply(&call.body, app))?;
    let app = state.directory.app(appid).ok_or_else(|| Problem::not_found("app"))?;
    let mut shown = show(appid, app);
    shown["secret"] = json!(secret);
    Ok(Reply::made(shown, format!("/v1/apps/{appid}")))
}

pub(super) fn read(state: &mut State, call: &Call) -> Answer {
    let (appid, app) = find(state, call)?;
    Ok(Reply::version(show(appid, app)))
}

pub(super) fn patch(state: &mut State, call: &Call) -> Answer {
    let (appid, app) = find(state, call)?;
    if call.body.contains_key("webhook") {
        // The server posts to where this says, as nobody outside could.
        call.caller.must_be_server()?;
    }
    call.guard(&show(appid, app))?;
    state.directory.amend_app(appid, |app| apply(&call.body, app))?;
    read(state, call)
}
