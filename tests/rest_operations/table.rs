//! Every operation with everything that may be missing or odd in it, by query and by both sorts of forms: it answers by name, and alike whichever way
//! it came. And what admins may, who are not the owner.

use serde_json::{Value, json};

use super::{Server, failed, own};

/// Parameters, by name.
type Given<'a> = [(&'a str, &'a str)];
/// An operation, what it is given, and the error that it answers with.
type Wrong<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str);
/// The bit of an admin, and what it permits.
type Permits<'a> = (&'a str, &'a str, &'a Given<'a>);

/// How parameters travel.
#[derive(Clone, Copy, Debug)]
enum Way {
    Query,
    Form,
    Parts,
}

impl Server {
    async fn by(&self, way: Way, parameters: &[(&str, &str)]) -> Value {
        let asked = match way {
            Way::Query => return self.op(parameters).await,
            Way::Form => self.client.post(self.url("/api")).form(parameters),
            Way::Parts => {
                let part = |(name, value): &(&str, &str)| {
                    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                };
                let form: String = parameters.iter().map(part).chain(["--b--\r\n".to_owned()]).collect();
                let post = self.client.post(self.url("/api")).body(form);
                post.header("content-type", "multipart/form-data; boundary=b")
            }
        };
        asked.send().await.expect("an answer").json().await.expect("JSON")
    }
}

/// What every number, choice and list of the operations refuses.
const ODD: [(&str, &[&str]); 12] = [
    ("type", &["3", "x", "-1", "1.0"]),
    ("resolution", &["6", "HD", "-1"]),
    ("guests", &["2", "yes"]),
    ("callFlags", &["-1", "4294967296", "x"]),
    ("callDuration", &["-1", "x"]),
    ("expiry", &["-1", "soon", "4294967296"]),
    ("receive", &["all", "TURN"]),
    ("publish", &["1", "all"]),
    ("maxPublishKbps", &["-1", "fast"]),
    ("maxResolution", &["6", "x"]),
    ("maxVoices", &["33", "x"]),
    ("subscribe", &["0"]),
];
const ODD_RIGHTS: [(&str, &[&str]); 6] = [
    ("cs", &["2", "x"]),
    ("cr", &["-1"]),
    ("canpub", &["true"]),
    ("cansub", &["2"]),
    ("canlist", &["2"]),
    ("expiry", &["-1", "soon"]),
];

#[tokio::test]
async fn what_is_missing_or_odd_is_named_whichever_way_it_comes() {
    let server = Server::start().await;
    let (owner, ada) = (server.token("owner").await, server.token("ada").await);
    let (gid, pin, _) = server.room(&owner, &[]).await;
    let (token, gid, pin) = (("token", owner.as_str()), ("gid", gid.as_str()), ("pin", pin.as_str()));
    let mut cases: Vec<Wrong<'_>> = vec![
        ("setgroup", vec![token], "MISSINGNAME"),
        ("setgroup", vec![token, ("name", " ")], "MISSINGNAME"),
        ("setgroup", vec![token, ("gid", "4711"), ("name", "N")], "BADGROUP"),
        ("groupeditmembers", vec![token, gid], "BADARG"),
        ("groupeditmembers", vec![token, gid, ("m", ",, ")], "BADARG"),
        ("groupeditmembers", vec![token, gid, ("m", "nobody")], "BADUSER"),
        ("groupeditmembers", vec![token, gid, ("m", "nobody"), ("delete", "1")], "BADUSER"),
        ("groupeditmembers", vec![token, gid, ("m", "ada"), ("delete", "2")], "BADARG"),
        ("groupeditmembers", vec![token, gid, ("m", "ada"), ("admin", "king")], "BADARG"),
        ("editpin", vec![token, gid], "BADGROUP"),
        ("editpin", vec![token, gid, ("pin", "1")], "BADGROUP"),
        ("removepin", vec![token, gid], "BADGROUP"),
        ("addpin", vec![token, gid, ("leave", "2")], "BADARG"),
        ("editpin", vec![token, gid, pin, ("count", "x")], "BADARG"),
    ];
    for op in [
        "joingroup",
        "leavegroup",
        "delgroup",
        "groupeditmembers",
        "getmembers",
        "addpin",
        "editpin",
        "removepin",
        "getpins",
    ] {
        let needs = [token, ("m", "ada"), pin];
        cases.push((op, vec![("m", "ada"), pin, gid], "AUTHFAIL"));
        cases.push((op, vec![("token", "0"), ("m", "ada"), pin, gid], "AUTHFAIL"));
        cases.push((op, needs.to_vec(), "BADGROUP"));
        for odd in ["", "x", "-1", "1000.0", "4294967296"] {
            cases.push((op, [&needs[..], &[("gid", odd)]].concat(), "BADGROUP"));
        }
    }
    for op in ["rooms", "logout", "setgroup"] {
        cases.push((op, vec![], "AUTHFAIL"));
    }
    let odd = |(name, values): (&'static str, &'static [&'static str])| {
        values.iter().map(move |value| (name, *value))
    };
    for odd in ODD.into_iter().flat_map(odd) {
        cases.push(("setgroup", vec![token, ("name", "N"), odd], "BADARG"));
        cases.push(("setgroup", vec![token, gid, odd], "BADARG"));
    }
    for odd in ODD_RIGHTS.into_iter().flat_map(odd) {
        cases.push(("groupeditmembers", vec![token, gid, ("m", "ada"), odd], "BADARG"));
        cases.push(("addpin", vec![token, gid, odd], "BADARG"));
        cases.push(("editpin", vec![token, gid, pin, odd], "BADARG"));
    }
    for (op, given, error) in &cases {
        let parameters = [&[("op", *op)], &given[..]].concat();
        for way in [Way::Query, Way::Form, Way::Parts] {
            assert_eq!(failed(&server.by(way, &parameters).await), *error, "{way:?} {parameters:?}");
        }
    }
    // Nothing of it did anything.
    let listed = own(server.op(&[("op", "getmembers"), token, gid]).await);
    assert_eq!(listed["count"], 1);
    assert_eq!(own(server.op(&[("op", "rooms"), token]).await)["count"], 1);
    assert_eq!(server.op(&[("op", "joingroup"), ("token", &ada), gid, pin]).await["result"], "OK");
}

