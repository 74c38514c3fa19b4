//! The whole rule of rights, as people meet it who join: what a record says x what the group chose x who it is x which right.

use millrace::control::directory::{Directory, Failure, MemberChanges, Membership, PinChanges, Settings};
use millrace::control::ids::{Gid, Uid};
use millrace::control::rights::{Choice, ChoiceChanges, Override, Preset, Receivers, Rights, Say};
use millrace::signal::message::{Joined, Request, Secret, ServerLine};

use crate::client::{Client, Server};

/// What is said, what the group chose, and what follows for a member and for a stranger (of whom nothing is said). Of any five
/// in a row one is left to anyone, so that a stranger can always come in.
const RULE: [(Say, Choice, bool, bool); 9] = [
    (Say::Unset, Choice::Members, true, false),
    (Say::Unset, Choice::Selected, false, false),
    (Say::Unset, Choice::Anyone, true, true),
    (Say::Allow, Choice::Members, true, false),
    (Say::Allow, Choice::Selected, true, false),
    (Say::Allow, Choice::Anyone, true, true),
    (Say::Deny, Choice::Members, false, false),
    (Say::Deny, Choice::Selected, false, false),
    (Say::Deny, Choice::Anyone, false, true),
];

fn rights(of: [bool; 5]) -> Rights {
    let [send, receive, publish, subscribe, list] = of;
    Rights { send, receive, publish, subscribe, list }
}

fn says(of: [Say; 5]) -> Override {
    let [send, receive, publish, subscribe, list] = of;
    Override { send, receive, publish, subscribe, list }
}

fn choices(of: [Choice; 5]) -> ChoiceChanges {
    let [send, receive, publish, subscribe, list] = of.map(Some);
    ChoiceChanges { send, receive: receive.map(Receivers::All), publish, subscribe, list }
}

/// A room of the owner's, and who comes to it: the owner, a member without a pin, one with a pin, and a stranger.
struct Room {
    server: Server,
    gid: Gid,
    spin: String,
    owner: (Uid, Client),
    member: (Uid, Client),
    pinned: Client,
    stranger: Client,
}

impl Room {
    async fn new() -> Self {
        let server = Server::start().await;
        let made = server.control.with(move |state, _| {
            let people = ["Boss", "Member", "Pinned", "Stranger"].map(|name| {
                let minted = state.directory.mint_token(name, None).expect("a token");
                (minted.uid, minted.token)
            });
            let settings = Settings { name: Some("Room".into()), ..Settings::default() };
            let group = state.directory.create_group(people[0].0, &settings).expect("a group");
            (people, group)
        });
        let ([boss, member, pinned, stranger], Membership { gid, pins, .. }) = made.await.expect("answered");
        let (_, spin) = pins.expect("pins");
        let owner = (boss.0, server.client(&boss.1).await);
        let member = (member.0, server.client(&member.1).await);
        let pinned = server.client(&pinned.1).await;
        let stranger = server.client(&stranger.1).await;
        Self { server, gid, spin, owner, member, pinned, stranger }
    }

    /// Changes the directory, as REST does, in the owner's name.
    async fn change<R, F>(&self, change: F) -> R
    where
        R: Send + 'static,
        F: FnOnce(&mut Directory, Uid) -> Result<R, Failure> + Send + 'static,
    {
        let owner = self.owner.0;
        let changed = self.server.control.with(move |state, _| change(&mut state.directory, owner));
        changed.await.expect("answered").expect("changed")
    }

    async fn choose(&self, preset: Option<Preset>, choices: ChoiceChanges) {
        let gid = self.gid;
        let settings = Settings { preset, choices, ..Settings::default() };
        self.change(move |directory, owner| directory.edit_group(owner, gid, &settings)).await;
    }

    /// Says something of the member, and of who has a pin by that pin.
    async fn say(&self, said: Override) -> String {
        let (gid, member) = (self.gid, self.member.0);
        let changes = MemberChanges { said: Some(said), ..MemberChanges::default() };
        let given = PinChanges { rights: said.into(), ..PinChanges::default() };
        self.change(move |directory, owner| {
            directory.edit_member(gid, member, Override::default(), &changes)?;
            directory.add_pin(owner, gid, &given)
        })
        .await
    }

