//! Flight recorders are for who runs the server, and there are not too many of them.

use millrace::control::rooms::Effect;
use millrace::router::command::Command;
use millrace::router::event::Event;
use millrace::router::id::{SessionId, ShardId};
use serde_json::json;

use crate::live::Person;
use crate::{KEY, Server};

const SHARD: ShardId = ShardId(0);

/// So many people publish in a group, each on a connection that has its owner.
async fn publishers(server: &Server, gid: u64, count: u32) -> Vec<Person> {
    let mut people = Vec::new();
    for index in 0..count {
        let person = Person::enter(server, &format!("person{index}"), gid).await;
        person.publish(server, gid).await;
        let session = SessionId { index, generation: 0 };
        server.control.shard_event(SHARD, Event::Claimed { session, shard: SHARD });
        people.push(person);
    }
    // News come before requests: once this is answered they were heard.
    server.control.with(|_, _| ()).await.expect("answered");
    people
}

#[tokio::test]
async fn only_who_runs_the_server_may_look_and_only_at_who_is_there() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let people = publishers(&server, gid, 1).await;
    let path = format!("/v1/groups/{gid}/participants/{}/recorder", people[0].uid);
    for (method, path) in [("GET", path.clone()), ("PUT", path.clone()), ("GET", format!("{path}/pcap"))] {
        assert_eq!(server.send(&owner, method, &path, None, &[]).await.problem(403), "forbidden");
    }
    let nobody = format!("/v1/groups/{gid}/participants/999/recorder");
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(server.send(KEY, method, &nobody, None, &[]).await.problem(404), "not-found");
    }
    for seconds in [0, 601] {
        let wrong = server.ask(KEY, "PUT", &path, json!({ "seconds": seconds })).await;
        assert_eq!(wrong.problem(422), "invalid");
    }
    // There are no shards here to answer.
    let late = server.get(KEY, &path).await;
    assert_eq!(late.problem(503), "unavailable");
    assert_eq!(late.headers["retry-after"], "1");
}

#[tokio::test]
async fn headers_of_so_many_connections_are_kept_and_of_no_more() {
    const MOST: u32 = 32;
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let people = publishers(&server, gid, MOST + 1).await;
    let (last, others) = people.split_last().expect("people");
    let path = |person: &Person| format!("/v1/groups/{gid}/participants/{}/recorder", person.uid);
    for person in others {
        server.send(KEY, "PUT", &path(person), None, &[]).await.must(204);
    }
    let full = server.ask(KEY, "PUT", &path(last), json!({})).await;
    assert_eq!(full.problem(409), "full");
    server.send(KEY, "PUT", &path(&others[0]), None, &[]).await.must(204);
    server.send(KEY, "DELETE", &path(&others[0]), None, &[]).await.must(204);

    let uid = millrace::control::ids::Uid(u32::try_from(last.uid).expect("a number"));
    let gid = crate::live::gid_of(gid);
    let ordered = server.control.with(move |state, now| {
        let lasts = std::time::Duration::from_secs(60);
        state.rooms.record(now.instant, gid, uid, lasts).expect("there is room again");
        let effects = state.rooms.take_effects().into_iter();
        let records = effects.filter_map(|effect| match effect {
            Effect::Shard(shard, Command::Record { session, until }) => {
                Some((shard, session, until == now.instant + lasts))
            }
            _ => None,
        });
        records.collect::<Vec<_>>()
    });
    let session = SessionId { index: MOST, generation: 0 };
    assert_eq!(ordered.await.expect("answered"), [(SHARD, session, true)]);
}
