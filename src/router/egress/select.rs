//! Which layer a slot sends: the smallest that fills the tile.

use super::slot::NONE;
use crate::router::command::View;
use crate::router::event::Why;
use crate::units::PictureSize;

/// What there is to choose from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// Its picture size, where known.
    pub(crate) size: Option<PictureSize>,
    /// Whether it arrives.
    pub(crate) live: bool,
}

/// Chooses among `layers`, from the smallest up. [`NONE`] when nothing is to be sent.
pub(crate) fn choose(view: &View, layers: impl Iterator<Item = Choice> + Clone) -> (u8, Why) {
    if !view.active {
        return (NONE, Why::Inactive);
    }
    let live = || layers.clone().enumerate().filter(|(_, l)| l.live);
    let Some((smallest, _)) = live().next() else { return (NONE, Why::Silent) };
    let allowed = |size: Option<PictureSize>| size.is_none_or(|s| within(s, view.cap));
    // Without a size a layer is taken for large enough only when nothing is above it.
    let fills = |size: Option<PictureSize>| size.is_some_and(|s| fills(s, view.tile));
    let wanted = live().find(|(_, l)| fills(l.size)).or_else(|| live().last());
    let Some((wanted, layer)) = wanted else { return (smallest as u8, Why::Source) };
    if allowed(layer.size) {
        return (wanted as u8, if fills(layer.size) { Why::Tile } else { Why::Source });
    }
    let below = live().take_while(|(at, _)| *at < wanted).filter(|(_, l)| allowed(l.size)).last();
    (below.map_or(smallest, |(at, _)| at) as u8, Why::Cap)
}

/// Whether a picture that is shown whole in the tile needs to be enlarged by no more than an eighth.
fn fills(picture: PictureSize, tile: PictureSize) -> bool {
    let enough = |has: u16, wants: u16| u32::from(has) * 9 >= u32::from(wants) * 8;
    enough(picture.width, tile.width) || enough(picture.height, tile.height)
}

/// Whether a picture is within the cap, lying or standing.
fn within(picture: PictureSize, cap: PictureSize) -> bool {
    let sides = |s: PictureSize| (s.width.max(s.height), s.width.min(s.height));
    let ((long, short), (long_cap, short_cap)) = (sides(picture), sides(cap));
    long <= long_cap && short <= short_cap
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: PictureSize = PictureSize::new(u16::MAX, u16::MAX);

    fn layers(sizes: [(u16, u16); 3], live: [bool; 3]) -> [Choice; 3] {
        std::array::from_fn(|at| Choice {
            size: Some(PictureSize::new(sizes[at].0, sizes[at].1)),
            live: live[at],
        })
    }

    fn chosen(tile: (u16, u16), cap: PictureSize, live: [bool; 3]) -> (u8, Why) {
        let view = View { tile: PictureSize::new(tile.0, tile.1), active: true, cap, priority: 1 };
        choose(&view, layers([(320, 180), (640, 360), (1280, 720)], live).into_iter())
    }

    #[test]
    fn the_smallest_that_fills_the_tile() {
        let all = [true; 3];
        assert_eq!(chosen((320, 180), ALL, all), (0, Why::Tile));
        assert_eq!(chosen((320, 320), ALL, all), (0, Why::Tile));
        assert_eq!(chosen((344, 344), ALL, all), (0, Why::Tile));
        assert_eq!(chosen((400, 300), ALL, all), (1, Why::Tile));
        assert_eq!(chosen((1280, 720), ALL, all), (2, Why::Tile));
        assert_eq!(chosen((2560, 1440), ALL, all), (2, Why::Source));
    }

    #[test]
    fn a_layer_that_does_not_arrive_is_not_chosen() {
        assert_eq!(chosen((1280, 720), ALL, [true, true, false]), (1, Why::Source));
        assert_eq!(chosen((320, 180), ALL, [false, true, true]), (1, Why::Tile));
        assert_eq!(chosen((320, 180), ALL, [false; 3]), (NONE, Why::Silent));
    }

    #[test]
    fn never_above_the_cap_when_there_is_a_smaller_one() {
        assert_eq!(chosen((1280, 720), PictureSize::new(640, 360), [true; 3]), (1, Why::Cap));
        assert_eq!(chosen((1280, 720), PictureSize::new(640, 360), [false, false, true]), (2, Why::Cap));
        assert_eq!(chosen((1280, 720), PictureSize::new(16, 16), [true; 3]), (0, Why::Cap));
    }

    #[test]
    fn a_standing_picture_is_measured_by_its_long_side() {
        let view = View {
            tile: PictureSize::new(720, 1280),
            active: true,
            cap: PictureSize::new(1280, 720),
            priority: 1,
        };
        let standing = layers([(180, 320), (360, 640), (720, 1280)], [true; 3]);
        assert_eq!(choose(&view, standing.into_iter()), (2, Why::Tile));
    }

    #[test]
    fn unknown_sizes_are_taken_from_the_top() {
        let view = View { tile: PictureSize::new(320, 180), active: true, cap: ALL, priority: 1 };
        let unknown = [Choice { size: None, live: true }; 2];
        assert_eq!(choose(&view, unknown.into_iter()), (1, Why::Source));
    }
}
