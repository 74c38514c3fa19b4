//! Opening the port: one sentence when it cannot be had, and flows that stay where they are when it can.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use millrace::net::{self, BindError, Choice, Driver, Io, Waker};

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let holder = UdpSocket::bind(local(0)).expect("a port");
    let address = holder.local_addr().expect("bound");
    let error = net::bind(&[address], 2).expect_err("the port is taken");
    assert!(matches!(error, BindError::InUse(taken) if taken == address));
    let sentence = error.to_string();
    assert!(sentence.contains(&address.to_string()) && sentence.contains("--listen"), "{sentence}");
    assert!(!sentence.contains('\n'));
}

#[test]
fn a_second_server_does_not_share_the_port_of_the_first() {
    let first = net::bind(&[local(0)], 2).expect("a free port");
    let address = first.addresses()[0];
    assert!(matches!(net::bind(&[address], 2), Err(BindError::InUse(_))));
    drop(first);
    net::bind(&[address], 2).expect("free again");
}

#[test]
fn an_address_of_another_host_is_told_apart() {
    let elsewhere = SocketAddr::from(([192, 0, 2, 7], 0));
    assert!(matches!(net::bind(&[elsewhere], 1), Err(BindError::NotLocal(_))));
    assert!(matches!(net::bind(&[], 1), Err(BindError::Nothing)));
}

#[test]
fn two_addresses_are_told_apart_by_their_place() {
    let mut listen = vec![local(0), SocketAddr::from(([127, 0, 0, 9], 0))];
    if UdpSocket::bind("[::1]:0").is_ok() {
        listen.push("[::1]:0".parse().expect("an address"));
    }
    let sockets = net::bind(&listen, 1).expect("free ports");
    let addresses = sockets.addresses();
    assert_eq!(addresses.len(), listen.len());
    let choice = Choice::probe(Io::Auto).expect("a driver");
    let shard = sockets.into_shards().remove(0);
    let mut driver = Driver::open(&choice, shard, Waker::new().expect("an eventfd")).expect("a driver");
    for (place, address) in addresses.iter().enumerate() {
        let peer = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).expect("a port");
        peer.send_to(b"hello", address).expect("sent");
        let mut came = None;
        while came.is_none() {
            driver
                .turn(Some(Duration::from_secs(20)), &mut |path, bytes| came = Some((path, bytes.to_vec())))
                .expect("a turn");
        }
        let (path, bytes) = came.expect("a datagram");
        assert_eq!((usize::from(path.socket), path.local), (place, address.ip()));
        assert_eq!((path.remote, bytes.as_slice()), (peer.local_addr().expect("bound"), b"hello".as_slice()));
    }
}

#[test]
fn the_kernel_spreads_flows_over_the_shards_and_keeps_each_where_it_is() {
    let choice = Choice::probe(Io::Mmsg).expect("a driver");
    let sockets = net::bind(&[local(0)], 2).expect("a free port");
    let address = sockets.addresses()[0];
    let open = |shard| Driver::open(&choice, shard, Waker::new().expect("an eventfd")).expect("a driver");
    let mut drivers: Vec<_> = sockets.into_shards().into_iter().map(open).collect();
    let peers: Vec<_> = (0..64).map(|_| UdpSocket::bind(local(0)).expect("a port")).collect();
    let mut seen = [HashSet::new(), HashSet::new()];
    for _ in 0..3 {
        for peer in &peers {
            peer.send_to(b"hello", address).expect("sent");
        }
        let mut came = 0;
        while came < peers.len() {
            for (driver, seen) in drivers.iter_mut().zip(&mut seen) {
                let rx = &mut |path: millrace::batch::Path, _: &mut [u8]| {
                    seen.insert(path.remote);
                    came += 1;
                };
                driver.turn(Some(Duration::from_millis(1)), rx).expect("a turn");
            }
        }
    }
    assert!(seen.iter().all(|seen| !seen.is_empty()), "both shards have flows");
    assert!(seen[0].is_disjoint(&seen[1]), "no flow is seen by both");
}
