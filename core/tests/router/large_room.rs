//! Two hundred people in a room: each hears the few who talk, a new voice at once, and all know who leads.

use std::collections::{BTreeMap, HashSet};

use millrace::router::command::Command;
use millrace::router::event::Event;
use millrace::router::id::{SlotId, TrackId};
use millrace::router::speakers::Ranking;
use millrace::units::{Bitrate, Duration, Instant};

use crate::sim::network::Link;
use crate::sim::{World, tile};

const PEOPLE: usize = 200;
/// Audio slots of a listener.
const SLOTS: u16 = 8;
/// -dBov of a room in which nobody talks, of one who does, and of one that nobody could hear.
const HUM: u8 = 65;
/// The same where it can be heard.
const AUDIBLE: u8 = 58;
const TALK: u8 = 30;
const NOTHING: u8 = 100;

struct Room {
    world: World,
    /// Places and tracks of those who publish sound.
    people: Vec<(usize, TrackId)>,
    listeners: Vec<usize>,
}

impl Room {
    /// Everyone hears everyone: the first few have slots, the others are the crowd.
    fn new(shards: u8, seed: u64) -> Self {
        let mut world = World::new(shards, seed);
        let people: Vec<_> = (0..PEOPLE)
            .map(|_| {
                let (place, audio, _) = world.publish(Link::good(), &[]);
                world.publishers.get_mut(&place).expect("is there").level = HUM;
                (place, audio)
            })
            .collect();
        let listeners: Vec<_> = (0..3).map(|_| world.listen(Link::good(), SLOTS)).collect();
        world.run_ms(1000);
        for listener in &listeners {
            let session = world.peers[*listener].id;
            for (at, (_, audio)) in people.iter().enumerate() {
                if at < usize::from(SLOTS) {
                    world.watch(*listener, at as u16, Some(*audio), tile(0, 0));
                } else {
                    world.command(|| Command::Crowd { session, track: *audio, on: true });
                }
            }
        }
        let mut room = Self { world, people, listeners };
        room.world.run_ms(2000);
        room
    }

    fn level(&mut self, person: usize, level: u8) {
        self.world.publishers.get_mut(&self.people[person].0).expect("is there").level = level;
    }

    /// When a slot of a listener was given to a person.
    fn admitted(&self, listener: usize, person: usize) -> Option<Instant> {
        let id = self.world.peers[listener].id;
        self.world.events.iter().find_map(|(at, event)| match event {
            Event::SlotTrack { session, track, .. }
                if *session == id && *track == Some(self.people[person].1) =>
            {
                Some(*at)
            }
            _ => None,
        })
    }

    /// What the slots of a listener carry, as the control plane was told.
    fn carried(&self, listener: usize) -> Vec<Option<TrackId>> {
        let id = self.world.peers[listener].id;
        let mut carried: Vec<_> = (0..usize::from(SLOTS)).map(|slot| Some(self.people[slot].1)).collect();
        for (_, event) in &self.world.events {
            if let Event::SlotTrack { session, slot, track, out } = event
                && *session == id
            {
                let slot = &mut carried[usize::from(slot.0)];
                assert_eq!(*slot, Some(*out), "told in order");
                *slot = *track;
            }
        }
        carried
    }

    /// Who is heard by a listener in this time, by the sound that comes.
    fn slots_heard(&mut self, listener: usize, ms: u64) -> usize {
        let before = self.heard(listener);
        self.world.run_ms(ms);
        self.heard(listener).iter().zip(before).filter(|(after, before)| **after > *before).count()
    }

    fn limit(&mut self, listener: usize, max_voices: u8) {
        let session = self.world.peers[listener].id;
        self.world.command(|| Command::LimitSession { session, max_bitrate: Bitrate::MAX, max_voices });
    }

    /// Who talks, the dominant first, each time that a shard tells of it: all shards ranked together, as the control plane
    /// does.
    fn talking(&self) -> Vec<(Instant, Vec<TrackId>)> {
        let (mut shards, mut ranking) = (BTreeMap::new(), Ranking::default());
        let mut told = Vec::new();
        for (at, shard, who) in &self.world.talking {
            shards.insert(*shard, who.clone());
            ranking.rank(&shards.values().flatten().copied().collect::<Vec<_>>());
            told.push((*at, ranking.talkers().iter().map(|talker| talker.track).collect()));
        }
        told
    }

    /// Packets of sound that a listener got, by slot.
    fn heard(&self, listener: usize) -> Vec<usize> {
        (0..SLOTS).map(|slot| self.world.viewer(listener).slot(slot).packets.len()).collect()
    }
}

