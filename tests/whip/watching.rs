//! Who watches has its own offer answered, and is there for whoever comes.

use super::*;

impl Server {
    async fn watch(&self, path: &str) -> String {
        let watched = self.post(&format!("/whep/{}{path}", self.gid), &self.spin, wish()).await;
        assert_eq!(watched.status(), StatusCode::CREATED);
        watched.text().await.expect("an answer")
    }

    /// How many watch somebody's stream.
    async fn viewers(&self, uid: Uid, sid: u8) -> usize {
        self.control.with(move |state, _| state.rooms.viewers(uid, Sid(sid))).await.expect("answered")
    }
}

#[tokio::test]
async fn the_answer_speaks_with_the_numbers_of_the_offer() {
    let server = Server::start().await;
    let odd = wish().replace("a=rtpmap:96 VP8/90000", "a=rtpmap:35 VP8/90000").replace(" 96 97 ", " 35 97 ");
    let odd = odd.replace("apt=96", "apt=35").replace("a=rtcp-fb:96 ", "a=rtcp-fb:35 ");
    let watched = server.post(&format!("/whep/{}", server.gid), &server.spin, odd).await;
    let answer = watched.text().await.expect("an answer");
    assert!(answer.contains("a=rtpmap:35 VP8/90000\r\n") && !answer.contains("a=rtpmap:96"), "{answer}");
    assert!(
        answer.contains("a=rtcp-fb:35 nack pli\r\n") && answer.contains("a=fmtp:97 apt=35\r\n"),
        "{answer}"
    );
    assert_eq!(answer.matches("a=sendonly\r\n").count(), 2, "{answer}");
    assert!(answer.contains("a=setup:passive\r\n") && answer.contains("a=ssrc-group:FID "), "{answer}");
    let mid = wish().lines().find(|line| line.contains("sdes:mid")).expect("an extension").to_owned();
    assert!(answer.contains(&mid), "{mid} {answer}");
}

#[tokio::test]
async fn who_came_before_anybody_published_sees_who_comes_and_whoever_is_left() {
    let server = Server::start().await;
    server.watch("").await;
    server.watch(&format!("/{}", server.owner)).await;
    server.watch(&format!("/{}/1", server.owner)).await;
    server.watch("/4000000000").await;
    let (first, _) = server.published(&server.token).await;
    assert_eq!((server.viewers(server.owner, 0).await, server.viewers(server.owner, 1).await), (2, 0));
    server.published(&server.token).await;
    assert_eq!((server.viewers(server.owner, 0).await, server.viewers(server.owner, 1).await), (2, 1));
    // What is watched ended: of what is left, whatever fits.
    server.delete(&first, &server.token).await;
    assert_eq!(server.viewers(server.owner, 1).await, 3);
}

#[tokio::test]
async fn one_of_a_kind_is_taken_and_the_rest_refused() {
    let server = Server::start().await;
    let once = wish();
    let (head, video) = once.split_once("m=video").expect("a picture");
    let twice = format!("{head}m=video{video}m=video{}", video.replace("a=mid:1", "a=mid:2"));
    let twice = twice.replace("BUNDLE 0 1", "BUNDLE 0 1 2");
    let watched = server.post(&format!("/whep/{}", server.gid), &server.spin, twice).await;
    let answer = watched.text().await.expect("an answer");
    assert!(answer.contains("a=group:BUNDLE 0 1\r\n") && answer.contains("\r\nm=video 0 "), "{answer}");
    let nothing = server.post(&format!("/whep/{}", server.gid), &server.spin, OFFER).await;
    assert_eq!(nothing.status(), StatusCode::BAD_REQUEST);
}
