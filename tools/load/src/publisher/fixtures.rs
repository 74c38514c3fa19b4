//! The encoded media that comes along (`media/`, made by `media/make.py`).

use std::sync::LazyLock;

use super::Video;

/// Frames of a picture in three sizes, or of sound.
type Frames = Vec<&'static [u8]>;

/// One encoding: its frames, the first of them a keyframe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixture {
    frames: &'static [&'static [u8]],
    video: Video,
}

impl Fixture {
    /// Layer 0 to 2, from the smallest.
    pub(super) fn of(video: Video, layer: usize) -> Self {
        static VP8: LazyLock<[Frames; 3]> = LazyLock::new(|| {
            [
                frames(include_bytes!("../../media/vp8-q.ivf")),
                frames(include_bytes!("../../media/vp8-h.ivf")),
                frames(include_bytes!("../../media/vp8-f.ivf")),
            ]
        });
        static H264: LazyLock<[Frames; 3]> = LazyLock::new(|| {
            [
                frames(include_bytes!("../../media/h264-q.ivf")),
                frames(include_bytes!("../../media/h264-h.ivf")),
                frames(include_bytes!("../../media/h264-f.ivf")),
            ]
        });
        let all: &'static [Frames; 3] = match video {
            Video::H264 => &H264,
            Video::Vp8 | Video::Packets => &VP8,
        };
        Self { frames: &all[layer.min(2)], video }
    }

    /// The frame after frame number `last`, and its number; the keyframe has 0.
    pub(super) fn next(&self, last: Option<usize>, key: bool) -> (usize, &'static [u8]) {
        let number = match last {
            Some(last) if !key => last + 1,
            _ => 0,
        };
        let wrapped = match self.video {
            // All others are predicted from the keyframe alone, so they can go round for ever.
            Video::Vp8 | Video::Packets if number > 0 => 1 + (number - 1) % (self.frames.len() - 1),
            _ => number % self.frames.len(),
        };
        (wrapped, self.frames[wrapped])
    }

    /// Whether a frame may be left out without harm to others.
    pub(super) fn may_be_left_out(&self) -> bool {
        self.video == Video::Vp8
    }

    /// Its rate at so many frames a second, in bit/s.
    pub(super) fn rate(&self, fps: f64) -> f64 {
        let bytes: usize = self.frames.iter().skip(1).map(|frame| frame.len()).sum();
        bytes as f64 * 8.0 * fps / (self.frames.len() - 1) as f64
    }
}

/// A frame of sound, of 20 ms.
pub(super) fn sound(number: u64) -> &'static [u8] {
    static OPUS: LazyLock<Frames> = LazyLock::new(|| frames(include_bytes!("../../media/opus.ivf")));
    OPUS[(number % OPUS.len() as u64) as usize]
}

/// The frames of an IVF file.
fn frames(file: &'static [u8]) -> Frames {
    let mut rest = file.get(32..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some((head, body)) = rest.split_first_chunk::<12>() {
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some((frame, next)) = body.split_at_checked(len) else { break };
        frames.push(frame);
        rest = next;
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_begins_with_its_keyframe_and_goes_on_for_ever() {
        for video in [Video::Vp8, Video::H264] {
            for layer in 0..3 {
                let fixture = Fixture::of(video, layer);
                let (first, key) = fixture.next(None, false);
                assert_eq!(first, 0);
                let is_key = match video {
                    Video::H264 => key.starts_with(&[0, 0, 0, 1, 0x67]),
                    _ => key[0] & 1 == 0 && key[3..6] == [0x9d, 0x01, 0x2a],
                };
                assert!(is_key, "{video:?} {layer}");
                let mut last = first;
                for _ in 0..100 {
                    let (number, frame) = fixture.next(Some(last), false);
                    assert!(!frame.is_empty());
                    assert!(video == Video::H264 || number > 0, "no keyframe that nobody asked for");
                    last = number;
                }
                assert_eq!(fixture.next(Some(last), true).0, 0);
            }
        }
    }

    #[test]
    fn larger_pictures_have_higher_rates() {
        let rate = |layer| Fixture::of(Video::Vp8, layer).rate(25.0);
        assert!(rate(0) > 50e3 && rate(0) * 2.0 < rate(1) && rate(1) * 2.0 < rate(2) && rate(2) < 2e6);
    }

    #[test]
    fn sound_is_one_frame_in_each_packet() {
        assert!((0..100).all(|n| sound(n)[0] & 3 == 0));
    }
}
