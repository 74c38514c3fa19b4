//! What is shown in several places: rights, limits, and how changes of them are read.

use serde_json::{Value, json};

use super::shape::{END_OF_TIME, Field, Kind, Object, Shape, maybe, needed, null, whole};
use crate::control::limits::{Codecs, Limits, MAX_LAYERS, MAX_RESOLUTION, MAX_VOICES};
use crate::control::rights::{Admin, Override, Say};

pub(super) const EXPIRES: Kind = Kind::Whole(0, END_OF_TIME);
pub(super) const RESOLUTION: Kind = Kind::Whole(0, MAX_RESOLUTION as u64);
pub(super) const ANY: Kind = Kind::Whole(0, u32::MAX as u64);
pub(super) const COUNT: Kind = Kind::Whole(0, u64::MAX);

/// Those that limits name, and that there is none.
const CODECS: [&str; 5] = ["vp8", "vp9", "h264", "av1", "none"];

/// Limits; null and 0 are none.
pub(super) static LIMITS: Shape = Shape {
    name: "Limits",
    fields: &[
        null("maxPublishKbps", ANY, "What one may publish, all layers of a stream together, in kbit/s."),
        null("maxSubscribeKbps", ANY, "What one may be sent, all streams together, in kbit/s."),
        null("maxResolution", RESOLUTION, "The largest picture, 1 (320x240) to 5 (3840x2160)."),
        null("maxVoices", Kind::Whole(0, MAX_VOICES as u64), "How many voices one may hear at once."),
        null("maxFps", Kind::Whole(0, 255), "How many pictures a second one may publish."),
        null("audioKbps", ANY, "What the sound of a stream may be that one publishes, in kbit/s."),
        null("codecs", Kind::Words(&CODECS), "The codecs of pictures that one may publish; none is any."),
        null("maxStreams", Kind::Whole(0, 255), "How many streams one may publish at once."),
        null("maxSubscriptions", Kind::Whole(0, 65_535), "How many streams one may watch at once."),
        null(
            "simulcastLayers",
            Kind::Whole(0, MAX_LAYERS as u64),
            "How many layers of a picture one may publish.",
        ),
        null("priority", Kind::Whole(0, 255), "By how much it counts higher where bandwidth is short."),
    ],
};

/// What is said of each right.
pub(super) static SAID: Shape = Shape {
    name: "Rights",
    fields: &[
        maybe("send", Kind::Say, "Send messages; null leaves it to the group, as with all of them."),
        maybe("receive", Kind::Say, "Receive messages."),
        maybe("publish", Kind::Say, "Publish streams."),
        maybe("subscribe", Kind::Say, "Watch streams."),
        maybe("list", Kind::Say, "See the roster."),
    ],
};

/// What of a stream, or of somebody, is muted.
pub(super) static MUTED: Shape = Shape {
    name: "Muted",
    fields: &[needed("audio", Kind::Truth, "The sound."), needed("video", Kind::Truth, "The picture.")],
};

/// What one may do, all told.
pub(super) static EFFECTIVE: Shape = Shape {
    name: "EffectiveRights",
    fields: &[
        maybe("send", Kind::Truth, "Send messages."),
        maybe("receive", Kind::Truth, "Receive messages."),
        maybe("publish", Kind::Truth, "Publish streams."),
        maybe("subscribe", Kind::Truth, "Watch streams."),
        maybe("list", Kind::Truth, "See the roster."),
    ],
};

/// What one may do to others.
pub(super) static ADMIN: Shape = Shape {
    name: "Admin",
    fields: &[
        maybe("modify", Kind::Truth, "Change the group's settings."),
        maybe("pins", Kind::Truth, "See and change its pins."),
        maybe("members", Kind::Truth, "See and change what members may do."),
        maybe("moderate", Kind::Truth, "Mute, hang up, lower hands, and ask people for something."),
        maybe("remove", Kind::Truth, "Put people out, and move them."),
    ],
};

/// What a request that changes something says of one member of it.
pub(super) trait Patch {
    /// A number; null is 0. `None` leaves it as it is.
    fn number(&self, name: &str) -> Option<u64>;
    /// The same, of 32 bits.
    fn small(&self, name: &str) -> Option<u32> {
        self.number(name).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }
    /// The same, of 8 bits.
    fn byte(&self, name: &str) -> Option<u8> {
        self.number(name).map(|number| u8::try_from(number).unwrap_or(u8::MAX))
    }
    /// A text.
    fn text(&self, name: &str) -> Option<&str>;
    /// True or false.
    fn truth(&self, name: &str) -> Option<bool>;
    /// An object; null is an empty one.
    fn object(&self, name: &str) -> Option<&Object>;
    /// Whether it is taken away.
    fn cleared(&self, name: &str) -> bool;
}

