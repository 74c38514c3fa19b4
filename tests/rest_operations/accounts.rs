//! `login`, and what an app's backend does with its secret: `useradd`, `userdel`, `usertoken`.

use millrace::control::directory::{DEFAULT_APP, SignIn};
use serde_json::{Value, json};

use super::{Server, failed, own};

impl Server {
    /// The secret of an app, which is there from now on.
    async fn app(&self, appid: &'static str) -> String {
        let made = self
            .control
            .with(move |state, _| state.directory.app_or_new(appid).map(|app| app.secret.0.clone()));
        made.await.expect("answered").expect("an app")
    }

    /// The code that goes to this address.
    async fn code(&self, email: &'static str) -> String {
        let made = self.control.with(move |state, now| {
            let who = SignIn { appid: DEFAULT_APP, name: "Ada", email };
            state.directory.begin_sign_in(now.unix, "192.0.2.7".parse().expect("an address"), &who)
        });
        made.await.expect("answered").expect("a code").0
    }

    async fn log_in(&self, more: &[(&str, &str)]) -> Value {
        let mut parameters = vec![("op", "login"), ("appid", DEFAULT_APP), ("name", "Ada")];
        parameters.extend(more);
        self.op(&parameters).await
    }
}

#[tokio::test]
async fn a_code_becomes_a_token_once() {
    let server = Server::start().await;
    server.app(DEFAULT_APP).await;
    let email = ("email", "Ada@Example.org");
    assert_eq!(own(server.log_in(&[email]).await), json!({}), "a code is on its way");
    let code = server.code("ada@example.org").await;
    let wrong = if code == "111111" { "222222" } else { "111111" };
    assert_eq!(failed(&server.log_in(&[email, ("code", wrong)]).await), "BADCODE");
    let answer = own(server.log_in(&[email, ("code", &code)]).await);
    assert_eq!(answer.as_object().expect("an object").len(), 4);
    assert!(answer["uid"].is_u64() && answer["name"] == "Ada", "{answer}");
    let address = answer["address"].as_str().expect("a text");
    assert!(address.len() == 32 && !address.contains("ada"), "{address}");
    let token = answer["token"].as_str().expect("a text");
    assert_eq!(server.op(&[("op", "rooms"), ("token", token)]).await["result"], "OK");
    assert_eq!(failed(&server.log_in(&[email, ("code", &code)]).await), "BADCODE", "used");

    let again = server.code("ada@example.org").await;
    let again = own(server.log_in(&[email, ("code", &again), ("name", "Ada L.")]).await);
    assert_eq!((&again["uid"], &again["address"]), (&answer["uid"], &answer["address"]));
    assert_eq!(again["name"], "Ada L.");
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_a_login_is_named() {
    let server = Server::start().await;
    server.app(DEFAULT_APP).await;
    let all = [("op", "login"), ("appid", DEFAULT_APP), ("name", "Ada"), ("email", "ada@example.org")];
    for (missing, error) in [("appid", "MISSINGAPPID"), ("name", "MISSINGNAME"), ("email", "MISSINGEMAIL")] {
        for code in [None, Some(("code", "123456"))] {
            let given: Vec<_> = all.into_iter().filter(|(name, _)| *name != missing).chain(code).collect();
            assert_eq!(failed(&server.op(&given).await), error);
            let empty: Vec<_> = given.into_iter().chain([(missing, " ")]).collect();
            assert_eq!(failed(&server.op(&empty).await), error);
        }
    }
    assert_eq!(failed(&server.log_in(&[("appid", "nobody"), ("email", "ada@example.org")]).await), "BADAPP");
    for email in ["ada", "ada@", "a b@example.org", "a@b\r\nBcc: c@d", "a@b,c@d"] {
        assert_eq!(failed(&server.log_in(&[("email", email)]).await), "BADUSER", "{email}");
    }
    let unasked = [("email", "ada@example.org"), ("code", "123456")];
    assert_eq!(failed(&server.log_in(&unasked).await), "BADCODE");
}

#[tokio::test]
async fn nobodys_mailbox_is_filled() {
    let server = Server::start().await;
    server.app(DEFAULT_APP).await;
    for _ in 0..3 {
        assert_eq!(server.log_in(&[("email", "ada@example.org")]).await["result"], "OK");
    }
    assert_eq!(failed(&server.log_in(&[("email", "ada@example.org")]).await), "RATELIMIT");
    assert_eq!(server.log_in(&[("email", "bob@example.org")]).await["result"], "OK");
}

#[tokio::test]
async fn an_apps_backend_signs_its_users_in() {
    let server = Server::start().await;
    let (secret, other) = (server.app("shop").await, server.app("other").await);
    let ask = async |op: &str, appid: &str, secret: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![("op", op), ("appid", appid), ("secret", secret), ("address", "ada")];
        parameters.extend(more);
        server.op(&parameters).await
    };
    assert_eq!(failed(&ask("usertoken", "shop", &secret, &[]).await), "BADUSER");
    let made = own(ask("useradd", "shop", &secret, &[("name", "Ada")]).await);
    let uid = &made["uid"];
    assert!(uid.is_u64() && made["token"].is_string(), "{made}");
    assert_eq!((&made["name"], &made["address"]), (&json!("Ada"), &json!("ada")));
    let again = own(ask("useradd", "shop", &secret, &[("name", "Ada L.")]).await);
    assert_eq!((&again["uid"], &again["name"]), (uid, &json!("Ada L.")), "one address is one user");

    let more = own(ask("usertoken", "shop", &secret, &[("expiry", "5")]).await);
    assert_eq!((&more["uid"], &more["name"]), (uid, &json!("Ada L.")));
    let token = more["token"].as_str().expect("a text").to_owned();
    assert_eq!(server.op(&[("op", "rooms"), ("token", &token)]).await["result"], "OK");
    for expiry in ["soon", "-1"] {
        assert_eq!(failed(&ask("usertoken", "shop", &secret, &[("expiry", expiry)]).await), "BADARG");
    }

    // One app has nothing to do with another's users, nor with those of the server.
    server.token("bob").await;
    for (op, more) in [("useradd", &[("name", "X")][..]), ("usertoken", &[]), ("userdel", &[])] {
        assert_eq!(failed(&ask(op, "other", &other, more).await), "BADUSER", "{op}");
        let bobs = [more, &[("address", "bob")]].concat();
        assert_eq!(failed(&ask(op, "other", &other, &bobs).await), "BADUSER", "{op}");
        assert_eq!(failed(&ask(op, "shop", &other, more).await), "AUTHFAIL", "{op}");
        assert_eq!(failed(&ask(op, "nobody", &other, more).await), "AUTHFAIL", "{op}");
        assert_eq!(failed(&server.op(&[("op", op), ("secret", &secret)]).await), "MISSINGAPPID", "{op}");
    }
    assert_eq!(failed(&ask("useradd", "shop", &secret, &[]).await), "MISSINGNAME");
    let nowhere = [("name", "X"), ("address", " ")];
    assert_eq!(failed(&ask("useradd", "shop", &secret, &nowhere).await), "MISSINGADDRESS");

    assert_eq!(own(ask("userdel", "shop", &secret, &[]).await), json!({}));
    assert_eq!(failed(&server.op(&[("op", "rooms"), ("token", &token)]).await), "AUTHFAIL");
    assert_eq!(failed(&ask("userdel", "shop", &secret, &[]).await), "BADUSER");
}

#[tokio::test]
async fn secrets_are_not_to_be_guessed() {
    let server = Server::start().await;
    let secret = server.app("shop").await;
    let ask = async |secret: &str| {
        let parameters = [("op", "usertoken"), ("appid", "shop"), ("secret", secret), ("address", "ada")];
        failed(&server.op(&parameters).await).to_owned()
    };
    for _ in 0..20 {
        assert_eq!(ask("0000").await, "AUTHFAIL");
    }
    assert_eq!(ask(&secret).await, "RATELIMIT");
}
