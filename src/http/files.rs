//! The web app and the browser SDK, embedded, and packed as browsers take them.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, Response, StatusCode};

use super::{Body, body};
use crate::control::directory::hex;

/// A file of `src/web`.
struct Embedded {
    path: &'static str,
    /// As gzip has it (RFC 1952).
    packed: &'static [u8],
}

/// Every file of `src/web`, as `build.rs` lists and packs them.
static FILES: &[Embedded] = &include!(concat!(env!("OUT_DIR"), "/web.rs"));

/// What the files are known by: packed and as they are.
static ETAGS: LazyLock<Vec<[HeaderValue; 2]>> = LazyLock::new(|| {
    let tag = |name: String| HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("\"\""));
    let tags = |file: &Embedded| {
        let digest = ring::digest::digest(&ring::digest::SHA256, file.packed);
        let short = hex(digest.as_ref().get(..12).unwrap_or_default());
        [tag(format!("\"{short}-gzip\"")), tag(format!("\"{short}\""))]
    };
    FILES.iter().map(tags).collect()
});

impl Embedded {
    /// The file as it is.
    fn unpacked(&self) -> Vec<u8> {
        /// More than any file has.
        const MOST: usize = 1024 * 1024;
        // Between a head of ten bytes and a checksum and a length (RFC 1952 section 2.3).
        let stream = self.packed.get(10..self.packed.len().saturating_sub(8)).unwrap_or_default();
        // It was packed by ourselves; a test unpacks them all.
        miniz_oxide::inflate::decompress_to_vec_with_limit(stream, MOST).unwrap_or_default()
    }
}

/// Whether the client says that it can unpack gzip (RFC 9110 section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    tokens(headers, ACCEPT_ENCODING).any(|token| {
        let (coding, weight) = token.split_once(';').unwrap_or((token, ""));
        let never = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        (coding.trim().eq_ignore_ascii_case("gzip") || coding.trim() == "*") && !never
    })
}

/// What a header lists.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
}

