//! Tokens that an app signs itself: JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, so that its backend signs
//! users in with no call to us.
//!
//! As RFC 8725 has it: the algorithm is that of the key by which a token is to be verified, HS256 with the app's secret
//! or EdDSA (RFC 8037) with a public key that the app registered; there is no other, and a token without a signature is
//! none. What a header says beyond `alg` and `typ` is not believed, and where it says that it must be understood
//! (`crit`), the token is refused. Numbers of times may be fractions, and clocks differ by up to a minute.

use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use super::App;
use crate::base64::decode_url as decode;
use crate::control::ids::Gid;
use crate::control::limits::LimitChanges;
use crate::signal::message::RightsEdit;

/// The longest token.
const LENGTH: usize = 4096;
/// How far clocks may differ, in seconds.
pub(super) const SKEW: u64 = 60;
/// How long a token may live, in seconds: nobody takes a signed one back.
const LIFE: u64 = 24 * 3600;
/// Who we are, where a token says for whom it is.
const AUDIENCE: &str = "millrace";

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// What a token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: Option<String>,
    aud: Option<Value>,
    exp: f64,
    nbf: Option<f64>,
    /// The user's address.
    pub(super) sub: String,
    /// The user's name, if it is not the address.
    pub(super) name: Option<String>,
    /// The group of which the user is a member, with these rights.
    pub(super) gid: Option<Gid>,
    #[serde(default)]
    pub(super) rights: RightsEdit,
    /// What the user may send and get at most, as long as this token serves.
    #[serde(default)]
    pub(super) limits: LimitChanges,
}

/// Whether a token is meant for us: `aud` is one name, or several (RFC 7519 section 4.1.3).
fn is_for_us(aud: &Value) -> bool {
    match aud {
        Value::Array(several) => several.iter().any(|one| one == AUDIENCE),
        one => one == AUDIENCE,
    }
}

/// A token that holds.
#[derive(Debug)]
pub(super) struct Verified {
    /// Whose it is.
    pub(super) appid: String,
    pub(super) claims: Claims,
    /// When it dies, a difference of clocks included.
    pub(super) expires: u64,
}

/// Verifies a token at a time, in seconds since 1970.
pub(super) fn verify<'a>(
    token: &str,
    now: u64,
    app: impl FnOnce(&str) -> Option<&'a App>,
) -> Option<Verified> {
    if token.len() > LENGTH {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = crate::json::parse(&decode(header)?).ok()?;
    if header.crit.is_some() || header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return None;
    }
    // Read before it is verified only to learn whose key to take; nothing else is done with it until then.
    let claims: Claims = crate::json::parse(&decode(claims)?).ok()?;
    let appid = claims.iss.clone().or(header.kid)?;
    let app = app(&appid)?;
    let signature = decode(signature)?;
    let holds =
        match header.alg.as_str() {
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, app.secret.0.as_bytes());
                hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
            }
            "EdDSA" => app.public_keys.iter().filter_map(|key| decode(key)).any(|key| {
                UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).is_ok()
            }),
            _ => false,
        };
    let expires = time(claims.exp)?.saturating_add(SKEW);
    let begun = claims.nbf.is_none_or(|nbf| time(nbf).is_some_and(|nbf| nbf <= now.saturating_add(SKEW)));
    let lives = begun && now < expires && expires <= now.saturating_add(LIFE + 2 * SKEW);
    let ours = claims.aud.as_ref().is_none_or(is_for_us);
    (holds && lives && ours && claims.limits.valid()).then_some(Verified { appid, claims, expires })
}

