//! Who follows picks what it is sent of the picture.

use super::*;
use crate::router::command::View;
use crate::router::id::LayerId;
use crate::units::PictureSize;
use crate::wire::payload::Codec;

const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

/// A publisher of three encodings that arrive, and who follows it.
fn following() -> (House, LinkId) {
    let mut house = House::new();
    house.publisher(1);
    let wish = include_str!("../../../../tests/fixtures/sdp/chromium-offer-default.sdp");
    let wish = wish.replace("a=sendonly", "a=recvonly");
    let follow = Follow { gid: ROOM, uid: None, sid: None };
    let link = house.rooms.attend(house.now, identity(2), Some(follow)).expect("a link");
    house.join(link, ROOM, VIEWER);
    house.rooms.view(house.now, link, &wish).expect("an answer");
    let session = house.viewing(link);
    house.claim(session);
    house.forget_all();
    (house, link)
}

fn arrive(house: &mut House) {
    let stream = StreamId { uid: Uid(1), sid: CAMERA };
    let track = house.rooms.streams.get(&stream).and_then(|published| published.video).expect("a picture");
    let sizes = (0..).map(LayerId).zip(SIZES.map(|(width, height)| Some(PictureSize::new(width, height))));
    house.event(Event::TrackLive { track, codec: Codec::Vp8, layers: sizes.collect() });
}

/// The views that the shard was told since.
fn views(house: &mut House) -> Vec<View> {
    let told = commands(house.done()).into_iter();
    let views = told.filter_map(|command| match command {
        Command::SetView { view, .. } => Some(view),
        _ => None,
    });
    views.collect()
}

fn encoding(name: &str) -> Pick {
    Pick { encoding: Some(name.to_owned()), most: None }
}

#[test]
fn the_encoding_that_is_picked_fills_its_tile_and_nothing_larger_comes() {
    let (mut house, link) = following();
    assert_eq!(refused(house.rooms.pick(house.now, link, &encoding("h"))), "NOSTREAM", "of no known size");
    arrive(&mut house);
    house.rooms.pick(house.now, link, &encoding("h")).expect("picks");
    let [view] = views(&mut house)[..] else { panic!("one view") };
    assert_eq!((view.tile, view.cap), (PictureSize::new(640, 360), PictureSize::new(640, 360)));
    // The same again changes nothing; none in particular, whatever there is.
    house.rooms.pick(house.now, link, &encoding("h")).expect("picks");
    assert_eq!(views(&mut house), []);
    house.rooms.pick(house.now, link, &Pick::default()).expect("picks");
    let [view] = views(&mut house)[..] else { panic!("one view") };
    assert!(view.tile.area() > 1280 * 720 && PictureSize::new(1280, 720).is_within(view.cap), "{view:?}");
    assert_eq!(refused(house.rooms.pick(house.now, link, &encoding("x"))), "UNPROCESSABLE");
}

#[test]
fn a_largest_size_goes_with_the_largest_that_rights_allow() {
    let (mut house, link) = following();
    arrive(&mut house);
    let most = Some(PictureSize::new(u16::MAX, 400));
    house.rooms.pick(house.now, link, &Pick { encoding: None, most }).expect("picks");
    let [view] = views(&mut house)[..] else { panic!("one view") };
    let let_through = SIZES.map(|(width, height)| PictureSize::new(width, height).is_within(view.cap));
    assert_eq!(let_through, [true, true, false], "{view:?}");
    // An encoding that is larger than that is not let through either.
    let pick = Pick { encoding: Some("f".to_owned()), most: Some(PictureSize::new(640, 640)) };
    house.rooms.pick(house.now, link, &pick).expect("picks");
    let [view] = views(&mut house)[..] else { panic!("one view") };
    assert!(!PictureSize::new(1280, 720).is_within(view.cap), "{view:?}");
}

#[test]
fn what_is_shown_is_told_with_the_names_of_its_encodings() {
    let (mut house, link) = following();
    arrive(&mut house);
    let shown = house.rooms.look(house.now, link).expect("something");
    let told: Vec<_> = shown.encodings.iter().map(|e| (e.name.as_str(), e.size.map(|s| s.width))).collect();
    assert_eq!(told, [("q", Some(320)), ("h", Some(640)), ("f", Some(1280))]);
    assert_eq!(shown.viewers, 1);
    let publisher = house.rooms.streams.get(&StreamId { uid: Uid(1), sid: CAMERA }).expect("it").link;
    house.rooms.bye(house.now, publisher);
    assert_eq!(house.rooms.look(house.now, link), None);
    assert_eq!(refused(house.rooms.pick(house.now, link, &Pick::default())), "NOSTREAM");
}
