//! The store's file may not grow any more: a full disk, but for the error's name.

use crate::program::Running;
use crate::{limit, operation, token};

#[test]
fn without_room_changes_are_refused_and_with_room_again_nothing_is_amiss() {
    let data = tempfile::tempdir().expect("a folder");
    let token = token(data.path());
    let server = Running::start(data.path(), &[]);
    let port = server.port();
    let make =
        |name: &str| operation(port, &format!("op=setgroup&token={token}&name={name}")).expect("answered");
    assert_eq!(make("Before")["result"], "OK");

    let size = std::fs::metadata(data.path().join("millrace.journal")).expect("the store").len();
    limit(&server, &format!("--fsize={size}:"));
    let refused = make("Without");
    assert_eq!((refused["result"].as_str(), refused["error"].as_str()), (Some("FAIL"), Some("UNAVAILABLE")));
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200"), "calls go on");
    let rooms =
        |port| operation(port, &format!("op=rooms&token={token}")).expect("answered")["count"].clone();
    let seen = rooms(port);

    limit(&server, "--fsize=unlimited:");
    assert_eq!(make("After")["result"], "OK");
    let log = server.end("KILL").1;
    assert!(log.contains("are not kept yet") && log.contains("keeps changes again"), "{log}");

    let again = Running::start(data.path(), &[]);
    // What the server showed when it could not write, and what came after, is there: memory and store are alike.
    assert_eq!(rooms(again.port()).as_u64(), seen.as_u64().map(|count| count + 1));
}