/// A number of seconds since 1970, which may have a fraction (RFC 7519 section 2).
fn time(seconds: f64) -> Option<u64> {
    (0.0..=1e12).contains(&seconds).then_some(seconds as u64)
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::json;

    use super::*;
    use crate::signal::message::Secret;

    const NOW: u64 = 1_000_000;
    const SECRET: &str = "a secret that nobody knows but us";

    fn encode(bytes: &[u8]) -> String {
        let text = crate::base64::encode(bytes);
        text.trim_end_matches('=').replace('+', "-").replace('/', "_")
    }

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key")
    }

    fn app() -> App {
        App {
            secret: Secret(SECRET.to_owned()),
            key: Secret::default(),
            several: false,
            public_keys: vec![encode(pair().public_key().as_ref())],
            webhook: None,
        }
    }

    fn sign(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match header["alg"].as_str() {
            Some("EdDSA") => pair().sign(signed.as_bytes()).as_ref().to_vec(),
            _ => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", encode(&signature))
    }

    fn holds(token: &str) -> bool {
        let app = app();
        verify(token, NOW, |appid| (appid == "shop").then_some(&app)).is_some()
    }

    fn claims() -> Value {
        json!({ "iss": "shop", "sub": "ann", "exp": NOW + 600 })
    }

    fn hs256(claims: &Value) -> String {
        sign(&json!({ "alg": "HS256", "typ": "JWT" }), claims, SECRET.as_bytes())
    }

    #[test]
    fn both_algorithms_hold_and_any_changed_byte_does_not() {
        for alg in ["HS256", "EdDSA"] {
            let token = sign(&json!({ "alg": alg }), &claims(), SECRET.as_bytes());
            assert!(holds(&token), "{alg}");
            for at in 0..token.len() {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                assert!(!holds(&String::from_utf8(changed).expect("ASCII")), "{alg} at {at}");
                assert!(!holds(&token[..at]), "{alg} up to {at}");
            }
        }
    }

    #[test]
    fn no_header_chooses_how_it_is_verified() {
        let (claims, none) = (claims(), json!({ "alg": "none" }));
        let unsigned = sign(&none, &claims, SECRET.as_bytes());
        assert!(!holds(&unsigned));
        assert!(!holds(&unsigned[..=unsigned.rfind('.').expect("a dot")]));
        // Signed with what everybody knows: the public key.
        let public = pair().public_key().as_ref().to_vec();
        for key in [public.clone(), encode(&public).into_bytes()] {
            assert!(!holds(&sign(&json!({ "alg": "HS256" }), &claims, &key)));
        }
        for header in [
            json!({ "alg": "HS512" }),
            json!({ "alg": "hs256" }),
            json!({ "alg": "HS256", "crit": ["x"] }),
            json!({ "alg": "HS256", "typ": "secevent+jwt" }),
            json!({}),
        ] {
            assert!(!holds(&sign(&header, &claims, SECRET.as_bytes())), "{header}");
        }
    }

    #[test]
    fn claims_are_held_to_what_they_say() {
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            holds(&hs256(&claims))
        };
        assert!(with("exp", json!(NOW - 59)) && !with("exp", json!(NOW - 60)));
        assert!(with("exp", json!(NOW + LIFE)) && !with("exp", json!(NOW + LIFE + 2 * SKEW)));
        assert!(with("exp", json!(NOW as f64 + 0.5)));
        for exp in [json!(null), json!("soon"), json!(-1), json!(1e300)] {
            assert!(!with("exp", exp));
        }
        assert!(with("nbf", json!(NOW + 60)) && !with("nbf", json!(NOW + 61)));
        assert!(with("aud", json!("millrace")) && with("aud", json!(["x", "millrace"])));
        assert!(!with("aud", json!("x")) && !with("aud", json!([])));
        assert!(!with("iss", json!("other")) && !with("sub", json!(1)));
        assert!(!with("limits", json!({ "maxResolution": 9 })));
        // Without iss the key's name says whose it is.
        let bare = json!({ "sub": "ann", "exp": NOW + 600 });
        assert!(holds(&sign(&json!({ "alg": "HS256", "kid": "shop" }), &bare, SECRET.as_bytes())));
        assert!(!holds(&hs256(&bare)));
        assert!(!holds(&hs256(&json!({ "iss": "shop", "sub": "x".repeat(LENGTH), "exp": NOW + 600 }))));
    }
}
