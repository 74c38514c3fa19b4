//! Signing in by e-mail: a one-time code goes to the address, and who has it holds the address.
//!
//! E-mail addresses are not kept. A user's address is a keyed hash of one, by a key that each app has for itself, so that
//! nobody can tell from an address whose it is, not even by trying all that there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ring::hmac;
use subtle::ConstantTimeEq;

use super::limit::{Guesses, network};
use super::{Directory, Failure, Minted, hex, past, random, tidy};
use crate::rate::Rate;
use crate::signal::message::Secret;

/// How long a code is good, in seconds.
pub const CODE_LIFE: u64 = 300;
/// Tries of one code.
const TRIES: u8 = 5;
/// How long a token lives that was got with one, in seconds: as long as browsers keep a cookie.
const TOKEN_LIFE: u64 = 400 * 24 * 3600;
/// Codes that wait at once.
const WAITING: usize = 10_000;
/// Longest e-mail address (RFC 5321 section 4.5.3.1.3), and what is before its `@`.
const MAIL_LENGTH: usize = 254;
const LOCAL_LENGTH: usize = 64;

/// Codes sent to one e-mail address: nobody's mailbox is filled.
const MAIL_RATE: Rate = Rate { burst: 3, every: Duration::from_secs(120) };
/// Codes asked for from one network.
const NETWORK_RATE: Rate = Rate { burst: 20, every: Duration::from_secs(10) };
/// Wrong codes for one e-mail address, whatever codes and from wherever: of 900000, a hundred a day.
const WRONG_RATE: Rate = Rate { burst: 15, every: Duration::from_secs(900) };

/// Codes that were sent and not used yet, by the address of whom they sign in. A restart forgets them.
#[derive(Debug)]
pub(super) struct SignIns {
    codes: HashMap<String, Code>,
    by_mail: Guesses<String>,
    by_network: Guesses<IpAddr>,
    wrong: Guesses<String>,
}

#[derive(Debug)]
struct Code {
    digits: Secret,
    tries: u8,
    expires: u64,
}

impl Default for SignIns {
    fn default() -> Self {
        Self {
            codes: HashMap::new(),
            by_mail: Guesses::new(MAIL_RATE),
            by_network: Guesses::new(NETWORK_RATE),
            wrong: Guesses::new(WRONG_RATE),
        }
    }
}

/// Who wants to sign in, as they say.
#[derive(Clone, Copy, Debug)]
pub struct SignIn<'a> {
    /// At which app.
    pub appid: &'a str,
    /// As others shall see the person.
    pub name: &'a str,
    /// Where codes go.
    pub email: &'a str,
}

impl Directory {
    /// A code for who wants to sign in, to be sent to the e-mail address.
    pub fn begin_sign_in(
        &mut self,
        now: Duration,
        from: IpAddr,
        who: &SignIn<'_>,
    ) -> Result<Secret, Failure> {
        let (_, address) = self.signing_in(who)?;
        let from = network(from);
        let asked = &mut self.sign_ins;
        if asked.by_mail.exhausted(&address, now)
            || asked.by_network.exhausted(&from, now)
            || asked.wrong.exhausted(&address, now)
        {
            return Err(Failure::RateLimit);
        }
        if asked.codes.len() >= WAITING {
            asked.codes.retain(|_, code| !past(code.expires, now.as_secs()));
            if asked.codes.len() >= WAITING {
                return Err(Failure::TooMany);
            }
        }
        asked.by_mail.wrong(address.clone(), now);
        asked.by_network.wrong(from, now);
        let digits = Secret(random::code(self.entropy.as_mut()));
        let code = Code { digits: digits.clone(), tries: TRIES, expires: now.as_secs() + CODE_LIFE };
        self.sign_ins.codes.insert(address, code);
        Ok(digits)
    }

    /// A token for who has the code. The user is made at the first time.
    pub fn finish_sign_in(
        &mut self,
        now: Duration,
        from: IpAddr,
        who: &SignIn<'_>,
        code: &str,
    ) -> Result<Minted, Failure> {
        let (name, address) = self.signing_in(who)?;
        let from = network(from);
        if self.guesses_by_address.exhausted(&from, now) || self.sign_ins.wrong.exhausted(&address, now) {
            return Err(Failure::RateLimit);
        }
        let sent = self.sign_ins.codes.remove(&address);
        let sent = sent.filter(|sent| !past(sent.expires, now.as_secs()));
        let right = sent.as_ref().is_some_and(|sent| sent.digits.0.as_bytes().ct_eq(code.as_bytes()).into());
        if !right {
            // The code stays good until it was tried too often.
            if let Some(sent) = sent.filter(|sent| sent.tries > 1) {
                self.sign_ins.codes.insert(address.clone(), Code { tries: sent.tries - 1, ..sent });
            }
            self.guesses_by_address.wrong(from, now);
            self.sign_ins.wrong.wrong(address, now);
            return Err(Failure::BadCode);
        }
        self.add_app_user(who.appid, &name, &address, now.as_secs() + TOKEN_LIFE)
    }