#[test]
fn a_new_voice_is_heard_within_a_tenth_of_a_second() {
    for shards in [1, 2] {
        let mut room = Room::new(shards, 11);
        for (turn, person) in [150, 20, 199, 77, 42, 133, 90, 61, 180, 10].into_iter().enumerate() {
            room.level(person, TALK);
            let began = room.world.now;
            room.world.run_ms(700);
            for listener in room.listeners.clone() {
                let admitted = room.admitted(listener, person).map(|at| at.since(began));
                let soon = admitted.is_some_and(|after| after <= Duration::from_millis(100));
                assert!(soon, "voice {turn} on {shards} shards: {admitted:?}");
            }
            room.level(person, HUM);
            room.world.run_ms(500);
        }
        for listener in room.listeners.clone() {
            for slot in 0..SLOTS {
                assert_eq!(room.world.viewer(listener).slot(slot).holes(), 0);
            }
        }
    }
}

#[test]
fn nobody_hears_more_than_a_few_and_the_newest_stay() {
    for shards in [1, 2] {
        few_are_heard(shards);
    }
}

fn few_are_heard(shards: u8) {
    let mut room = Room::new(shards, 12);
    let speakers: Vec<_> = (0..20).map(|n| 50 + n * 7).collect();
    for person in &speakers {
        room.level(*person, TALK);
        room.world.run_ms(1500);
        room.level(*person, HUM);
    }
    room.world.run_ms(1000);
    for listener in room.listeners.clone() {
        // What the slots carry now: those who talked last.
        let last: HashSet<_> = speakers.iter().rev().take(8).map(|p| Some(room.people[*p].1)).collect();
        assert_eq!(room.carried(listener).into_iter().collect::<HashSet<_>>(), last);
        let before: usize = room.heard(listener).iter().sum();
        room.world.run_ms(1000);
        let sent = room.heard(listener).iter().sum::<usize>() - before;
        assert!(sent <= usize::from(SLOTS) * 51, "{sent} packets in a second");
    }
}

#[test]
fn when_all_talk_at_once_it_does_not_flutter() {
    let mut room = Room::new(1, 13);
    (0..PEOPLE).for_each(|person| room.level(person, TALK));
    room.world.run_ms(1000);
    let before = room.world.events.len();
    room.world.run_ms(5000);
    let swaps = room.world.events[before..].iter().filter(|(_, e)| matches!(e, Event::SlotTrack { .. }));
    assert_eq!(swaps.count(), 0);
}

/// How long after this a person was named as the dominant speaker.
fn named(room: &Room, person: usize, began: Instant) -> Option<Duration> {
    let track = room.people[person].1;
    let named = room.talking().into_iter().find(|(at, who)| *at >= began && who.first() == Some(&track));
    named.map(|(at, _)| at.since(began))
}

#[test]
fn the_dominant_speaker_is_named_within_a_second() {
    for shards in [1, 2] {
        let mut room = Room::new(shards, 14);
        room.level(30, TALK);
        room.world.run_ms(4000);
        // People with even numbers are on one shard, the others on the other.
        for (before, person) in [(30, 31), (31, 120), (120, 6), (6, 5)] {
            let began = room.world.now;
            room.level(person, TALK);
            room.level(before, HUM);
            room.world.run_ms(3000);
            let after = named(&room, person, began);
            assert!(after.is_some_and(|after| after <= Duration::from_secs(1)), "{person}: {after:?}");
        }
    }
}

#[test]
fn whoever_puts_in_a_word_now_and_then_does_not_keep_the_lead() {
    for shards in [1, 2] {
        let mut room = Room::new(shards, 19);
        room.level(30, TALK);
        room.world.run_ms(4000);
        let began = room.world.now;
        room.level(31, TALK - 5);
        for _ in 0..6 {
            room.level(30, HUM);
            room.world.run_ms(500);
            room.level(30, TALK);
            room.world.run_ms(200);
        }
        let after = named(&room, 31, began);
        assert!(after.is_some_and(|after| after <= Duration::from_secs(2)), "{shards} shards: {after:?}");
    }
}

#[test]
fn a_word_in_between_does_not_take_the_lead() {
    for shards in [1, 2] {
        let mut room = Room::new(shards, 15);
        room.level(30, TALK);
        room.world.run_ms(4000);
        for other in [60, 61] {
            let began = room.world.now;
            room.level(other, TALK - 10);
            room.world.run_ms(400);
            room.level(other, HUM);
            room.world.run_ms(3000);
            let lead = room.people[30].1;
            let since = room.talking().into_iter().filter(|(at, _)| *at >= began);
            assert!(since.into_iter().all(|(_, who)| who.first() == Some(&lead)), "{shards} shards");
        }
    }
}