/// The file at a path of the site, if there is one; `/` and `/room` are the room's page,
/// `/admin` the console.
pub(super) fn answer(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let path = match path {
        "/" | "/room" => "index.html",
        "/admin" => "admin/index.html",
        other => other.strip_prefix('/')?,
    };
    let (file, [packed, plain]) = FILES.iter().zip(ETAGS.iter()).find(|(file, _)| file.path == path)?;
    let gzip = takes_gzip(headers);
    let etag = if gzip { packed } else { plain };
    let known = tokens(headers, IF_NONE_MATCH)
        .any(|known| known.trim().trim_start_matches("W/").as_bytes() == etag.as_bytes());
    let (status, bytes) = match (known, gzip) {
        (true, _) => (StatusCode::NOT_MODIFIED, Bytes::new()),
        (false, true) => (StatusCode::OK, Bytes::from_static(file.packed)),
        (false, false) => (StatusCode::OK, file.unpacked().into()),
    };
    let mut response = Response::new(body(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ETAG, etag.clone());
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip && !known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
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

/// What makes the classic script of the SDK, for its tests.
#[cfg(test)]
#[path = "../../build/classic.rs"]
mod classic;
/// What leaves out of the files what is for readers, for its tests.
#[cfg(test)]
#[path = "../../build/lean.rs"]
mod lean;
/// What names in a page the modules that its script imports, for its tests.
#[cfg(test)]
#[path = "../../build/preload.rs"]
mod preload;

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

    fn asking(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a value"))])
    }

    #[test]
    fn every_file_of_src_web_is_served_and_has_a_type() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
        let mut found = BTreeSet::new();
        walk(&root, &root, &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        // Made of the SDK at build time, and what says what REST is.
        found.extend(["mesibo.js".to_owned(), "v1/openapi.json".to_owned()]);
        assert_eq!(listed, found);
        for file in FILES {
            assert_ne!(content_type(file.path), "application/octet-stream", "{}", file.path);
            assert!(answer(&format!("/{}", file.path), &HeaderMap::new()).is_some());
            let of_rest = file.path.starts_with("v1/");
            let written = if of_rest { root.with_file_name("http") } else { root.clone() };
            let Ok(mut written) = std::fs::read_to_string(written.join(file.path)) else {
                assert!(file.path == "mesibo.js" && file.unpacked().ends_with(b"})();\n"), "{}", file.path);
                continue;
            };
            if file.path.ends_with(".js") || file.path.ends_with(".css") {
                let lean = lean::lean(&written);
                assert!(
                    lean.len() < written.len() && lean.lines().count() == written.lines().count(),
                    "{}",
                    file.path
                );
                written = lean;
            }
            if file.path.ends_with(".html") {
                written = preload::page(&written, &|path| std::fs::read_to_string(root.join(path)).ok());
                for line in written.lines().filter(|line| line.contains("modulepreload")) {
                    let path =
                        line.split('"').nth(3).and_then(|href| href.strip_prefix('/')).expect("a path");
                    assert!(listed.contains(path), "{path} of {}", file.path);
                }
                assert!(written.contains("modulepreload\" href=\"/app/dom.js"), "{}", file.path);
            }
            assert!(file.unpacked() == written.as_bytes(), "{}", file.path);
        }
    }

    #[test]
    fn a_page_names_all_that_its_script_imports_and_each_once() {
        let read = |path: &str| {
            let source = match path {
                "app/main.js" => {
                    "import { a } from './a.js';\nimport {\n  b,\n} from '../sdk/b.js';\nconst c = import('./c.js');\n"
                }
                "app/a.js" => "// import { no } from './no.js';\nexport * from '../sdk/b.js';\n",
                _ => "import { a } from '../app/a.js';\n",
            };
            Some(source.to_owned())
        };
        let page = "<head>\n  <script type=\"module\" src=\"/app/main.js\"></script>\n</head>\n";
        let named = "<head>\n  <link rel=\"modulepreload\" href=\"/app/a.js\">\n  <link rel=\"modulepreload\" href=\"/sdk/b.js\">\n  \
                     <script type=\"module\" src=\"/app/main.js\"></script>\n</head>\n";
        assert_eq!(preload::page(page, &read), named);
        assert_eq!(preload::page("<p>none</p>", &read), "<p>none</p>");
    }

    #[test]
    fn scripts_go_without_comments_and_with_all_that_they_do() {
        let source = "// Says so.\n/**\n * Adds.\n * @param {number} a\n */\nexport function add(a) {\n  const one = /** @type {any} */ (1); // stays\n  \
                      return `\n  // not a comment: ${a}\n  ` + 'http://x' + one;\n}\n";
        let lean = "\n\n\n\n\nexport function add(a) {\nconst one = (1); // stays\nreturn `\n  // not a comment: ${a}\n  ` + 'http://x' + one;\n}\n";
        assert_eq!(lean::lean(source), lean);
        for torn in ["/* no end", "const text = `no end"] {
            assert_eq!(lean::lean(torn), torn);
        }
        assert_eq!(
            lean::lean("/* Forms */\n.field { gap: 6px; }\n  .a { color: red; }"),
            "\n.field { gap: 6px; }\n.a { color: red; }\n"
        );
    }

    #[test]
    fn a_file_goes_packed_to_who_can_unpack_it() {
        let cases = [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("*", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("", false),
        ];
        for (accepted, packed) in cases {
            let answer = answer("/", &asking(ACCEPT_ENCODING, accepted)).expect("the page");
            assert_eq!(answer.headers().contains_key(CONTENT_ENCODING), packed, "{accepted}");
            assert_eq!(answer.headers().get(VARY).map(HeaderValue::as_bytes), Some(&b"accept-encoding"[..]));
        }
    }

    #[test]
    fn who_has_a_file_in_one_form_is_not_told_that_it_has_the_other() {
        let plain = answer("/", &HeaderMap::new()).expect("the page");
        let mut again = asking(IF_NONE_MATCH, plain.headers()[ETAG].to_str().expect("a tag"));
        assert_eq!(answer("/", &again).expect("the page").status(), StatusCode::NOT_MODIFIED);
        again.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(answer("/", &again).expect("the page").status(), StatusCode::OK);
    }
}