    /// The name, and the address that the app knows this e-mail address by.
    fn signing_in(&self, who: &SignIn<'_>) -> Result<(String, String), Failure> {
        let app = self.app(who.appid).ok_or(Failure::BadApp)?;
        let name = tidy(who.name).ok_or(Failure::MissingName)?;
        let email = mail_address(who.email).ok_or(Failure::BadUser)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, app.key.0.as_bytes());
        let digest = hmac::sign(&key, email.as_bytes());
        Ok((name, hex(digest.as_ref().get(..16).unwrap_or_default())))
    }
}

/// An e-mail address as the same one is always written, if it is one: `Dot-string "@" Domain` of RFC 5321 section 4.1.2.
/// Quoted names and addresses of hosts are refused, and so are letters beyond ASCII, which few servers take.
pub fn mail_address(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (local, domain) = text.split_once('@')?;
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let word = |part: &str, fit: &dyn Fn(char) -> bool| !part.is_empty() && part.chars().all(fit);
    let label = |part: &str| {
        word(part, &|c| c.is_ascii_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.len() <= 63
    };
    let good = text.len() <= MAIL_LENGTH
        && local.len() <= LOCAL_LENGTH
        && local.split('.').all(|part| word(part, &atom))
        && domain.split('.').all(label);
    good.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::{DEFAULT_APP, Snapshot, SystemEntropy};
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const ADA: SignIn<'_> = SignIn { appid: DEFAULT_APP, name: "Ada", email: "ada@example.org" };

    fn from(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn directory() -> Directory {
        let mut directory = Directory::new(Snapshot::default(), Box::new(SystemEntropy::default()));
        directory.app_or_new(DEFAULT_APP).expect("an app");
        directory
    }

    fn wrong(code: &Secret) -> &'static str {
        if code.0 == "111111" { "222222" } else { "111111" }
    }

    #[test]
    fn a_code_is_good_for_five_minutes_and_five_tries() {
        let mut directory = directory();
        let after = |seconds| NOW + Duration::from_secs(seconds);
        for (n, (wrongs, late, good)) in [(0, (4, 299, true)), (1, (5, 0, false)), (2, (0, 300, false))] {
            // So much later that nothing is held against anybody.
            let start = Duration::from_secs(100_000 * n);
            let code = directory.begin_sign_in(after(0) + start, from(1), &ADA).expect("a code");
            for _ in 0..wrongs {
                let tried = directory.finish_sign_in(after(0) + start, from(1), &ADA, wrong(&code));
                assert_eq!(tried, Err(Failure::BadCode));
            }
            let tried = directory.finish_sign_in(after(late) + start, from(1), &ADA, &code.0);
            assert_eq!(tried.is_ok(), good, "{wrongs} wrong, {late} s late");
        }
    }

    #[test]
    fn guessing_goes_on_with_no_new_code_and_from_nowhere_else() {
        let mut directory = directory();
        let mut now = NOW;
        for n in 0..3 {
            let code = directory.begin_sign_in(now, from(n), &ADA).expect("a code");
            for _ in 0..5 {
                let tried = directory.finish_sign_in(now, from(n), &ADA, wrong(&code));
                assert_eq!(tried, Err(Failure::BadCode));
            }
            now += Duration::from_secs(1);
        }
        let anew = directory.begin_sign_in(now + Duration::from_secs(600), from(9), &ADA);
        assert_eq!(anew, Err(Failure::RateLimit));
        assert!(directory.begin_sign_in(now + Duration::from_secs(900), from(9), &ADA).is_ok());
    }

    #[test]
    fn addresses_tell_nothing_and_differ_from_app_to_app() {
        let mut directory = directory();
        directory.app_or_new("shop").expect("an app");
        let mut sign_in = |appid| {
            let who = SignIn { appid, ..ADA };
            let code = directory.begin_sign_in(NOW, from(1), &who).expect("a code");
            directory.finish_sign_in(NOW, from(1), &who, &code.0).expect("a token")
        };
        let (one, other) = (sign_in(DEFAULT_APP), sign_in("shop"));
        assert_ne!(one.address, other.address);
        assert_ne!(one.uid, other.uid);
        let kept = serde_json::to_string(&directory.take_changes()).expect("JSON");
        assert!(kept.contains(&one.address) && !kept.contains("example.org"), "{kept}");
    }

    #[test]
    fn an_address_of_mail_is_one_line_that_says_no_more() {
        for good in ["ada@example.org", "a.b+c@localhost", "o'neill@a-b.example", " Ada@Example.ORG "] {
            assert_eq!(mail_address(good), Some(good.trim().to_ascii_lowercase()), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.org",
            "a@b@c",
            "a..b@c",
            ".a@b",
            "a@b..c",
            "a@-b",
            "a b@c",
            "a@b\r\nRCPT TO:<x@y>",
            "<a@b>",
            "a@[127.0.0.1]",
            "\"a\"@b",
            "ä@b",
            "a@b,c@d",
            &long,
        ] {
            assert_eq!(mail_address(bad), None, "{bad:?}");
        }
    }
}