impl Patch for Object {
    fn number(&self, name: &str) -> Option<u64> {
        self.get(name).map(|value| whole(value).unwrap_or(0))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    fn truth(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    fn object(&self, name: &str) -> Option<&Object> {
        self.get(name).and_then(Value::as_object)
    }

    fn cleared(&self, name: &str) -> bool {
        self.get(name).is_some_and(Value::is_null)
    }
}

/// Changes limits as `patch` says under `limits`.
pub(super) fn patch_limits(patch: &Object, limits: &mut Limits) {
    if patch.cleared("limits") {
        *limits = Limits::default();
    }
    let Some(patch) = patch.object("limits") else { return };
    limits.max_publish_kbps = patch.small("maxPublishKbps").unwrap_or(limits.max_publish_kbps);
    limits.max_subscribe_kbps = patch.small("maxSubscribeKbps").unwrap_or(limits.max_subscribe_kbps);
    limits.max_resolution = patch.byte("maxResolution").unwrap_or(limits.max_resolution);
    limits.max_voices = patch.byte("maxVoices").unwrap_or(limits.max_voices);
    limits.max_fps = patch.byte("maxFps").unwrap_or(limits.max_fps);
    limits.audio_kbps = patch.small("audioKbps").unwrap_or(limits.audio_kbps);
    limits.max_streams = patch.byte("maxStreams").unwrap_or(limits.max_streams);
    let subscriptions = patch.small("maxSubscriptions").map(|most| u16::try_from(most).unwrap_or(u16::MAX));
    limits.max_subscriptions = subscriptions.unwrap_or(limits.max_subscriptions);
    limits.simulcast_layers = patch.byte("simulcastLayers").unwrap_or(limits.simulcast_layers);
    limits.priority = patch.byte("priority").unwrap_or(limits.priority);
    let codecs = patch.get("codecs").map(|codecs| {
        let names: Vec<_> = codecs.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Codecs::parse(&names.join(",")).unwrap_or_default()
    });
    limits.codecs = codecs.unwrap_or(limits.codecs);
}

/// Changes what is said of rights as `patch` says under `rights`.
pub(super) fn patch_said(patch: &Object, said: &mut Override) {
    if patch.cleared("rights") {
        *said = Override::default();
    }
    let Some(patch) = patch.object("rights") else { return };
    let say = |name: &str, before: Say| match patch.get(name) {
        None => before,
        Some(Value::Bool(true)) => Say::Allow,
        Some(Value::Bool(false)) => Say::Deny,
        Some(_) => Say::Unset,
    };
    *said = Override {
        send: say("send", said.send),
        receive: say("receive", said.receive),
        publish: say("publish", said.publish),
        subscribe: say("subscribe", said.subscribe),
        list: say("list", said.list),
    };
}

/// Changes what one may do to others as `patch` says under `admin`.
pub(super) fn patch_admin(patch: &Object, admin: &mut Admin) {
    if patch.cleared("admin") {
        *admin = Admin::NONE;
    }
    let Some(patch) = patch.object("admin") else { return };
    admin.modify = patch.truth("modify").unwrap_or(admin.modify);
    admin.pins = patch.truth("pins").unwrap_or(admin.pins);
    admin.members = patch.truth("members").unwrap_or(admin.members);
    admin.moderate = patch.truth("moderate").unwrap_or(admin.moderate);
    admin.remove = patch.truth("remove").unwrap_or(admin.remove);
}

/// Limits as they are shown.
pub(super) fn limits(limits: &Limits) -> Value {
    json!({
        "maxPublishKbps": limits.max_publish_kbps,
        "maxSubscribeKbps": limits.max_subscribe_kbps,
        "maxResolution": limits.max_resolution,
        "maxVoices": limits.max_voices,
        "maxFps": limits.max_fps,
        "audioKbps": limits.audio_kbps,
        "codecs": limits.codecs.names(),
        "maxStreams": limits.max_streams,
        "maxSubscriptions": limits.max_subscriptions,
        "simulcastLayers": limits.simulcast_layers,
        "priority": limits.priority,
    })
}

/// What is said of rights as it is shown.
pub(super) fn said(said: &Override) -> Value {
    let say = |say| match say {
        Say::Unset => Value::Null,
        Say::Allow => json!(true),
        Say::Deny => json!(false),
    };
    json!({
        "send": say(said.send),
        "receive": say(said.receive),
        "publish": say(said.publish),
        "subscribe": say(said.subscribe),
        "list": say(said.list),
    })
}

/// The parameters of paths, by name.
pub(super) const PATH: [Field; 5] = [
    maybe("appid", Kind::Slug, "The app's name."),
    maybe("gid", ANY, "The group's number."),
    maybe("uid", ANY, "The user's number."),
    maybe("sid", Kind::Whole(0, 255), "The stream's number: 0 is the camera by convention."),
    maybe("pin", Kind::Digits(8, 8), "The pin's digits."),
];
