//! What WHEP players are told of what they see, as server-sent events (an extension of draft-ietf-wish-whep-02), looked up
//! every second.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::control::Control;
use crate::control::posted::{Kinds, Look};
use crate::control::rooms::Encoding;
use crate::task;

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);
/// Looks after which something is said though nothing changed: rates do, and whoever is gone is noticed.
const ANYWAY: u32 = 5;
/// Events that may wait for a slow player; then nothing is looked up for it.
const WAITING: usize = 4;

/// What a player knows.
#[derive(Debug, Default)]
struct Told {
    active: bool,
    viewers: Option<usize>,
    layers: Vec<Layer>,
    /// Looks since something was said.
    silent: u32,
}

/// What there is to say of an encoding that does not change all the time: its name, its size, whether it arrives.
type Layer = (String, Option<(u16, u16)>, bool);

/// Tells a player, from what was seen first on, until the session, the stream of events or the player is gone.
pub(super) fn tell(control: &Control, id: String, stream: Option<u32>, first: Look) -> mpsc::Receiver<Bytes> {
    let (events, told) = mpsc::channel(WAITING);
    let control = control.clone();
    task::spawn(async move {
        let (mut knows, mut look) = (Told::default(), first);
        loop {
            let said = knows.news(&look);
            if !said.is_empty() && events.send(Bytes::from(said)).await.is_err() {
                return;
            }
            tokio::select! {
                () = events.closed() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let session = id.clone();
            let seen = control.with(move |state, now| state.look(now, &session, stream)).await;
            let Ok(Ok(seen)) = seen else { return };
            look = seen;
        }
    });
    told
}

impl Told {
    /// What is new, as events; a comment if there was nothing for long.
    fn news(&mut self, look: &Look) -> String {
        let mut said = String::new();
        let mut say = |kind: &str, data: Value| {
            if look.kinds.has(kind) {
                said.push_str(&format!("event: {kind}\ndata: {data}\n\n"));
            }
        };
        self.silent += 1;
        let active = look.shown.is_some();
        match (self.active, active) {
            (false, true) => say("active", json!({})),
            (true, false) => say("inactive", json!({})),
            _ => {}
        }
        self.active = active;
        let encodings = look.shown.iter().flat_map(|shown| &shown.encodings);
        let layers: Vec<Layer> = encodings.clone().map(layer).collect();
        if let Some(video) = look.video
            && !layers.is_empty()
            && (layers != self.layers || self.silent >= ANYWAY)
        {
            let of_line = Value::Object(Map::from_iter([(video.to_string(), described(encodings))]));
            say("layers", of_line);
        }
        self.layers = layers;
        let viewers = look.shown.as_ref().map(|shown| shown.viewers);
        if let Some(viewers) = viewers.filter(|_| viewers != self.viewers) {
            say("viewercount", json!({ "viewercount": viewers }));
        }
        self.viewers = viewers;
        if said.is_empty() && self.silent >= ANYWAY {
            said.push_str(":\n\n");
        }
        if !said.is_empty() {
            self.silent = 0;
        }
        said
    }
}

fn layer(encoding: &Encoding) -> Layer {
    let size = encoding.size.map(|size| (size.width, size.height));
    // Before anything was measured, what came once counts as coming.
    let known = size.is_some();
    let arrives = encoding.rate.map_or(known, |rate| rate.as_bps() > 0);
    (encoding.name.clone(), size, arrives)
}

/// The value of an m-line in a `layers` event.
fn described<'a>(encodings: impl Iterator<Item = &'a Encoding>) -> Value {
    let (mut active, mut inactive, mut layers) = (Vec::new(), Vec::new(), Vec::new());
    for (index, encoding) in encodings.enumerate() {
        let (name, size, arrives) = layer(encoding);
        let mut said = json!({ "simulcastIdx": index });
        if let Some((width, height)) = size {
            said["width"] = width.into();
            said["height"] = height.into();
        }
        if let Some(rate) = encoding.rate {
            said["bitrate"] = rate.as_bps().into();
        }
        let mut of_layer = said.clone();
        of_layer["encodingId"] = name.as_str().into();
        of_layer["rid"] = name.as_str().into();
        said["id"] = name.into();
        if arrives {
            layers.push(of_layer);
            active.push(said);
        } else {
            inactive.push(said);
        }
    }
    json!({ "active": active, "inactive": inactive, "layers": layers })
}

/// The attribute of the link that says which events there are.
pub(super) fn names() -> String {
    Kinds::NAMES.join(",")
}
