//! The workers, as the server runs them, against an independent implementation of DTLS 1.2 as client.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::pair::{identity, opens, session};
use dtls::conn::DTLSConn;
use dtls::extension::extension_use_srtp::SrtpProtectionProfile as Reference;
use millrace::handshake::{Algorithm, Failure, Fingerprint, Handshakes, Identity, Outcome, ToShard, Version};
use millrace::router::command::Command;
use millrace::router::id::ShardId;
use millrace::wire::srtp::{Keys, Profile};
use tokio::sync::mpsc;
use webrtc_util::conn::Conn;
use webrtc_util::{KeyingMaterialExporter, conn::conn_pipe::pipe};

const HOME: ShardId = ShardId(1);

/// What the workers say, as channels.
struct Shards {
    datagrams: mpsc::UnboundedSender<Vec<u8>>,
    keys: Mutex<Option<Box<Keys>>>,
}

impl ToShard for Shards {
    fn to_shard(&self, shard: ShardId, command: Command) {
        assert_eq!(shard, HOME);
        match command {
            Command::SendDtls { datagram, .. } => drop(self.datagrams.send(datagram)),
            Command::InstallKeys { keys, .. } => *self.keys.lock().expect("not poisoned") = Some(keys),
            other => panic!("not for the handshake to send: {other:?}"),
        }
    }
}

struct Met {
    outcome: Outcome,
    client: Result<(Vec<u8>, Reference), dtls::Error>,
    keys: Option<Box<Keys>>,
}

async fn meet(profiles: Vec<Reference>, honest: bool) -> Met {
    let client_certificate = dtls::crypto::Certificate::generate_self_signed(vec![]).expect("a certificate");
    let named = if honest { client_certificate.certificate[0].to_vec() } else { identity().certificate };
    let (datagrams, mut to_client) = mpsc::unbounded_channel();
    let (told, mut outcomes) = mpsc::unbounded_channel();
    let shards = Arc::new(Shards { datagrams, keys: Mutex::new(None) });
    let Identity { certificate, private_key } = identity();
    let handshakes = Handshakes::start(
        2,
        Identity { certificate, private_key },
        shards.clone(),
        Box::new(move |id, outcome| {
            assert_eq!(id, session(5));
            let _ = told.send(outcome);
        }),
    )
    .expect("threads");
    handshakes.expect(session(5), vec![Fingerprint::of(Algorithm::Sha384, &named)]);

    let (theirs, ours) = pipe();
    let ours = Arc::new(ours);
    let (inbound, outbound) = (ours.clone(), ours);
    let fed = handshakes.clone();
    let pumps = [
        tokio::spawn(async move {
            let mut buffer = vec![0; 2048];
            while let Ok(len) = inbound.recv(&mut buffer).await {
                fed.feed(session(5), HOME, buffer[..len].to_vec());
            }
        }),
        tokio::spawn(async move {
            while let Some(datagram) = to_client.recv().await {
                if outbound.send(&datagram).await.is_err() {
                    return;
                }
            }
        }),
    ];
    let config = dtls::config::Config {
        certificates: vec![client_certificate],
        srtp_protection_profiles: profiles,
        insecure_skip_verify: true,
        extended_master_secret: dtls::config::ExtendedMasterSecretType::Require,
        ..Default::default()
    };
    let connect = tokio::spawn(async move {
        let conn = DTLSConn::new(Arc::new(theirs), config, true, None).await?;
        let profile = conn.selected_srtpprotection_profile();
        let len = match profile {
            Reference::Srtp_Aead_Aes_256_Gcm => 88,
            Reference::Srtp_Aead_Aes_128_Gcm => 56,
            _ => 60,
        };
        let state = conn.connection_state().await;
        let material = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], len).await.expect("keys");
        Ok((material, profile))
    });
    let outcome = tokio::time::timeout(Duration::from_secs(20), outcomes.recv())
        .await
        .expect("in time")
        .expect("an outcome");
    let client = match &outcome {
        Outcome::Secured { .. } => connect.await.expect("no panic"),
        Outcome::Failed(_) => {
            connect.abort();
            Err(dtls::Error::ErrConnClosed)
        }
    };
    pumps.iter().for_each(|pump| pump.abort());
    let counts = handshakes.counts();
    assert_eq!(counts.secured + counts.failed, 1);
    Met { outcome, client, keys: shards.keys.lock().expect("not poisoned").take() }
}

#[tokio::test]
async fn cm_first_as_chromium_and_gcm_first_as_firefox_both_get_aead() {
    let chromium = vec![
        Reference::Srtp_Aes128_Cm_Hmac_Sha1_80,
        Reference::Srtp_Aead_Aes_256_Gcm,
        Reference::Srtp_Aead_Aes_128_Gcm,
    ];
    let firefox = vec![
        Reference::Srtp_Aead_Aes_128_Gcm,
        Reference::Srtp_Aes128_Cm_Hmac_Sha1_80,
        Reference::Srtp_Aes128_Cm_Hmac_Sha1_32,
    ];
    let only_cm = vec![Reference::Srtp_Aes128_Cm_Hmac_Sha1_80];
    for (offered, profile) in [
        (chromium, Profile::AeadAes256Gcm),
        (firefox, Profile::AeadAes128Gcm),
        (only_cm, Profile::Aes128CmSha1_80),
    ] {
        let met = meet(offered, true).await;
        assert_eq!(met.outcome, Outcome::Secured { version: Version::Dtls12, profile });
        let (material, _) = met.client.expect("connected");
        let theirs = Keys::from_exporter(profile, &material, false).expect("keys");
        let ours = met.keys.expect("keys");
        assert_eq!(ours.profile, profile);
        assert!(opens(&ours, &theirs) && opens(&theirs, &ours));
    }
}

#[tokio::test]
async fn a_wrong_certificate_gets_no_keys() {
    let met = meet(vec![Reference::Srtp_Aead_Aes_128_Gcm], false).await;
    assert_eq!(met.outcome, Outcome::Failed(Failure::Fingerprint));
    assert!(met.keys.is_none() && met.client.is_err());
}
