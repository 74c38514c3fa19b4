//! Janus: its HTTP API and its streaming plugin.
//!
//! The publisher is plain RTP to a mountpoint, as that plugin takes it. Janus has to be an ICE-lite end (`ice_lite = true`), because
//! our clients are always the controlling one.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::elsewhere::{Leave, Turn, Watching};
use crate::drive::Running;
use crate::identity::random_name;
use crate::publisher::Publisher;
use crate::{Error, sdp, web};

/// Events that may come before the one that is waited for.
const EVENTS: usize = 20;
/// A session that says nothing is taken away after a minute.
const KEEP: Duration = Duration::from_secs(25);
/// Nobody asks a source of plain RTP for keyframes.
const KEYFRAMES: Duration = Duration::from_secs(1);

/// A Janus server.
#[derive(Clone, Debug)]
pub struct Janus {
    /// Its API, as in `http://127.0.0.1:8088/janus`.
    pub api: Url,
    /// The mountpoint that is watched.
    pub mountpoint: u64,
    /// Where the mountpoint takes RTP.
    pub rtp: SocketAddr,
}

impl Janus {
    pub(super) fn publish(&self, turn: Turn<'_>) -> Result<Running<Publisher>, Error> {
        let Some(publishing) = &turn.group.cohort.publish else {
            unreachable!("only cohorts that publish do")
        };
        let mut plan = publishing.plan();
        if plan.audio || plan.encodings.len() != 1 {
            return Err(Error::Usage(
                "a mountpoint of Janus takes one picture in one layer here, no sound".into(),
            ));
        }
        plan.key_every = Some(KEYFRAMES);
        turn.start_plain(self.rtp, turn.publisher(&plan))
    }

    /// A session, a handle of the plugin in it, its offer, our answer.
    pub(super) async fn watch(&self, turn: Turn<'_>) -> Result<Watching, Error> {
        let session = self.child(&self.api, json!({ "janus": "create" })).await?;
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.streaming" });
        let handle = self.child(&session, attach).await?;
        let watch = json!({ "request": "watch", "id": self.mountpoint });
        self.ask(&handle, json!({ "janus": "message", "body": watch })).await?;
        let offer = self.offer(&session).await?;
        let ends = turn.ends(&self.api).await?;
        let answer = sdp::answer(&turn.ours(&ends)?, &offer)?;
        let jsep = json!({ "type": "answer", "sdp": answer });
        let start = json!({ "janus": "message", "body": { "request": "start" }, "jsep": jsep });
        self.ask(&handle, start).await?;
        turn.start_viewer(ends, sdp::read_offer(&offer)?, Leave::Janus(self.clone(), session))
    }

    /// Tells now and then that the client is still there.
    pub(super) async fn keep(&self, session: &Url) {
        loop {
            tokio::time::sleep(KEEP).await;
            // Without a session there is no media either, and that is seen.
            let _ = self.ask(session, json!({ "janus": "keepalive" })).await;
        }
    }

    pub(super) async fn leave(&self, session: &Url) -> Result<(), Error> {
        self.ask(session, json!({ "janus": "destroy" })).await.map(drop)
    }

    /// Waits for the plugin's offer among the session's events.
    async fn offer(&self, session: &Url) -> Result<String, Error> {
        for _ in 0..EVENTS {
            let event = web::get(session).await?;
            if let Some(offer) = event.pointer("/jsep/sdp").and_then(Value::as_str) {
                return Ok(offer.to_owned());
            }
            if let Some(why) = event.pointer("/plugindata/data/error") {
                return Err(Error::Signal(format!("Janus: {why}")));
            }
        }
        Err(Error::Signal("Janus makes no offer".into()))
    }

    async fn ask(&self, url: &Url, mut body: Value) -> Result<Value, Error> {
        if let Some(members) = body.as_object_mut() {
            members.insert("transaction".to_owned(), json!(random_name(12)));
        }
        let answer = web::post(url, &body).await?;
        match answer.get("janus").and_then(Value::as_str) {
            Some("success" | "ack" | "event") => Ok(answer),
            _ => Err(Error::Signal(format!("Janus: {answer}"))),
        }
    }

    /// Makes a session, or a handle of one.
    async fn child(&self, parent: &Url, body: Value) -> Result<Url, Error> {
        let answer = self.ask(parent, body).await?;
        let id = answer.pointer("/data/id").and_then(Value::as_u64);
        let id = id.ok_or_else(|| Error::Signal(format!("Janus: {answer}")))?;
        let mut url = parent.clone();
        url.set_path(&format!("{}/{id}", parent.path().trim_end_matches('/')));
        Ok(url)
    }
}
