//! The relay keeps clients apart, brings everything through a link that impairs nothing, and loses what it was told to.

use millrace_load::relay::{Options, Relay};
use tokio::net::UdpSocket;

async fn local() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("a port")
}

/// A relay to an echo server: where clients send to.
async fn relay(down: &str) -> std::net::SocketAddr {
    let echo = local().await;
    let options = Options {
        listen: "127.0.0.1:0".parse().expect("an address"),
        to: echo.local_addr().expect("bound"),
        seed: 1,
        down: down.parse().expect("well-formed"),
        up: "".parse().expect("well-formed"),
        schedule: vec![],
    };
    tokio::spawn(async move {
        let mut buf = [0; 2000];
        while let Ok((len, from)) = echo.recv_from(&mut buf).await {
            // The answer says whom the server sees.
            let answer = [&buf[..len], &from.port().to_be_bytes()].concat();
            echo.send_to(&answer, from).await.expect("sent");
        }
    });
    let relay = Relay::bind(options).await.expect("bound");
    let address = relay.address().expect("bound");
    let (keep, commands) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        relay.run(commands).await;
        drop(keep);
    });
    address
}

#[tokio::test]
async fn clients_are_kept_apart_and_nothing_is_lost() {
    let relay = relay("delay=5,jitter=3,rate=20000").await;
    let clients = [local().await, local().await];
    let mut seen = vec![];
    for round in 0..50u8 {
        for (n, client) in (0..).zip(&clients) {
            client.send_to(&[n, round], relay).await.expect("sent");
        }
        for (n, client) in (0..).zip(&clients) {
            let mut buf = [0; 2000];
            let (len, from) = client.recv_from(&mut buf).await.expect("received");
            assert_eq!((from, &buf[..2], len), (relay, &[n, round][..], 4));
            seen.push((n, [buf[2], buf[3]]));
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 2, "each client has one port of its own towards the server: {seen:?}");
    assert_ne!(seen[0].1, seen[1].1);
}

#[tokio::test]
async fn the_same_seed_loses_the_same_packets() {
    let mut runs = vec![];
    for _ in 0..2 {
        let relay = relay("loss=30").await;
        let client = local().await;
        for n in 0..40u8 {
            client.send_to(&[n], relay).await.expect("sent");
        }
        // Nothing overtakes: once something later is answered, what was not answered before is lost.
        let mut arrived = vec![];
        let mut buf = [0; 2000];
        while arrived.last() != Some(&40) {
            tokio::select! {
                biased;
                came = client.recv_from(&mut buf) => {
                    came.expect("received");
                    arrived.push(buf[0]);
                }
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {
                    client.send_to(&[40], relay).await.expect("sent");
                }
            }
        }
        runs.push(arrived);
    }
    assert!((20..38).contains(&runs[0].len()), "{:?}", runs[0]);
    assert_eq!(runs[0], runs[1]);
}
