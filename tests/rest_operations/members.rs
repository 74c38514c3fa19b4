//! `groupeditmembers` and `getmembers`.

use serde_json::{Value, json};

use super::{Server, failed, own};

#[tokio::test]
async fn members_are_edited_and_listed_with_their_rights() {
    let server = Server::start().await;
    let (owner, ada) = (server.token("owner").await, server.token("ada").await);
    let (gid, ..) = server.room(&owner, &[]).await;
    let edit = async |more: &[(&str, &str)]| {
        let mut parameters = vec![("op", "groupeditmembers"), ("token", &*owner), ("gid", &*gid)];
        parameters.extend(more);
        server.op(&parameters).await
    };
    let list = async |token: &str| server.op(&[("op", "getmembers"), ("token", token), ("gid", &gid)]).await;
    let said = [
        ("m", "ada, owner"),
        ("cs", "0"),
        ("cr", "1"),
        ("canpub", "1"),
        ("cansub", "1"),
        ("canlist", "0"),
        ("resolution", "2"),
        ("callFlags", "7"),
        ("callDuration", "60"),
        ("expiry", "3600"),
        ("maxVoices", "2"),
        ("maxFps", "24"),
        ("audioKbps", "32"),
        ("codecs", "h264, vp8"),
        ("maxStreams", "2"),
        ("maxSubscriptions", "300"),
        ("simulcastLayers", "2"),
        ("priority", "5"),
    ];
    let edited = edit(&said).await;
    let expires = edited["ts"].as_u64().expect("a number") + 3600;
    assert_eq!(own(edited), json!({}));

    let listed = own(list(&owner).await);
    assert_eq!(listed["count"], 2);
    let member = |name: &str| {
        let members = listed["members"].as_array().expect("a list");
        members.iter().find(|member| member["address"] == name).cloned().expect("listed")
    };
    let rights =
        |all: bool| json!({"send": all, "receive": true, "publish": true, "subscribe": true, "list": all});
    let (mut found, uid) = (member("ada"), member("ada")["uid"].clone());
    // A second may pass between the operation and its time stamp.
    assert!(found["expires"].take().as_u64().expect("a number").abs_diff(expires) <= 1);
    let expected = json!({"uid": uid, "name": "ada", "address": "ada", "rights": rights(false), "resolution": 2,
        "callFlags": 7, "callDuration": 60, "expires": Value::Null, "cs": 0, "cr": 1, "canpub": 1, "cansub": 1, "canlist": 0,
        "maxPublishKbps": 0, "maxSubscribeKbps": 0, "maxResolution": 0, "maxVoices": 2, "maxFps": 24,
        "audioKbps": 32, "codecs": "vp8,h264", "maxStreams": 2, "maxSubscriptions": 300, "simulcastLayers": 2, "priority": 5});
    assert_eq!(found, expected);
    assert_eq!(member("owner")["rights"], rights(true), "whatever is said of the owner");

    // Where one right is named, those that are not are left to the group; `inherit` names one and leaves it to the group.
    for (named, left) in [(("canlist", "0"), vec!["canlist"]), (("canlist", "inherit"), vec![])] {
        own(edit(&[("m", "ada"), named]).await);
        let listed = own(list(&owner).await);
        let members = listed["members"].as_array().expect("a list");
        let ada = members.iter().find(|member| member["address"] == "ada").expect("listed");
        let said =
            ["cs", "cr", "canpub", "cansub", "canlist"].into_iter().filter(|name| ada.get(*name).is_some());
        assert_eq!(said.collect::<Vec<_>>(), left);
    }
    assert_eq!(failed(&list(&ada).await), "BADGROUP");
    assert_eq!(failed(&edit(&[("m", "nobody")]).await), "BADUSER");
    assert_eq!(failed(&edit(&[("canpub", "1")]).await), "BADARG");
    assert_eq!(own(edit(&[("m", "ada"), ("delete", "1")]).await), json!({}));
    assert_eq!(own(list(&owner).await)["count"], 1);
    let join = [("op", "joingroup"), ("token", &*ada), ("gid", &*gid)];
    assert_eq!(failed(&server.op(&join).await), "BADGROUP");
}
