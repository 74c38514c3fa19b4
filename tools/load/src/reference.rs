//! A viewer made of other people's code: `stun`, `dtls`, `webrtc-srtp`, `rtp` and `rtcp` stand between our bookkeeping and
//! the network, so that an implementation that is not ours agrees with what the server sends, and with what we send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dtls::conn::DTLSConn;
use dtls::crypto::Certificate;
use dtls::extension::extension_use_srtp::SrtpProtectionProfile as Offered;
use millrace::handshake::{Algorithm, Fingerprint};
use millrace::router::command::IceCredentials;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use webrtc_srtp::config::Config as SrtpConfig;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;
use webrtc_util::conn::Conn;
use webrtc_util::conn::conn_pipe::pipe;
use webrtc_util::marshal::Unmarshal;

use crate::Error;
use crate::drive::{Change, Media};
use crate::peer::{Peer, Remote};
use crate::viewer::Viewer;

/// Consent checks, as browsers send them.
const KEEP: Duration = Duration::from_millis(2500);
/// How long a check waits for its answer.
const ANSWER: Duration = Duration::from_millis(200);
/// Checks before the server is given up.
const CHECKS: usize = 50;
/// Packets behind the newest that replay protection remembers.
const REPLAY: usize = 1024;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Media(format!("reference: {error}"))
}

/// Its certificate.
pub fn certificate() -> Result<Certificate, Error> {
    Certificate::generate_self_signed(vec![]).map_err(failed)
}

/// As SDP names it.
pub fn fingerprint(certificate: &Certificate) -> Fingerprint {
    Fingerprint::of(Algorithm::Sha256, certificate.certificate.first().map_or(&[][..], |der| der))
}

/// A running reference viewer.
pub struct Reference {
    stop: oneshot::Sender<()>,
    changes: mpsc::UnboundedSender<Change<Viewer>>,
    task: JoinHandle<Result<Viewer, Error>>,
}

impl Reference {
    /// Connects to the server; from then on `viewer` gets what comes. `peer` is one that holds no keys.
    pub async fn start(
        remote: &Remote,
        server: SocketAddr,
        ice: &IceCredentials,
        certificate: Certificate,
        viewer: Viewer,
        peer: Peer,
    ) -> Result<Self, Error> {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = Arc::new(UdpSocket::bind(any).await?);
        socket.connect(server).await?;
        let check = check(remote, ice, false)?;
        answered(&socket, &check).await?;
        let nominate = self::check(remote, ice, true)?;
        answered(&socket, &nominate).await?;
        let (opener, sealer, media, secured) = secure(socket.clone(), certificate, remote).await?;
        let (stop, stopped) = oneshot::channel();
        let (changes, changed) = mpsc::unbounded_channel();
        let watching = Watching {
            socket,
            opener,
            sealer,
            media,
            viewer,
            peer,
            nominate: nominate.raw,
            _secured: secured,
        };
        Ok(Self { stop, changes, task: tokio::spawn(watching.run(stopped, changed)) })
    }

    /// Changes its viewer while it runs.
    pub fn change(&self, change: Change<Viewer>) {
        // One that ended says why in `stop`.
        let _ = self.changes.send(change);
    }

    /// Ends it.
    pub async fn stop(self) -> Result<Viewer, Error> {
        let _ = self.stop.send(());
        self.task.await.map_err(failed)?
    }
}

struct Watching {
    socket: Arc<UdpSocket>,
    opener: Context,
    sealer: Context,
    media: mpsc::UnboundedReceiver<Vec<u8>>,
    viewer: Viewer,
    peer: Peer,
    nominate: Vec<u8>,
    /// Open for as long as media flows.
    _secured: DTLSConn,
}

impl Watching {
    async fn run(
        mut self,
        mut stopped: oneshot::Receiver<()>,
        mut changed: mpsc::UnboundedReceiver<Change<Viewer>>,
    ) -> Result<Viewer, Error> {
        let mut keep = tokio::time::interval(KEEP);
        loop {
            let now = Instant::now();
            self.viewer.poll(now, &mut self.peer);
            while let Some(compound) = self.peer.poll_transmit() {
                rtcp::packet::unmarshal(&mut compound.as_slice()).map_err(failed)?;
                let sealed = self.sealer.encrypt_rtcp(&compound).map_err(failed)?;
                let _ = self.socket.send(&sealed).await;
            }
            let wake = self.viewer.poll_timeout().unwrap_or(now + KEEP);
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(self.viewer),
                Some(change) = changed.recv() => change(&mut self.viewer),
                Some(packet) = self.media.recv() => self.take(Instant::now(), &packet),
                _ = keep.tick() => drop(self.socket.send(&self.nominate).await),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// What cannot be opened or read is counted: with a server that is right there is none.
    fn take(&mut self, now: Instant, packet: &[u8]) {
        let fine = if is_rtcp(packet) {
            let plain = self.opener.decrypt_rtcp(packet).ok();
            let plain = plain.filter(|plain| rtcp::packet::unmarshal(&mut plain.clone()).is_ok());
            plain.map(|plain| self.viewer.rtcp(now, &plain)).is_some()
        } else {
            let plain = self.opener.decrypt_rtp(packet).ok();
            let plain = plain.filter(|plain| rtp::packet::Packet::unmarshal(&mut plain.clone()).is_ok());
            plain.map(|plain| self.viewer.rtp(now, &plain)).is_some()
        };
        if !fine {
            self.viewer.refused();
        }
    }
}

/// RFC 7983 tells SRTP apart.
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, _, ..])
}

