//! Rights that change in a running call act on its media at once.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millrace::control::ids::{Gid, Uid};
use millrace::signal::message::{Edit, Joined, Notice, Request, RightsEdit};
use millrace_load::client::Shared;
use millrace_load::drive::{Engine, Running};
use millrace_load::measure::{Meter, Window};
use millrace_load::publisher::{Publisher, Sent};
use millrace_load::scenario::Publishing;
use millrace_load::signal::Session;
use millrace_load::stamp;
use millrace_load::web::Room;

use crate::reference::{Viewing, view};
use crate::server::with_owner;

/// Packets that show that media flows, or would flow.
const PACKETS: usize = 100;
/// The status of a stream that may not go on.
const NOT_ALLOWED: u8 = 0x4a;

/// A call: somebody publishes, two watch, and the owner gives and takes.
struct Call {
    gid: Gid,
    owner: Session,
    publisher: Session,
    _media: Running<Publisher>,
    sent: Arc<Sent>,
    watching: Viewing,
    witness: Viewing,
}

impl Call {
    async fn new(link: &str, token: String) -> Self {
        let room = Room::from_link(link).expect("a room");
        let shared = Shared::new(&room, Engine::new(1).expect("a thread")).await.expect("a server");
        let (gid, endpoint) = (Gid(room.gid), shared.endpoint().await.expect("an endpoint"));
        let mut owner = Session::open(&endpoint, shared.server(), token, None).await.expect("signed in");
        let join = Request::Join { gid, pin: None };
        let _: Joined = owner.ask("join", &join).await.expect("the owner's");
        let mut publisher = shared.enter(&room, "Publisher").await.expect("entered");
        let plan = Publishing { simulcast: false, audio: false, ..Publishing::default() }.plan();
        let meter = Arc::new(Meter::new(Arc::new(Window::default())));
        let (media, sent) =
            shared.publish(&room, &mut publisher, &plan, 0, meter, None).await.expect("published");
        let uid = publisher.welcome().uid;
        let watching = view(shared.enter(&room, "Viewer").await.expect("entered"), gid, uid).await;
        let witness = view(shared.enter(&room, "Witness").await.expect("entered"), gid, uid).await;
        Self { gid, owner, publisher, _media: media, sent, watching, witness }
    }

    /// The owner gives or takes rights; when that was acknowledged.
    async fn edit(&mut self, uid: Uid, rights: RightsEdit) -> Instant {
        let edit = Edit { gid: self.gid, uids: vec![uid], rights, limits: Default::default(), admin: None };
        self.owner.request("edit", &Request::Edit(edit)).await.expect("allowed");
        Instant::now()
    }
}

/// That a stream flows to a viewer: so many packets that are due from now on.
async fn flows(viewing: &mut Viewing) {
    let from = stamp::micros(Instant::now());
    let mut seen = 0;
    while seen < PACKETS {
        let packet = viewing.media.recv().await.expect("media goes on");
        seen += usize::from(viewing.read(&packet).1.at >= from);
    }
}

/// That of what was due after `since` nothing came.
fn got_nothing_since(viewing: &mut Viewing, since: Instant) {
    let since = stamp::micros(since);
    while let Ok(packet) = viewing.media.try_recv() {
        let late = viewing.read(&packet).1.at.saturating_sub(since);
        assert_eq!(late, 0, "a packet of {late} us after the right was taken");
    }
}

async fn rights_of(session: &mut Session) -> millrace::control::rights::Rights {
    let told = |notice| match notice {
        Notice::Rights { rights, .. } => Some(rights),
        _ => None,
    };
    session.wait_for("rights", told).await.expect("told")
}

/// The streams that a notice of the whole roster names.
async fn roster(session: &mut Session) -> usize {
    let told = |notice| match notice {
        Notice::Roster { all: true, joined, .. } => Some(joined.len()),
        _ => None,
    };
    session.wait_for("a roster", told).await.expect("told")
}

#[test]
fn who_may_not_watch_any_more_gets_no_further_packet() {
    with_owner(Ipv4Addr::LOCALHOST.into(), async |link, token| {
        let mut call = Call::new(&link, token).await;
        flows(&mut call.watching).await;
        let uid = call.watching.session.welcome().uid;
        let taken = call.edit(uid, RightsEdit { subscribe: Some(false), ..Default::default() }).await;
        // As long as another one gets it, it is there to be sent.
        flows(&mut call.witness).await;
        got_nothing_since(&mut call.watching, taken);
        assert!(!rights_of(&mut call.watching.session).await.subscribe);
    });
}

#[test]
fn the_streams_of_who_may_not_publish_any_more_end() {
    with_owner(Ipv4Addr::LOCALHOST.into(), async |link, token| {
        let mut call = Call::new(&link, token).await;
        flows(&mut call.watching).await;
        let uid = call.publisher.welcome().uid;
        let taken = call.edit(uid, RightsEdit { publish: Some(false), ..Default::default() }).await;
        let ended = |notice| match notice {
            Notice::Ended { status, .. } => Some(status),
            _ => None,
        };
        assert_eq!(call.publisher.wait_for("the end", ended).await.expect("told"), NOT_ALLOWED);
        let left = |notice| match notice {
            Notice::Roster { left, .. } if !left.is_empty() => Some(left),
            _ => None,
        };
        let left = call.watching.session.wait_for("a hang-up", left).await.expect("told");
        assert_eq!(left.first().map(|stream| stream.uid), Some(uid));
        // It sends all the same, but nobody gets it.
        let enough = call.sent.packets.load(Ordering::Relaxed) + PACKETS as u64;
        while call.sent.packets.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        got_nothing_since(&mut call.watching, taken);
        got_nothing_since(&mut call.witness, taken);
    });
}

#[test]
fn the_roster_stops_with_the_right_to_it_and_comes_back_with_it() {
    with_owner(Ipv4Addr::LOCALHOST.into(), async |link, token| {
        let mut call = Call::new(&link, token).await;
        let uid = call.watching.session.welcome().uid;
        call.edit(uid, RightsEdit { list: Some(false), ..Default::default() }).await;
        assert!(!rights_of(&mut call.watching.session).await.list);
        assert_eq!(roster(&mut call.watching.session).await, 0);
        call.edit(uid, RightsEdit { list: Some(true), ..Default::default() }).await;
        let settings = |notice| match notice {
            Notice::Settings(settings) => Some(settings),
            _ => None,
        };
        let settings = call.watching.session.wait_for("settings", settings).await.expect("told");
        assert!(settings.rights.list && settings.gid == call.gid && !settings.name.is_empty());
        assert_eq!(roster(&mut call.watching.session).await, 1);
        flows(&mut call.watching).await;
    });
}