#[tokio::test]
async fn operations_serve_alike_whichever_way_they_come() {
    for way in [Way::Query, Way::Form, Way::Parts] {
        let server = Server::start().await;
        let token = server.token("owner").await;
        let named = [("op", "setgroup"), ("token", &token), ("name", "Böse & Söhne = 1+1"), ("type", "2")];
        let made = own(server.by(way, &named).await);
        assert_eq!((&made["name"], &made["type"]), (&json!("Böse & Söhne = 1+1"), &json!(2)), "{way:?}");
        let rooms = own(server.by(way, &[("op", "rooms"), ("token", &token)]).await);
        assert_eq!(rooms["count"], 1, "{way:?}");
    }
}

#[tokio::test]
async fn admins_do_what_their_bits_say_and_no_more() {
    let server = Server::start().await;
    let (owner, ada) = (server.token("owner").await, server.token("ada").await);
    let other = server.token("other").await;
    server.token("bob").await;
    let (gid, pin, _) = server.room(&owner, &[]).await;
    let ask = async |token: &str, op: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![("op", op), ("token", token), ("gid", gid.as_str())];
        parameters.extend(more);
        server.op(&parameters).await
    };
    own(ask(&owner, "groupeditmembers", &[("m", "bob")]).await);
    own(ask(&other, "joingroup", &[("pin", &pin)]).await);
    own(ask(&owner, "groupeditmembers", &[("m", "other"), ("admin", "moderate")]).await);
    let tries: [Permits<'_>; 8] = [
        ("modify", "setgroup", &[("name", "Adas")]),
        ("pins", "addpin", &[]),
        ("pins", "editpin", &[("pin", &pin), ("count", "0")]),
        ("pins", "getpins", &[]),
        ("members", "groupeditmembers", &[("m", "bob"), ("canpub", "0")]),
        ("members", "getmembers", &[]),
        ("remove", "getmembers", &[]),
        ("remove", "groupeditmembers", &[("m", "bob"), ("delete", "1")]),
    ];
    for bit in ["none", "modify", "pins", "members", "moderate", "remove"] {
        own(ask(&owner, "groupeditmembers", &[("m", "ada"), ("admin", bit)]).await);
        for (wants, op, more) in &tries {
            let permitted = tries.iter().any(|(b, o, m)| *b == bit && o == op && m == more);
            let answer = ask(&ada, op, more).await;
            match permitted {
                true => assert_eq!(answer["result"], "OK", "{bit}: {op}"),
                false => assert_eq!(failed(&answer), "BADGROUP", "{bit}: {op} wants {wants}"),
            }
            assert!(*op != "setgroup" || answer.get("pin").is_none(), "pins are the owner's");
        }
        assert_eq!(failed(&ask(&ada, "delgroup", &[]).await), "BADGROUP", "{bit}");
    }
    // The owner is above admins, admins are above each other, and the owner alone makes them.
    own(ask(&owner, "groupeditmembers", &[("m", "ada"), ("admin", "members, remove")]).await);
    for (m, more) in [("owner", ("canpub", "0")), ("other", ("canpub", "0")), ("bob", ("admin", "modify"))] {
        assert_eq!(failed(&ask(&ada, "groupeditmembers", &[("m", m), more]).await), "NOTALLOWED", "{m}");
    }
    for m in ["owner", "other"] {
        let removing = [("m", m), ("delete", "1")];
        assert_eq!(failed(&ask(&ada, "groupeditmembers", &removing).await), "NOTALLOWED", "{m}");
    }
}
