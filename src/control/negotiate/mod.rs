//! SDP offers and answers (RFC 8829, RFC 3264), without I/O and without a clock.
//!
//! To publish, the client offers a connection that sends at most one audio and one video track, and [`publish()`]
//! answers. To watch, the server offers: a [`Subscriber`] writes offers of slots and reads the answers; where the client
//! has to begin, as in WHEP, [`view()`] answers.
//! Towards both we are ICE-lite (RFC 8445 section 2.5), the DTLS server, and everything is in one bundle.
//!
//! Payload types and extension ids belong to one connection each; what ties connections together are the
//! [`Codec`](crate::wire::payload::Codec)s.

mod codecs;
mod extensions;
mod fragment;
mod order;
mod publish;
mod subscribe;
mod transport;
mod view;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use fragment::{credentials, restarted};
pub use order::layers_in_order;
pub use publish::{PublishIds, Published, publish};
pub use subscribe::{Answered, Subscriber};
pub use view::{Viewed, view};

use crate::handshake::Fingerprint;
use crate::router::command::IceCredentials;
use crate::wire::sdp;

/// Our side of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ours {
    /// Our ICE credentials for this connection.
    pub ice: IceCredentials,
    /// Where the peer reaches us over UDP, the best first.
    pub candidates: Vec<SocketAddr>,
    /// Where it reaches us over TCP (RFC 6544), the best first.
    pub streams: Vec<SocketAddr>,
    /// SHA-256 of our certificate.
    pub fingerprint: [u8; 32],
}

/// The peer's side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its ICE credentials.
    pub ice: IceCredentials,
    /// Its certificate must match one of these.
    pub fingerprints: Vec<Fingerprint>,
}

/// Why an offer or an answer is of no use. Each says to a user of the interface what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No SDP at all.
    #[error("the session description cannot be read: {0}")]
    Sdp(#[from] sdp::Error),
    /// Nothing is sent to us.
    #[error("the offer publishes nothing: add an audio or a video track with direction \"sendonly\"")]
    NothingToPublish,
    /// Nothing is taken from us.
    #[error("the offer takes nothing: add an audio or a video transceiver with direction \"recvonly\"")]
    NothingToWatch,
    /// More than one track of a kind.
    #[error(
        "one connection publishes at most one audio and one video track: open another connection for a further stream"
    )]
    TooManyTracks,
    /// None of the codecs of an m-line is known.
    #[error(
        "m-line {0} has no codec that this server forwards: offer VP8, VP9, H264 or AV1 for video, Opus for audio"
    )]
    NoCommonCodec(String),
    /// None of the codecs of an m-line is allowed.
    #[error("none of the codecs that are offered is allowed here: publish in {0}")]
    CodecNotAllowed(String),
    /// RTP outside of the bundle.
    #[error("m-line {0} is outside of the bundle: set bundlePolicy to \"max-bundle\"")]
    NotBundled(String),
    /// RTCP on its own port.
    #[error("m-line {0} lacks a=rtcp-mux: set rtcpMuxPolicy to \"require\"")]
    NoRtcpMux(String),
    /// No usable `a=mid`.
    #[error("an m-line has no a=mid, or one that is not 1 to 16 printable characters or is used twice")]
    BadMid,
    /// No `a=ice-ufrag` and `a=ice-pwd`, or with wrong lengths.
    #[error("the session description lacks valid a=ice-ufrag and a=ice-pwd lines")]
    NoIce,
    /// No `a=fingerprint` of an accepted hash function.
    #[error("the session description lacks a valid a=fingerprint with SHA-256 or better")]
    NoFingerprint,
    /// The peer wants to be the DTLS server.
    #[error(
        "the peer must begin the DTLS handshake: a=setup must be \"actpass\" or \"active\" in an offer, \"active\" in an answer"
    )]
    NotActive,
    /// More layers than forwarded.
    #[error("a track has more simulcast layers than {max}: offer fewer encodings", max = publish::MAX_LAYERS)]
    TooManyLayers,
    /// The answer's m-lines are not those of the offer.
    #[error(
        "the answer does not fit the last offer: its m-lines and mids must be the same, in the same order"
    )]
    WrongAnswer,
    /// An answer where none is awaited.
    #[error("no offer awaits an answer")]
    NoOffer,
}
