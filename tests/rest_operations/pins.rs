//! `addpin`, `editpin`, `removepin` and `getpins`.

use serde_json::{Value, json};

use super::{Server, failed, own};

struct Pins {
    server: Server,
    owner: String,
    gid: String,
}

impl Pins {
    async fn new() -> Self {
        let server = Server::start().await;
        let owner = server.token("owner").await;
        let (gid, ..) = server.room(&owner, &[("guests", "1")]).await;
        Self { server, owner, gid }
    }

    async fn op(&self, token: &str, op: &str, more: &[(&str, &str)]) -> Value {
        let mut parameters = vec![("op", op), ("token", token), ("gid", &self.gid)];
        parameters.extend(more);
        self.server.op(&parameters).await
    }

    async fn add(&self, more: &[(&str, &str)]) -> String {
        let made = own(self.op(&self.owner, "addpin", more).await);
        made["pin"].as_str().expect("a text").to_owned()
    }

    async fn list(&self) -> Vec<Value> {
        let listed = own(self.op(&self.owner, "getpins", &[]).await);
        let pins = listed["pins"].as_array().expect("a list").clone();
        assert_eq!(listed["count"], pins.len());
        pins
    }

    async fn publishes(&self, token: &str, pin: &str) -> Value {
        self.op(token, "joingroup", &[("pin", pin)]).await["publish"].take()
    }
}

#[tokio::test]
async fn pins_are_added_listed_edited_and_removed() {
    let pins = Pins::new().await;
    let pin = pins.add(&[("canpub", "0"), ("cansub", "1"), ("count", "3"), ("maxPublishKbps", "900")]).await;
    let listed = pins.list().await;
    assert_eq!(listed.len(), 3);
    let mut expected = json!({"pin": pin, "canpub": 0, "cansub": 1, "expires": 0, "count": 3, "used": 0, "leave": 0, "callDuration": 0,
        "maxPublishKbps": 900, "maxSubscribeKbps": 0, "maxResolution": 0, "maxVoices": 0, "maxFps": 0,
        "audioKbps": 0, "codecs": "", "maxStreams": 0, "maxSubscriptions": 0, "simulcastLayers": 0, "priority": 0});
    assert_eq!(listed[2], expected);
    let (ada, bob) = (pins.server.token("ada").await, pins.server.token("bob").await);
    assert_eq!(pins.publishes(&ada, &pin).await, 0);

    let edited = pins.op(&pins.owner, "editpin", &[("pin", &pin), ("canpub", "1"), ("leave", "1")]).await;
    assert_eq!(own(edited), json!({}));
    for (name, value) in [("canpub", json!(1)), ("used", json!(1)), ("leave", json!(1))] {
        expected[name] = value;
    }
    // What is not named stays.
    assert_eq!(pins.list().await[2], expected);
    assert_eq!(pins.publishes(&ada, "").await, 1, "who came with it has what it gives now");

    assert_eq!(own(pins.op(&pins.owner, "removepin", &[("pin", &pin)]).await), json!({}));
    assert_eq!(pins.list().await.len(), 2);
    assert_eq!(failed(&pins.op(&bob, "joingroup", &[("pin", &pin)]).await), "BADGROUP");
    assert_eq!(failed(&pins.op(&ada, "joingroup", &[]).await), "BADGROUP", "and goes with it");
}

#[tokio::test]
async fn a_pin_that_says_nothing_leaves_its_members_when_it_goes() {
    let pins = Pins::new().await;
    let pin = pins.add(&[("canpub", "0")]).await;
    let ada = pins.server.token("ada").await;
    assert_eq!(pins.publishes(&ada, &pin).await, 0);
    pins.op(&pins.owner, "removepin", &[("pin", &pin)]).await;
    assert_eq!(pins.publishes(&ada, "").await, 0, "a member, with what the pin gave");
}

#[tokio::test]
async fn nobody_but_the_owner_has_to_do_with_pins() {
    let pins = Pins::new().await;
    let pin = pins.add(&[]).await;
    let ada = pins.server.token("ada").await;
    pins.publishes(&ada, &pin).await;
    for op in ["addpin", "editpin", "removepin", "getpins"] {
        assert_eq!(failed(&pins.op(&ada, op, &[("pin", &pin)]).await), "BADGROUP", "{op}");
    }
    for op in ["editpin", "removepin"] {
        assert_eq!(failed(&pins.op(&pins.owner, op, &[("pin", "12345678")]).await), "BADGROUP", "{op}");
    }
    for (name, value) in [("canpub", "2"), ("count", "-1"), ("leave", "yes"), ("expiry", "soon")] {
        assert_eq!(
            failed(&pins.op(&pins.owner, "addpin", &[(name, value)]).await),
            "BADARG",
            "{name}={value}"
        );
    }
}

/// What a pin says of publishing, what the group chooses, and what follows for who came with it.
#[tokio::test]
async fn a_right_that_a_pin_says_something_of_can_be_left_to_the_group_again() {
    let pins = Pins::new().await;
    let pin = pins.add(&[("canpub", "0"), ("cs", "1")]).await;
    let ada = pins.server.token("ada").await;
    pins.publishes(&ada, &pin).await;
    for (said, choice, shown, may) in [
        ("0", "members", Some(0), 0),
        ("1", "members", Some(1), 1),
        ("inherit", "members", None, 1),
        ("0", "selected", Some(0), 0),
        ("1", "selected", Some(1), 1),
        ("inherit", "selected", None, 0),
        ("0", "anyone", Some(0), 0),
        ("1", "anyone", Some(1), 1),
        ("inherit", "anyone", None, 1),
    ] {
        own(pins.op(&pins.owner, "setgroup", &[("publish", choice)]).await);
        own(pins.op(&pins.owner, "editpin", &[("pin", &pin), ("canpub", said)]).await);
        let listed = pins.list().await[2].clone();
        assert_eq!(listed.get("canpub"), shown.map(|number| json!(number)).as_ref(), "{said}");
        assert_eq!(listed["cs"], 1, "what is not named stays");
        assert_eq!(pins.publishes(&ada, "").await, may, "{said} {choice}");
    }
}