/// RFC 5761 section 4: RTCP has 64 to 95 where RTP has its payload type.
fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [_, 192..=223, ..])
}

fn check(remote: &Remote, ice: &IceCredentials, nominate: bool) -> Result<Message, Error> {
    let integrity = MessageIntegrity::new_short_term_integrity(remote.ice.pwd.clone());
    let mut request = Message::new();
    request.set_type(BINDING_REQUEST);
    request.new_transaction_id().map_err(failed)?;
    request.write_header();
    request.add(ATTR_USERNAME, format!("{}:{}", remote.ice.ufrag, ice.ufrag).as_bytes());
    request.add(ATTR_PRIORITY, &0x7eff_ffff_u32.to_be_bytes());
    request.add(ATTR_ICE_CONTROLLING, &7u64.to_be_bytes());
    if nominate {
        request.add(ATTR_USE_CANDIDATE, &[]);
    }
    integrity.add_to(&mut request).map_err(failed)?;
    FINGERPRINT.add_to(&mut request).map_err(failed)?;
    Ok(request)
}

/// Sends a check until it is answered.
async fn answered(socket: &UdpSocket, request: &Message) -> Result<(), Error> {
    let mut buffer = [0; 1500];
    for _ in 0..CHECKS {
        let _ = socket.send(&request.raw).await;
        let until = tokio::time::Instant::now() + ANSWER;
        while let Ok(Ok(len)) = tokio::time::timeout_at(until, socket.recv(&mut buffer)).await {
            let mut answer = Message::new();
            let readable = answer.unmarshal_binary(buffer.get(..len).unwrap_or_default()).is_ok();
            if readable && answer.transaction_id == request.transaction_id {
                return match answer.typ == BINDING_SUCCESS && FINGERPRINT.check(&answer).is_ok() {
                    true => Ok(()),
                    false => Err(failed("a connectivity check was refused")),
                };
            }
        }
    }
    Err(failed("the server does not answer connectivity checks"))
}

/// DTLS over the socket, offering profiles in Chromium's order; then what opens and seals SRTP, and the SRTP that comes.
async fn secure(
    socket: Arc<UdpSocket>,
    certificate: Certificate,
    remote: &Remote,
) -> Result<(Context, Context, mpsc::UnboundedReceiver<Vec<u8>>, DTLSConn), Error> {
    let (client, network) = pipe();
    let network = Arc::new(network);
    let (to_client, from_client) = (network.clone(), network);
    let (media, received) = mpsc::unbounded_channel();
    let inbound = socket.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 2000];
        while let Ok(len) = inbound.recv(&mut buffer).await {
            let Some(datagram) = buffer.get(..len) else { return };
            match datagram.first() {
                Some(20..=63) => drop(to_client.send(datagram).await),
                _ if is_media(datagram) && media.send(datagram.to_vec()).is_err() => return,
                _ => {}
            }
        }
    });
    tokio::spawn(async move {
        let mut buffer = [0; 2000];
        while let Ok(len) = from_client.recv(&mut buffer).await {
            let _ = socket.send(buffer.get(..len).unwrap_or_default()).await;
        }
    });
    let config = dtls::config::Config {
        certificates: vec![certificate],
        srtp_protection_profiles: vec![
            Offered::Srtp_Aes128_Cm_Hmac_Sha1_80,
            Offered::Srtp_Aead_Aes_256_Gcm,
            Offered::Srtp_Aead_Aes_128_Gcm,
        ],
        // The fingerprint is what SDP vouches for, and it is compared below.
        insecure_skip_verify: true,
        ..Default::default()
    };
    let conn = DTLSConn::new(Arc::new(client), config, true, None).await.map_err(failed)?;
    let profile = match conn.selected_srtpprotection_profile() {
        Offered::Srtp_Aead_Aes_256_Gcm => ProtectionProfile::AeadAes256Gcm,
        Offered::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
        _ => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let state = conn.connection_state().await;
    let shown = state.peer_certificates.first().map_or(&[][..], |der| der);
    let shown = |named: &Fingerprint| Fingerprint::of(named.algorithm, shown) == *named;
    if !remote.fingerprints.iter().any(shown) {
        return Err(failed("the server's certificate is not the one that its SDP names"));
    }
    let mut srtp = SrtpConfig { profile, ..Default::default() };
    srtp.extract_session_keys_from_dtls(state, true).await.map_err(failed)?;
    let context = |key: &[u8], salt: &[u8]| {
        let (rtp, rtcp) = (srtp_replay_protection(REPLAY), srtcp_replay_protection(REPLAY));
        Context::new(key, salt, srtp.profile, Some(rtp), Some(rtcp)).map_err(failed)
    };
    let opener = context(&srtp.keys.remote_master_key, &srtp.keys.remote_master_salt)?;
    let sealer = context(&srtp.keys.local_master_key, &srtp.keys.local_master_salt)?;
    Ok((opener, sealer, received, conn))
}
