//! Which layer a slot sends: the smallest that fills the tile.

use crate::router::command::View;
use crate::router::event::Why;
use crate::router::target::Rung;
use crate::units::PictureSize;

/// The best of a track's rungs for a view, and why no better one; `None` if there are none.
pub(crate) fn choose(view: &View, rungs: &[Rung]) -> Option<(usize, Why)> {
    let allowed = |rung: &Rung| rung.size.is_none_or(|s| s.is_within(view.cap));
    // Without a size a rung is taken for large enough only when nothing is above it.
    let fills = |rung: &Rung| rung.size.is_some_and(|s| fills(s, view.tile));
    // Of the smallest size that fills the tile, all there is.
    let filling = rungs.iter().find(|r| fills(r)).map(|r| r.size);
    let wanted = rungs.iter().rposition(|r| filling.is_none_or(|size| r.size == size))?;
    let rung = rungs.get(wanted)?;
    Some(match allowed(rung) {
        true if fills(rung) => (wanted, Why::Tile),
        true => (wanted, Why::Source),
        false => (rungs.iter().take(wanted).rposition(allowed).unwrap_or(0), Why::Cap),
    })
}

/// Whether a picture that is shown whole in the tile needs to be enlarged by no more than an eighth.
fn fills(picture: PictureSize, tile: PictureSize) -> bool {
    let enough = |has: u16, wants: u16| u32::from(has) * 9 >= u32::from(wants) * 8;
    enough(picture.width, tile.width) || enough(picture.height, tile.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::target::{Target, guessed_rate};

    const ALL: PictureSize = PictureSize::new(u16::MAX, u16::MAX);

    fn rungs(sizes: [(u16, u16); 3], live: [bool; 3]) -> Vec<Rung> {
        let live = (0..3).filter(|at| live[usize::from(*at)]);
        live.map(|at| {
            let (width, height) = sizes[usize::from(at)];
            let size = Some(PictureSize::new(width, height));
            Rung { target: Target::whole(at), size, rate: guessed_rate(size, at), opening: 0 }
        })
        .collect()
    }

    /// The layer, and why.
    fn chosen(tile: (u16, u16), cap: PictureSize, live: [bool; 3]) -> Option<(u8, Why)> {
        let view = View { tile: PictureSize::new(tile.0, tile.1), active: true, cap, priority: 1 };
        let rungs = rungs([(320, 180), (640, 360), (1280, 720)], live);
        choose(&view, &rungs).map(|(at, why)| (rungs[at].target.layer, why))
    }

    #[test]
    fn the_smallest_that_fills_the_tile() {
        let all = [true; 3];
        assert_eq!(chosen((320, 180), ALL, all), Some((0, Why::Tile)));
        assert_eq!(chosen((320, 320), ALL, all), Some((0, Why::Tile)));
        assert_eq!(chosen((344, 344), ALL, all), Some((0, Why::Tile)));
        assert_eq!(chosen((400, 300), ALL, all), Some((1, Why::Tile)));
        assert_eq!(chosen((1280, 720), ALL, all), Some((2, Why::Tile)));
        assert_eq!(chosen((2560, 1440), ALL, all), Some((2, Why::Source)));
    }

    #[test]
    fn a_layer_that_does_not_arrive_is_not_chosen() {
        assert_eq!(chosen((1280, 720), ALL, [true, true, false]), Some((1, Why::Source)));
        assert_eq!(chosen((320, 180), ALL, [false, true, true]), Some((1, Why::Tile)));
        assert_eq!(chosen((320, 180), ALL, [false; 3]), None);
    }

    #[test]
    fn never_above_the_cap_when_there_is_a_smaller_one() {
        assert_eq!(chosen((1280, 720), PictureSize::new(640, 360), [true; 3]), Some((1, Why::Cap)));
        assert_eq!(
            chosen((1280, 720), PictureSize::new(640, 360), [false, false, true]),
            Some((2, Why::Cap))
        );
        assert_eq!(chosen((1280, 720), PictureSize::new(16, 16), [true; 3]), Some((0, Why::Cap)));
    }

    #[test]
    fn a_standing_picture_is_measured_by_its_long_side() {
        let view = View {
            tile: PictureSize::new(720, 1280),
            active: true,
            cap: PictureSize::new(1280, 720),
            priority: 1,
        };
        let standing = rungs([(180, 320), (360, 640), (720, 1280)], [true; 3]);
        assert_eq!(choose(&view, &standing), Some((2, Why::Tile)));
    }

    #[test]
    fn unknown_sizes_are_taken_from_the_top() {
        let view = View { tile: PictureSize::new(320, 180), active: true, cap: ALL, priority: 1 };
        let unknown = [0, 1].map(|at| Rung {
            target: Target::whole(at),
            size: None,
            rate: guessed_rate(None, at),
            opening: 0,
        });
        assert_eq!(choose(&view, &unknown), Some((1, Why::Source)));
    }
}
