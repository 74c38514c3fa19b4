//! Pins and members as their owner is shown them.

use serde_json::{Map, Value, json};

use crate::control::directory::{Listed, Pin};
use crate::control::limits::Limits;
use crate::control::rights::{Override, Say};
use crate::json::object;

/// A pin. `expires` is a time, comparable with the answer's `ts`; 0 is never.
pub(super) fn pin(pin: &Pin) -> Value {
    let mut members = object([
        ("pin", json!(pin.digits)),
        ("expires", json!(pin.expires)),
        ("count", json!(pin.count)),
        ("used", json!(pin.used)),
        ("leave", json!(u8::from(pin.leave))),
        ("callDuration", json!(pin.call_duration)),
    ]);
    add_said(&mut members, &pin.rights);
    add_limits(&mut members, &pin.limits);
    Value::Object(members)
}

/// A member: what is said of each right, and under `rights` what follows from it.
pub(super) fn member(listed: &Listed) -> Value {
    let member = &listed.member;
    let mut members = object([
        ("uid", json!(listed.uid)),
        ("name", json!(listed.name)),
        ("address", json!(listed.address)),
        ("rights", json!(listed.rights)),
        ("resolution", json!(member.resolution)),
        ("callFlags", json!(member.call_flags)),
        ("callDuration", json!(member.call_duration)),
        ("expires", json!(member.expires)),
    ]);
    add_said(&mut members, &member.says());
    add_limits(&mut members, &member.limits);
    Value::Object(members)
}

/// What is said, under the names by which it is set; what is unset is absent.
fn add_said(members: &mut Map<String, Value>, said: &Override) {
    let named = [
        ("cs", said.send),
        ("cr", said.receive),
        ("canpub", said.publish),
        ("cansub", said.subscribe),
        ("canlist", said.list),
    ];
    for (name, say) in named {
        let number = match say {
            Say::Unset => continue,
            Say::Allow => 1,
            Say::Deny => 0,
        };
        members.insert(name.to_owned(), json!(number));
    }
}

fn add_limits(members: &mut Map<String, Value>, limits: &Limits) {
    members.insert("maxPublishKbps".to_owned(), json!(limits.max_publish_kbps));
    members.insert("maxSubscribeKbps".to_owned(), json!(limits.max_subscribe_kbps));
    members.insert("maxResolution".to_owned(), json!(limits.max_resolution));
    members.insert("maxVoices".to_owned(), json!(limits.max_voices));
    members.insert("maxFps".to_owned(), json!(limits.max_fps));
    members.insert("audioKbps".to_owned(), json!(limits.audio_kbps));
    members.insert("codecs".to_owned(), json!(limits.codecs.names().join(",")));
    members.insert("maxStreams".to_owned(), json!(limits.max_streams));
    members.insert("maxSubscriptions".to_owned(), json!(limits.max_subscriptions));
    members.insert("simulcastLayers".to_owned(), json!(limits.simulcast_layers));
    members.insert("priority".to_owned(), json!(limits.priority));
}
