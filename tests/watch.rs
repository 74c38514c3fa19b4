//! What whoever runs the server sees of it: `/metrics`, `/readyz`, and the dashboard made for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use millrace::config::{Config, Invocation};
use millrace::server::Server;

fn config(data: &Path) -> Config {
    let data = data.to_str().expect("a path");
    let line = ["millrace", "--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let line = line.into_iter().chain(["--metrics", "127.0.0.1:0", "--shards", "2"]);
    match Invocation::try_from_line(line).expect("a command line") {
        Invocation::Serve(options) => options.check().expect("no problem"),
        other => panic!("{other:?}"),
    }
}

fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Samples by name and labels, families by name; every line is held to the format.
fn read(text: &str) -> (BTreeMap<&str, f64>, BTreeMap<&str, &str>) {
    let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, sort) = family.split_once(' ').expect("a name and a sort");
            assert!(families.insert(name, sort).is_none(), "{name} is there twice");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(name, value).is_none(), "{name} is there twice");
            let bare = name.split('{').next().expect("a name");
            let of = ["_bucket", "_sum", "_count"].iter().filter_map(|end| bare.strip_suffix(end));
            let known = families.contains_key(bare) || of.into_iter().any(|name| families.contains_key(name));
            assert!(known, "{name} has no head");
        }
    }
    (samples, families)
}

#[test]
fn metrics_are_for_whoever_runs_the_server_and_follow_the_conventions() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(&config(data.path())).expect("it starts");
    let (page, own) = (server.http_address().expect("a page"), server.metrics_address().expect("metrics"));
    assert_eq!(get(page, "/metrics", "").0, 401, "not for everybody");
    assert_eq!(get(page, "/metrics", "authorization: Bearer wrong\r\n").0, 401);
    let key = std::fs::read_to_string(data.path().join("admin.token")).expect("the admin token");
    let (status, text) = get(page, "/metrics", &format!("authorization: Bearer {}\r\n", key.trim()));
    assert_eq!(status, 200);
    assert_eq!(get(own, "/config.json", "").0, 404, "nothing else is there");
    let (status, apart) = get(own, "/metrics", "");
    assert_eq!(status, 200);

    let (samples, families) = read(&text);
    assert_eq!(families, read(&apart).1);
    for (name, sort) in &families {
        assert!(name.starts_with("millrace_") || name.starts_with("process_"), "{name}");
        assert_eq!(*sort == "counter", name.ends_with("_total"), "{name} is a {sort}");
    }
    assert_eq!((samples["millrace_groups"], samples["millrace_control_up"]), (1.0, 1.0), "the demo room");
    assert!(samples["millrace_store_commits_total"] >= 1.0, "it was kept");
    assert!(samples["process_resident_memory_bytes"] > 1e6 && samples["process_open_fds"] > 3.0);
    assert_eq!(
        samples["millrace_forwarding_seconds_bucket{le=\"+Inf\"}"],
        samples["millrace_forwarding_seconds_count"]
    );
    assert!(samples.contains_key("millrace_shard_turns_total{shard=\"1\"}"), "one for each shard");
    server.stop();
}

#[test]
fn it_is_ready_while_shards_store_and_port_work_and_not_while_it_drains() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(&config(data.path())).expect("it starts");
    let page = server.http_address().expect("a page");
    assert_eq!(get(page, "/readyz", ""), (200, "ready\n".to_owned()));
    let shards = server.shards().clone();
    server.block_on(server.control().with(|state, _| state.drain(true))).expect("a runtime").expect("done");
    // The answer before serves for a moment.
    let own = server.metrics_address().expect("metrics");
    let drained = std::iter::repeat_with(|| get(own, "/readyz", "")).find(|(status, _)| *status != 200);
    assert_eq!(drained, Some((503, "draining\n".to_owned())));
    shards.stop();
    let told = std::iter::repeat_with(|| get(own, "/readyz", "").1).find(|told| told.contains("shard"));
    let told = told.expect("it goes on until then");
    assert!(
        told.contains("a shard does not turn\n") && told.contains("the media port does not answer\n"),
        "{told}"
    );
    server.stop();
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_there() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Server::start(&config(data.path())).expect("it starts");
    let (_, text) = get(server.metrics_address().expect("metrics"), "/metrics", "");
    let (samples, families) = read(&text);
    let there: BTreeSet<&str> =
        samples.keys().filter_map(|name| name.split('{').next()).chain(families.keys().copied()).collect();
    let dashboard = include_str!("../tools/deploy/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let asked = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let asked: Vec<&str> = asked.map(|target| target["expr"].as_str().expect("an expression")).collect();
    let names = asked.iter().flat_map(|expr| expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let names: BTreeSet<&str> =
        names.filter(|name| name.starts_with("millrace_") || name.starts_with("process_")).collect();
    assert!(names.len() > 20);
    let missing: Vec<_> = names.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?}");
    server.stop();
}
