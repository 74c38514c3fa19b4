//! Trickled candidates and ICE restarts (RFC 9725 section 4.3).

use super::*;

/// With the credentials of the offer.
fn trickled() -> String {
    let of = |name| OFFER.lines().find(|line| line.starts_with(name)).expect("a line");
    let (ufrag, pwd) = (of("a=ice-ufrag:"), of("a=ice-pwd:"));
    let candidate = "a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host";
    format!("{ufrag}\r\n{pwd}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n{candidate}\r\n")
}

const RESTARTED: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
                         m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=end-of-candidates\r\n";

impl Server {
    async fn patch(&self, path: &str, condition: Option<&str>, fragment: &str) -> Response {
        let asked = self.ask(Method::PATCH, path).bearer_auth(&self.token).header("content-type", FRAGMENT);
        let asked = match condition {
            Some(condition) => asked.header("if-match", condition),
            None => asked,
        };
        asked.body(fragment.to_owned()).send().await.expect("an answer")
    }
}

#[tokio::test]
async fn candidates_are_taken_for_the_ice_session_that_the_tag_names() {
    let server = Server::start().await;
    let (location, tag) = server.published(&server.token).await;
    for (condition, fragment, status) in [
        (Some(tag.as_str()), trickled().as_str(), 204),
        (Some(&tag), "a=end-of-candidates\r\n", 204),
        (None, &trickled(), 428),
        (Some("\"another\""), &trickled(), 412),
        (Some(&tag), "nothing of the kind", 400),
        (Some(&tag), "a=ice-ufrag:EsAw\r\n", 400),
        (Some(&tag), RESTARTED, 422),
    ] {
        let patched = server.patch(&location, condition, fragment).await;
        assert_eq!(patched.status().as_u16(), status, "{condition:?} {fragment}");
    }
    let other = server.ask(Method::PATCH, &location).bearer_auth(&server.token).header("if-match", &tag);
    let other = other.header("content-type", "text/plain").body("").send().await.expect("an answer");
    assert_eq!((other.status().as_u16(), header(&other, "accept-patch")), (415, FRAGMENT));
    assert_eq!(server.patch("/whip/session/none", Some("*"), RESTARTED).await.status().as_u16(), 404);
}

#[tokio::test]
async fn a_restart_gives_new_credentials_and_a_new_tag() {
    let server = Server::start().await;
    let (whip, whep) = (format!("/whip/{}", server.gid), format!("/whep/{}", server.gid));
    for (path, offer) in [(whip, OFFER.to_owned()), (whep, wish())] {
        let (location, tag) = session(&server.post(&path, &server.token, offer).await);
        let restarted = server.patch(&location, Some("*"), RESTARTED).await;
        assert_eq!(restarted.status(), StatusCode::OK);
        assert_eq!(header(&restarted, "content-type"), FRAGMENT);
        let new = header(&restarted, "etag").to_owned();
        assert_ne!(new, tag);
        let fragment = restarted.text().await.expect("a fragment");
        let ufrag = format!("a=ice-ufrag:{}\r\n", new.trim_matches('"'));
        assert!(fragment.contains(&ufrag) && fragment.contains("a=ice-pwd:"), "{fragment}");
        assert!(fragment.contains("a=mid:0\r\n") && !fragment.contains("v=0"), "{fragment}");
        // The old session is over, the new one goes on.
        let end = "a=end-of-candidates\r\n";
        assert_eq!(server.patch(&location, Some(&tag), end).await.status().as_u16(), 412);
        assert_eq!(server.patch(&location, Some(&new), end).await.status().as_u16(), 204);
        // The same credentials again restart nothing.
        assert_eq!(server.patch(&location, Some("*"), RESTARTED).await.status().as_u16(), 204);
    }
}
