//! A stream that is published in five groups costs its publisher what it costs in one.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millrace::control::ids::{Gid, Sid};
use millrace::signal::message::{Joined, Request, Secret};
use millrace_load::client::Shared;
use millrace_load::drive::Engine;
use millrace_load::measure::{Meter, Window};
use millrace_load::scenario::Publishing;
use millrace_load::web::{Owner, Room};

use crate::reference::{Viewing, view};
use crate::server::with_owner;

const PACKETS: u32 = 200;
/// Packets on their way when a count is read.
const IN_FLIGHT: u64 = 60;

/// Numbers of the first and the last of so many packets, none of which is missing.
async fn in_a_row(viewing: &mut Viewing) -> (u32, u32) {
    let (mut first, mut last) = (None, 0);
    for _ in 0..PACKETS {
        let packet = viewing.media.recv().await.expect("media goes on");
        let number = viewing.read(&packet).1.number;
        assert!(first.is_none() || number == last + 1, "{number} after {last}");
        (first, last) = (first.or(Some(number)), number);
    }
    (first.unwrap_or(0), last)
}

#[test]
fn the_uplink_is_the_same_in_one_group_and_in_five() {
    with_owner(Ipv4Addr::LOCALHOST.into(), async |link, token| {
        let first = Room::from_link(&link).expect("a room");
        let shared = Shared::new(&first, Engine::new(1).expect("a thread")).await.expect("a server");
        let server = link.split("/?").next().expect("an address").to_owned();
        let owner = Owner { server, token };
        let mut rooms = vec![first];
        for n in 1..5 {
            rooms.push(owner.create(&format!("Room {n}")).await.expect("a room"));
        }
        let mut publisher = shared.enter(&rooms[0], "Publisher").await.expect("entered");
        for room in &rooms[1..] {
            let join = Request::Join { gid: Gid(room.gid), pin: Some(Secret(room.pin.clone())) };
            let _: Joined = publisher.ask("join", &join).await.expect("joins");
        }
        let plan = Publishing { simulcast: false, audio: false, ..Publishing::default() }.plan();
        let meter = Arc::new(Meter::new(Arc::new(Window::default())));
        let (media, sent) =
            shared.publish(&rooms[0], &mut publisher, &plan, 0, meter, None).await.expect("published");
        let uid = publisher.welcome().uid;
        let sent = || sent.packets.load(Ordering::Relaxed);

        let watch = async |room: &Room| {
            view(shared.enter(room, "Viewer").await.expect("entered"), Gid(room.gid), uid).await
        };
        let mut viewers = vec![watch(&rooms[0]).await];
        // What it sends in as many packets of the stream as one viewer gets, all of the same size.
        let before = sent();
        let (from, to) = in_a_row(&mut viewers[0]).await;
        let alone = (sent() - before).abs_diff(u64::from(to - from));
        assert!(alone <= IN_FLIGHT, "{alone}");

        let gids = rooms.iter().map(|room| Gid(room.gid)).collect();
        publisher.request("share", &Request::Share { sid: Sid(0), gids }).await.expect("shared");
        for room in &rooms[1..] {
            viewers.push(watch(room).await);
        }
        let newest = |viewing: &mut Viewing| while viewing.media.try_recv().is_ok() {};
        viewers.iter_mut().for_each(newest);
        let before = sent();
        let (from, to) = in_a_row(&mut viewers[0]).await;
        let in_five = (sent() - before).abs_diff(u64::from(to - from));
        assert!(in_five <= IN_FLIGHT, "{in_five}");
        for viewing in &mut viewers[1..] {
            in_a_row(viewing).await;
        }
        // Out of one of them it goes on in the others.
        let gid = Some(Gid(rooms[0].gid));
        publisher.request("unpublish", &Request::Unpublish { sid: Sid(0), gid }).await.expect("taken out");
        in_a_row(&mut viewers[1]).await;
        drop(media);
    });
}
