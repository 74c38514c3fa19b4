//! Coordination of video orientation (3GPP TS 26.114 section 7.4.5).

/// How the picture must be turned to stand upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoOrientation {
    /// Whether the camera is on the back of the device.
    pub back_camera: bool,
    /// Whether the picture is mirrored.
    pub mirrored: bool,
    /// Quarter turns clockwise, 0 to 3.
    pub quarter_turns: u8,
}

impl VideoOrientation {
    /// Reads the value of an element.
    pub fn read(value: &[u8]) -> Option<Self> {
        match value {
            [b] | [b, _] => {
                Some(Self { back_camera: b & 8 != 0, mirrored: b & 4 != 0, quarter_turns: b & 3 })
            }
            _ => None,
        }
    }

    /// The value to write.
    pub const fn bytes(self) -> [u8; 1] {
        [(self.back_camera as u8) << 3 | (self.mirrored as u8) << 2 | self.quarter_turns & 3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_the_wire() {
        for byte in 0..16 {
            assert_eq!(VideoOrientation::read(&[byte]).map(VideoOrientation::bytes), Some([byte]));
        }
        assert_eq!(VideoOrientation::read(&[]), None);
    }
}
