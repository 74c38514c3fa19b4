//! A viewer made of other people's code (`stun`, `dtls`, `webrtc-srtp`, `rtp`) watches on the real server.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dtls::conn::DTLSConn;
use dtls::extension::extension_use_srtp::SrtpProtectionProfile as Offered;
use millrace::control::ids::{Gid, Sid, Uid};
use millrace::handshake::{Algorithm, Fingerprint};
use millrace::signal::message::{Notice, Request, Watch};
use millrace_load::client::Shared;
use millrace_load::drive::Engine;
use millrace_load::measure::{Meter, Window};
use millrace_load::peer::{Remote, random_credentials};
use millrace_load::scenario::Publishing;
use millrace_load::sdp::{self, Ours};
use millrace_load::signal::Session;
use millrace_load::stamp::Stamp;
use millrace_load::web::Room;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
use tokio::net::UdpSocket;
use webrtc_srtp::config::Config as SrtpConfig;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;
use webrtc_util::conn::Conn;
use webrtc_util::conn::conn_pipe::pipe;
use webrtc_util::marshal::Unmarshal;

use crate::server::on_two_shards;

/// The first packets, the addresses tried before one was nominated, and the moves made later.
const PACKETS: usize = 400;
const PAIRS: usize = 8;
const MOVES: usize = 6;

#[test]
fn a_viewer_of_another_make_sees_every_packet_in_order() {
    on_two_shards(Ipv4Addr::LOCALHOST.into(), async |link| {
        let mut viewing = watch(&link).await;
        let mut last: Option<(u16, u32)> = None;
        for n in 0..PACKETS {
            let packet = viewing.media.recv().await.expect("media goes on");
            let now = viewing.open(&packet);
            if let Some((seq, number)) = last.replace(now) {
                assert_eq!(now, (seq.wrapping_add(1), number + 1), "packet {n}");
            }
        }
        viewing.session.bye().await;
    });
}

/// The kernel's flow hash spreads a viewer's ports over the shards: with [`PAIRS`] and [`MOVES`] of them, checks, the
/// nomination and the new addresses meet the owner and the other shard, which relays.
#[test]
fn media_follows_a_viewer_from_address_to_address() {
    on_two_shards(Ipv4Addr::LOCALHOST.into(), async |link| {
        let mut viewing = watch(&link).await;
        let mut newest = None;
        for _ in 0..MOVES {
            let socket = connected(&viewing.remote).await;
            check(&socket, &viewing.remote, &viewing.ufrag, true).await;
            let mut buffer = [0; 2000];
            let mut seen = 0;
            while seen < 50 {
                let len = socket.recv(&mut buffer).await.expect("received");
                if !is_media(&buffer[..len]) {
                    continue;
                }
                let (_, number) = viewing.open(&buffer[..len]);
                assert!(Some(number) > newest, "packet {number} after {newest:?}");
                newest = Some(number);
                seen += 1;
            }
        }
        viewing.session.bye().await;
    });
}

#[test]
fn all_of_it_works_over_ipv6() {
    on_two_shards(Ipv6Addr::LOCALHOST.into(), async |link| {
        let mut viewing = watch(&link).await;
        assert!(viewing.remote.candidates[0].is_ipv6());
        for _ in 0..50 {
            let packet = viewing.media.recv().await.expect("media goes on");
            viewing.open(&packet);
        }
        viewing.session.bye().await;
    });
}

/// A viewer whose media flows.
pub(crate) struct Viewing {
    pub(crate) session: Session,
    /// The publisher stays for as long as it is watched.
    publisher: Box<dyn std::any::Any>,
    remote: Remote,
    ufrag: String,
    opener: Context,
    pub(crate) media: tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Viewing {
    /// Sequence number and publisher's number of a packet.
    fn open(&mut self, packet: &[u8]) -> (u16, u32) {
        let (seq, stamp) = self.read(packet);
        (seq, stamp.number)
    }

    /// Sequence number and stamp of a packet.
    pub(crate) fn read(&mut self, packet: &[u8]) -> (u16, Stamp) {
        let plain = self.opener.decrypt_rtp(packet).expect("authentic, and never twice");
        let packet = rtp::packet::Packet::unmarshal(&mut plain.clone()).expect("RTP");
        (packet.header.sequence_number, Stamp::read(&packet.payload).expect("the publisher's"))
    }
}

async fn watch(link: &str) -> Viewing {
    let room = Room::from_link(link).expect("a room");
    let shared = Shared::new(&room, Engine::new(1).expect("a thread")).await.expect("a server");
    let mut publishing = shared.enter(&room, "Publisher").await.expect("entered");
    let plan = Publishing { simulcast: false, audio: false, ..Publishing::default() }.plan();
    let meter = Arc::new(Meter::new(Arc::new(Window::default())));
    let published = shared.publish(&room, &mut publishing, &plan, 0, meter, None).await;
    let (publisher, _) = published.expect("published");
    let uid = publishing.welcome().uid;
    // Signalling is ours: there is no other.
    let session = shared.enter(&room, "Another make").await.expect("entered");
    let mut viewing = view(session, Gid(room.gid), uid).await;
    viewing.publisher = Box::new((publisher, publishing, shared));
    viewing
}

/// Watches the camera of somebody who publishes.
pub(crate) async fn view(mut session: Session, gid: Gid, uid: Uid) -> Viewing {
    let sid = Sid(0);
    let wish = Watch {
        gid,
        uid,
        sid,
        audio: false,
        video: true,
        width: 1280,
        height: 720,
        visible: true,
        priority: 1,
    };
    session.request("watch", &Request::Watch(wish)).await.expect("watching");
    let offer = |notice| match notice {
        Notice::Offer { rev, sdp, .. } => Some((rev, sdp)),
        _ => None,
    };
    let (rev, offer) = session.wait_for("offer", offer).await.expect("an offer");
    let certificate = dtls::crypto::Certificate::generate_self_signed(vec![]).expect("a certificate");
    let fingerprint = Fingerprint::of(Algorithm::Sha256, &certificate.certificate[0]);
    let ice = random_credentials();
    let answer = sdp::answer(&Ours::new(&ice, &fingerprint), &offer).expect("an answer");
    let remote = sdp::read_offer(&offer).expect("readable").remote;
    session.request("answer", &Request::Answer { rev, sdp: answer }).await.expect("answered");

    for _ in 0..PAIRS {
        check(&connected(&remote).await, &remote, &ice.ufrag, false).await;
    }
    let socket = Arc::new(connected(&remote).await);
    check(&socket, &remote, &ice.ufrag, true).await;
    let (opener, media) = secure(socket, certificate, &remote).await;
    Viewing { session, publisher: Box::new(()), remote, ufrag: ice.ufrag, opener, media }
}

async fn connected(remote: &Remote) -> UdpSocket {
    let server = remote.candidates[0];
    let socket = UdpSocket::bind(SocketAddr::new(server.ip(), 0)).await.expect("a socket");
    socket.connect(server).await.expect("an address");
    socket
}

/// RFC 7983 tells SRTP apart; RFC 5761 section 4: RTCP has 64 to 95 where RTP has its payload type.
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}

