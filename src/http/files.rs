//! The web app and the browser SDK, embedded.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
};
use http::{HeaderMap, Response, StatusCode};

use super::{Body, body};
use crate::control::directory::hex;

/// A file of `src/web`.
struct Embedded {
    path: &'static str,
    bytes: &'static [u8],
}

macro_rules! embed {
    ($($path:literal,)*) => {
        [$(Embedded { path: $path, bytes: include_bytes!(concat!("../web/", $path)) }),*]
    };
}

/// Every file of `src/web`; a test compares.
static FILES: [Embedded; 34] = embed![
    "app/app.css",
    "app/call.js",
    "app/chat.js",
    "app/devices.js",
    "app/dom.js",
    "app/grid.js",
    "app/guest.js",
    "app/icon.svg",
    "app/join.js",
    "app/main.js",
    "app/people.js",
    "app/person-menu.js",
    "app/quality.js",
    "app/settings.js",
    "app/storage.js",
    "app/tile-view.js",
    "index.html",
    "sdk/capture.js",
    "sdk/chat.js",
    "sdk/connection.js",
    "sdk/constants.js",
    "sdk/emitter.js",
    "sdk/encodings.js",
    "sdk/failure.js",
    "sdk/mesibo.js",
    "sdk/millrace.js",
    "sdk/publisher.js",
    "sdk/room.js",
    "sdk/signal.js",
    "sdk/stream.js",
    "sdk/tile.js",
    "sdk/types.js",
    "sdk/view.js",
    "sdk/viewer.js",
];

static ETAGS: LazyLock<[HeaderValue; FILES.len()]> = LazyLock::new(|| {
    std::array::from_fn(|n| {
        let bytes = FILES.get(n).map_or(&[][..], |file| file.bytes);
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let short = digest.as_ref().get(..12).unwrap_or_default();
        HeaderValue::try_from(format!("\"{}\"", hex(short))).unwrap_or(HeaderValue::from_static("\"\""))
    })
});

/// The file at a path of the site, if there is one; `/` and `/room` are the room's page.
pub(super) fn answer(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let path = match path {
        "/" | "/room" => "index.html",
        other => other.strip_prefix('/')?,
    };
    let (file, etag) = FILES.iter().zip(ETAGS.iter()).find(|(file, _)| file.path == path)?;
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/").as_bytes() == etag.as_bytes());
    let (status, bytes) =
        if known { (StatusCode::NOT_MODIFIED, &[][..]) } else { (StatusCode::OK, file.bytes) };
    let mut response = Response::new(body(Bytes::from_static(bytes)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ETAG, etag.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    // Asked again each time, answered by 304: a new server's page is never mixed of old and new files.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Pages of other origins import the SDK; there is nothing secret in these files.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Some(response)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let relative = path.strip_prefix(root).expect("inside");
                found.insert(relative.to_str().expect("a name").to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_src_web_is_served_and_has_a_type() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
        let mut found = BTreeSet::new();
        walk(&root, &root, &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(listed, found, "the table in src/http/files.rs lists every file of src/web");
        for path in listed {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
            assert!(answer(&format!("/{path}"), &HeaderMap::new()).is_some());
        }
    }
}