#[test]
fn silence_is_not_sent_and_the_first_sound_is() {
    for shards in [1, 2] {
        let mut room = Room::new(shards, 16);
        (0..PEOPLE).for_each(|person| room.level(person, NOTHING));
        room.world.run_ms(3000);
        let listener = room.listeners[0];
        let before = room.heard(listener);
        room.world.run_ms(3000);
        assert_eq!(room.heard(listener), before, "silence on {shards} shards");
        room.level(3, HUM - 10);
        room.world.run_ms(200);
        let after = room.heard(listener);
        assert!(after[3] >= before[3] + 9, "{before:?} {after:?} on {shards} shards");
        assert_eq!(room.world.viewer(listener).slot(3).holes(), 0);
        room.world.viewer(listener).slot(3).assert_continuous();
    }
}

#[test]
fn a_limit_leaves_the_loudest_at_once_and_a_new_voice_still_comes_in_time() {
    for shards in [1, 2] {
        let mut room = Room::new(shards, 17);
        let listener = room.listeners[0];
        (0..PEOPLE).for_each(|person| room.level(person, AUDIBLE));
        room.world.run_ms(100);
        assert_eq!(room.slots_heard(listener, 300), usize::from(SLOTS));
        // Two of those who have slots talk: they stay, with whoever talked last.
        [2, 6].into_iter().for_each(|person| room.level(person, TALK));
        room.world.run_ms(500);
        room.limit(listener, 3);
        room.world.run_ms(20);
        let carried: Vec<_> = room.carried(listener).into_iter().flatten().collect();
        assert_eq!(carried.len(), 3);
        assert!([2, 6].iter().all(|person| carried.contains(&room.people[*person].1)), "{carried:?}");
        assert_eq!(room.slots_heard(listener, 300), 3);

        // Who was sent out is heard again when it talks, as anyone.
        for person in [0, 150] {
            let began = room.world.now;
            room.level(person, TALK);
            room.world.run_ms(200);
            let admitted = room.admitted(listener, person).map(|at| at.since(began));
            assert!(admitted.is_some_and(|after| after <= Duration::from_millis(100)), "{admitted:?}");
            room.level(person, AUDIBLE);
            room.world.run_ms(1500);
            assert_eq!(room.slots_heard(listener, 300), 3);
        }

        // What is watched beyond the limit is heard by the same rule.
        let free = room.carried(listener).iter().position(Option::is_none).expect("a free slot");
        let (quiet, loud) = (room.people[40].1, room.people[2].1);
        room.world.watch(listener, free as u16, Some(quiet), tile(0, 0));
        room.world.run_ms(100);
        assert_eq!(room.slots_heard(listener, 300), 3);
        let events = room.world.events.iter().rev();
        let out = events.clone().find_map(|(_, event)| match event {
            Event::SlotTrack { track: None, out, .. } => Some(*out),
            _ => None,
        });
        assert!(out.is_some_and(|out| out != loud), "{out:?}");
        let unheard = events.filter_map(|(_, event)| match event {
            Event::Stats { session, stats } if *session == room.world.peers[listener].id => {
                Some(stats.unheard)
            }
            _ => None,
        });
        assert!(unheard.take(1).all(|count| usize::from(count) >= PEOPLE - 4), "counted");
    }
}

#[test]
fn what_the_control_plane_changed_before_it_could_hear_of_a_move_stays_as_it_said() {
    let mut room = Room::new(1, 18);
    let listener = room.listeners[0];
    let session = room.world.peers[listener].id;
    // All but the last are sent out; in the same turn one of their slots is given to somebody else, so that who was in
    // it is watched no more.
    (0..7).for_each(|person| room.level(person, TALK));
    room.world.run_ms(500);
    (0..7).for_each(|person| room.level(person, HUM));
    room.world.run_ms(1500);
    let (now, other) = (room.world.now, room.people[120].1);
    let router = &mut room.world.routers[0];
    router.handle_command(now, Command::LimitSession { session, max_bitrate: Bitrate::MAX, max_voices: 7 });
    let watch = Command::Watch { session, slot: SlotId(7), track: Some(other), view: tile(0, 0) };
    router.handle_command(now, watch);
    room.world.run_ms(100);
    room.level(7, TALK);
    room.level(120, TALK);
    room.world.run_ms(500);
    assert_eq!(room.admitted(listener, 7), None, "nobody watches it any more");
    assert!(room.admitted(listener, 120).is_some(), "it was sent out as the least heard, and talks");
}
