//! REST in resource style, over the real HTTP server, control plane and store.

mod apps;
#[path = "../common/control_plane.rs"]
mod control_plane;
mod frame;
mod groups;
mod hooks;
mod live;
mod looked_at;
mod recorder;

use std::net::SocketAddr;

use millrace::control::Control;
use millrace::control::directory::FileRules;
use millrace::hooks::Settings;
use millrace::http::{Http, NodeReport, Serving, Site, Uploads, V1};
use millrace::mail::Mail;
use millrace::signal::message::Secret;
use millrace::signal::webtransport::Origins;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Server {
    pub(crate) control: Control,
    serving: Serving,
    pub(crate) client: Client,
    _data: tempfile::TempDir,
}

/// An answer, read.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Got {
    pub(crate) fn tag(&self) -> &str {
        self.headers["etag"].to_str().expect("a text")
    }

    /// The body of an answer with this status.
    pub(crate) fn must(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The name of a problem with this status.
    pub(crate) fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(self.body["detail"].as_str().expect("a text").ends_with('.'));
        let name = self.body["type"].as_str().expect("a text");
        name.strip_prefix("/docs/rest-v1.md#").expect("a name")
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_telling(None).await
    }

    /// One that tells endpoints what happens.
    pub(crate) async fn start_telling(hooks: Option<&Settings>) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let (control, _actor) = match hooks {
            None => control_plane::start(data.path(), 100),
            Some(_) => control_plane::start_telling(data.path(), 100, hooks),
        };
        let http = Http::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).await.expect("an address");
        let node = || NodeReport { healthy: true, ..NodeReport::default() };
        let serving = http.start(Site {
            uploads: Uploads::open(data.path(), FileRules::default()).expect("a folder"),
            control: control.clone(),
            signal: Vec::new(),
            hashes: Box::new(Vec::new),
            healthy: Box::new(|| true),
            origins: Origins::new(vec!["https://app.example.org".to_owned()]),
            mail: Mail::Log,
            v1: V1::new(&Secret(KEY.to_owned()), Box::new(node)),
        });
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { control, serving, client, _data: data }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.serving.address())
    }

    /// One request, with headers besides.
    pub(crate) async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Got {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, self.url(path));
        request = match token.split_once(':') {
            // An app's id and secret.
            Some((appid, secret)) => request.basic_auth(appid, Some(secret)),
            None if token.is_empty() => request,
            None => request.bearer_auth(token),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a text");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
        Got { status, headers, body }
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Got {
        self.send(token, "GET", path, None, &[]).await
    }

    pub(crate) async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Got {
        self.send(token, method, path, Some(body), &[]).await
    }

    /// A user and a token.
    pub(crate) async fn user(&self, name: &str) -> (u64, String) {
        let user = json!({ "name": name, "address": name });
        let uid = self.ask(KEY, "POST", "/v1/users", user).await.must(201)["uid"].as_u64().expect("a number");
        let token = self.ask(KEY, "POST", &format!("/v1/users/{uid}/tokens"), json!({})).await.must(201);
        (uid, token["token"].as_str().expect("a text").to_owned())
    }

    /// An app, and what its backend shows.
    pub(crate) async fn app(&self, appid: &str) -> String {
        let app = self.ask(KEY, "POST", "/v1/apps", json!({ "appid": appid })).await.must(201);
        format!("{appid}:{}", app["secret"].as_str().expect("a text"))
    }

    /// A group of a user.
    pub(crate) async fn group(&self, token: &str) -> u64 {
        let group = self.ask(token, "POST", "/v1/groups", json!({ "name": "Room" })).await.must(201);
        group["gid"].as_u64().expect("a number")
    }
}
