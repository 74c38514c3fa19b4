//! Two hundred people in a room: each hears the few who talk, a new voice at once, and all know who leads.

use std::collections::HashSet;

use millrace::router::command::Command;
use millrace::router::event::Event;
use millrace::router::id::TrackId;
use millrace::units::{Duration, Instant};

use crate::sim::network::Link;
use crate::sim::{World, tile};

const PEOPLE: usize = 200;
/// Audio slots of a listener.
const SLOTS: u16 = 8;
/// -dBov of a room in which nobody talks, of one who does, and of one that nobody could hear.
const HUM: u8 = 65;
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
            Event::SlotTrack { session, track, .. } if *session == id && *track == self.people[person].1 => {
                Some(*at)
            }
            _ => None,
        })
    }

    fn talking(&self) -> Vec<(Instant, &[TrackId])> {
        let told = self.world.events.iter().filter_map(|(at, event)| match event {
            Event::Talking(who) => Some((*at, &who[..])),
            _ => None,
        });
        told.collect()
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
    let mut room = Room::new(1, 12);
    let speakers: Vec<_> = (0..20).map(|n| 50 + n * 7).collect();
    for person in &speakers {
        room.level(*person, TALK);
        room.world.run_ms(1500);
        room.level(*person, HUM);
    }
    room.world.run_ms(1000);
    for listener in room.listeners.clone() {
        // What the slots carry now: those who talked last.
        let id = room.world.peers[listener].id;
        let mut carried = vec![None; usize::from(SLOTS)];
        for (_, event) in &room.world.events {
            if let Event::SlotTrack { session, slot, track } = event
                && *session == id
            {
                carried[usize::from(slot.0)] = Some(*track);
            }
        }
        let last: HashSet<_> = speakers.iter().rev().take(8).map(|p| Some(room.people[*p].1)).collect();
        assert_eq!(carried.into_iter().collect::<HashSet<_>>(), last);
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

#[test]
fn the_dominant_speaker_is_named_within_a_second() {
    let mut room = Room::new(1, 14);
    room.level(30, TALK);
    room.world.run_ms(4000);
    for (before, person) in [(30, 31), (31, 120), (120, 5)] {
        let began = room.world.now;
        room.level(person, TALK);
        room.level(before, HUM);
        room.world.run_ms(3000);
        let track = room.people[person].1;
        let named = room.talking().into_iter().find(|(at, who)| *at >= began && who.first() == Some(&track));
        let after = named.map(|(at, _)| at.since(began));
        assert!(after.is_some_and(|after| after <= Duration::from_secs(1)), "{person}: {after:?}");
    }
}

#[test]
fn a_word_in_between_does_not_take_the_lead() {
    let mut room = Room::new(1, 15);
    room.level(30, TALK);
    room.world.run_ms(4000);
    let began = room.world.now;
    room.level(60, TALK - 10);
    room.world.run_ms(400);
    room.level(60, HUM);
    room.world.run_ms(3000);
    let lead = room.people[30].1;
    let since = room.talking().into_iter().filter(|(at, _)| *at >= began);
    assert!(since.into_iter().all(|(_, who)| who.first() == Some(&lead)));
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