/// One connectivity check, until it is answered as it must be.
async fn check(socket: &UdpSocket, remote: &Remote, ufrag: &str, nominate: bool) {
    let integrity = MessageIntegrity::new_short_term_integrity(remote.ice.pwd.clone());
    let mut request = Message::new();
    request.set_type(BINDING_REQUEST);
    request.new_transaction_id().expect("random");
    request.write_header();
    request.add(ATTR_USERNAME, format!("{}:{ufrag}", remote.ice.ufrag).as_bytes());
    request.add(ATTR_PRIORITY, &0x7eff_ffff_u32.to_be_bytes());
    request.add(ATTR_ICE_CONTROLLING, &7u64.to_be_bytes());
    if nominate {
        request.add(ATTR_USE_CANDIDATE, &[]);
    }
    integrity.add_to(&mut request).expect("integrity");
    FINGERPRINT.add_to(&mut request).expect("fingerprint");
    let mut buffer = [0; 1500];
    loop {
        socket.send(&request.raw).await.expect("sent");
        let Ok(len) = tokio::time::timeout(Duration::from_millis(200), socket.recv(&mut buffer)).await else {
            continue;
        };
        let mut answer = Message::new();
        if answer.unmarshal_binary(&buffer[..len.expect("received")]).is_err() {
            // Media is already on its way here.
            continue;
        }
        if answer.transaction_id == request.transaction_id {
            assert_eq!(answer.typ, BINDING_SUCCESS);
            integrity.check(&mut answer).expect("integrity");
            FINGERPRINT.check(&answer).expect("fingerprint");
            return;
        }
    }
}

/// DTLS over the socket, offering profiles in Chromium's order; then what opens SRTP, and the SRTP that comes.
async fn secure(
    socket: Arc<UdpSocket>,
    certificate: dtls::crypto::Certificate,
    remote: &Remote,
) -> (Context, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let (client, network) = pipe();
    let network = Arc::new(network);
    let (to_client, from_client) = (network.clone(), network);
    let (media, received) = tokio::sync::mpsc::unbounded_channel();
    let inbound = socket.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 2000];
        while let Ok(len) = inbound.recv(&mut buffer).await {
            match buffer[0] {
                20..=63 => drop(to_client.send(&buffer[..len]).await),
                _ if is_media(&buffer[..len]) => drop(media.send(buffer[..len].to_vec())),
                _ => {}
            }
        }
    });
    tokio::spawn(async move {
        let mut buffer = [0; 2000];
        while let Ok(len) = from_client.recv(&mut buffer).await {
            socket.send(&buffer[..len]).await.expect("sent");
        }
    });
    let config = dtls::config::Config {
        certificates: vec![certificate],
        srtp_protection_profiles: vec![
            Offered::Srtp_Aes128_Cm_Hmac_Sha1_80,
            Offered::Srtp_Aead_Aes_256_Gcm,
            Offered::Srtp_Aead_Aes_128_Gcm,
        ],
        insecure_skip_verify: true,
        ..Default::default()
    };
    let conn = DTLSConn::new(Arc::new(client), config, true, None).await.expect("DTLS");
    assert_eq!(
        conn.selected_srtpprotection_profile(),
        Offered::Srtp_Aead_Aes_256_Gcm,
        "AEAD, though CM was first"
    );
    let state = conn.connection_state().await;
    let shown = Fingerprint::of(Algorithm::Sha256, &state.peer_certificates[0]);
    assert!(remote.fingerprints.contains(&shown), "the certificate is the one in the SDP");
    let mut srtp = SrtpConfig { profile: ProtectionProfile::AeadAes256Gcm, ..Default::default() };
    srtp.extract_session_keys_from_dtls(state, true).await.expect("keys");
    let opener = Context::new(
        &srtp.keys.remote_master_key,
        &srtp.keys.remote_master_salt,
        srtp.profile,
        Some(srtp_replay_protection(64)),
        Some(srtcp_replay_protection(64)),
    );
    // The association stays open as long as the process: a close_notify would say goodbye.
    std::mem::forget(conn);
    (opener.expect("a context"), received)
}