    /// What each may do who comes now: the member, who has a pin, the stranger, the owner and the owner as a viewer.
    async fn all_join(&mut self, pin: &str) -> [Rights; 5] {
        let (gid, spin) = (self.gid, self.spin.clone());
        let all = [
            joins(&mut self.member.1, gid, None).await,
            joins(&mut self.pinned, gid, Some(pin)).await,
            joins(&mut self.stranger, gid, None).await,
            joins(&mut self.owner.1, gid, None).await,
            joins(&mut self.owner.1, gid, Some(&spin)).await,
        ];
        for client in [&mut self.member.1, &mut self.pinned, &mut self.stranger, &mut self.owner.1] {
            client.ask(&Request::Leave { gid }).await.expect("leaves");
        }
        all
    }
}

/// What somebody may do who joins now; nothing for who is not let in.
async fn joins(client: &mut Client, gid: Gid, pin: Option<&str>) -> Rights {
    let pin = pin.map(|pin| Secret(pin.to_owned()));
    match client.ask(&Request::Join { gid, pin }).await {
        Ok(answer) => ServerLine::members::<Joined>(answer).expect("an answer to join").rights,
        Err(refusal) => {
            assert_eq!(refusal.error, "BADGROUP");
            Rights::NONE
        }
    }
}

const VIEWER: Rights = Rights { publish: false, ..Rights::ALL };

#[tokio::test]
async fn every_right_is_decided_by_record_then_choice_whoever_comes() {
    let mut room = Room::new().await;
    for from in 0..RULE.len() {
        let row = |right: usize| RULE[(from + right) % RULE.len()];
        let rows = [row(0), row(1), row(2), row(3), row(4)];
        room.choose(None, choices(rows.map(|(_, choice, ..)| choice))).await;
        let pin = room.say(says(rows.map(|(say, ..)| say))).await;
        let member = rights(rows.map(|(_, _, member, _)| member));
        let stranger = rights(rows.map(|(.., stranger)| stranger));
        let found = room.all_join(&pin).await;
        assert_eq!(found, [member, member, stranger, Rights::ALL, VIEWER], "{rows:?}");
    }
}

#[tokio::test]
async fn presets_choose_and_single_choices_win_over_them() {
    let mut room = Room::new().await;
    let of = |publish, subscribe, list| Rights { publish, subscribe, list, ..Rights::ALL };
    let stranger = |subscribe, list| Rights { subscribe, list, ..Rights::NONE };
    for (preset, member, stranger) in [
        (Preset::Webinar, of(false, true, true), stranger(true, true)),
        (Preset::Classroom, of(false, true, true), stranger(false, false)),
        (Preset::Conference, of(true, true, true), stranger(false, false)),
    ] {
        room.choose(Some(preset), ChoiceChanges::default()).await;
        let pin = room.say(Override::default()).await;
        let found = room.all_join(&pin).await;
        assert_eq!(found, [member, member, stranger, Rights::ALL, VIEWER], "{preset:?}");
    }
    let publish = ChoiceChanges { publish: Some(Choice::Anyone), ..ChoiceChanges::default() };
    room.choose(Some(Preset::Classroom), publish).await;
    let pin = room.say(Override::default()).await;
    let [member, _, stranger, ..] = room.all_join(&pin).await;
    assert_eq!((member.publish, stranger), (true, Rights { publish: true, ..Rights::NONE }));
}

#[tokio::test]
async fn messages_in_turn_are_received_by_members() {
    let mut room = Room::new().await;
    let turn = ChoiceChanges {
        receive: Some(Receivers::RoundRobin),
        list: Some(Choice::Anyone),
        ..ChoiceChanges::default()
    };
    room.choose(None, turn).await;
    for (receive, expected) in [(Say::Unset, true), (Say::Allow, true), (Say::Deny, false)] {
        let pin = room.say(Override { receive, ..Override::default() }).await;
        let [member, pinned, stranger, owner, viewer] = room.all_join(&pin).await;
        assert_eq!((member.receive, pinned.receive), (expected, expected), "{receive:?}");
        assert_eq!((stranger.receive, owner.receive, viewer.receive), (false, true, true));
    }
}
