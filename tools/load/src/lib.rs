//! Native clients of millrace: publishers and viewers without a browser.
//!
//! [`client::Client`] is one participant: it joins, publishes what it is given, watches, hears and talks. Beneath it, and for
//! load by the thousand, [`peer::Peer`] is the sans-I/O media end (ICE, DTLS, SRTP); [`publisher`] and [`viewer`] are what it sends and what it
//! makes of what it receives; [`drive`] gives thousands of them sockets and turns on few threads; [`signal`] and [`web`] speak
//! to the server's control plane. A [`scenario`] says who comes, publishes and watches when, and is run; [`measure`] counts
//! and times what happens, [`report`] tells it. [`relay`] is a bad network.

#![deny(unsafe_code)]

pub mod client;
pub mod cpu;
pub mod drive;
pub mod identity;
pub mod measure;
pub mod peer;
pub mod publisher;
pub mod reference;
pub mod relay;
pub mod report;
pub mod scenario;
pub mod sdp;
pub mod signal;
pub mod soak;
pub mod stamp;
pub mod viewer;
pub mod web;

/// Why a load test cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be asked over HTTP.
    #[error("{url} does not answer as expected: {why}")]
    Web {
        /// What was asked.
        url: String,
        /// What came back.
        why: String,
    },
    /// An address or a link that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Signalling failed.
    #[error("signalling: {0}")]
    Signal(String),
    /// The server refused a request.
    #[error("the server refused {what}: {refusal}")]
    Refused {
        /// The request.
        what: &'static str,
        /// Its reason.
        refusal: millrace::signal::message::Refusal,
    },
    /// A session description that cannot be used.
    #[error("the server's session description cannot be used: {0}")]
    Sdp(String),
    /// The media connection did not come up or went away.
    #[error("media: {0}")]
    Media(String),
    /// The operating system refused something.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}
