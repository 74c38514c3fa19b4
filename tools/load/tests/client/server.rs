//! The real server, for as long as a test takes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use millrace::config::Config;
use millrace::control::directory::DEMO_ADDRESS;
use millrace::net::Io;
use millrace::server::Server;

/// Nothing here takes longer on any machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives the link of its room to `test`.
pub(crate) fn on_two_shards(loopback: IpAddr, test: impl AsyncFnOnce(String)) {
    with_owner(loopback, async |link, _| test(link).await);
}

/// Gives the link of its room and its owner's token to `test`.
pub(crate) fn with_owner(loopback: IpAddr, test: impl AsyncFnOnce(String, String)) {
    let data = tempfile::tempdir().expect("a folder");
    let loopback = |port| SocketAddr::new(loopback, port);
    let server = Server::start(&Config {
        data: data.path().to_owned(),
        listen: vec![loopback(0)],
        http: loopback(0),
        shards: 2,
        io: Io::Auto,
        advertise: vec![],
        proxies: Default::default(),
        tls: None,
        acme: None,
        origins: vec![],
        metrics: None,
        demo: true,
        voices: 8,
        files: Default::default(),
        mail: None,
        webhooks: None,
        log: millrace::config::Log::default(),
    })
    .expect("a server");
    let page = server.http_address().expect("a page").to_string();
    let link = server.link().expect("a demo room");
    let link = format!(
        "http://{page}/{}",
        link.split_once("/?").map(|(_, room)| format!("?{room}")).expect("a room")
    );
    let minted = server.control().with(|state, _| state.directory.mint_token("Owner", Some(DEMO_ADDRESS)));
    let owner = server.block_on(minted).expect("a server").expect("answered").expect("a token").token;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test(link, owner)).await.expect("in time") });
    drop(runtime);
    server.stop();
}
