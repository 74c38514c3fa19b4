//! Frames of WebSocket (RFC 6455 section 5), the server's side, without extensions. A message's payload is handed on as it
//! comes, frame by frame, so nothing is gathered and no message is too long; a frame is.

#[cfg(test)]
mod tests;

/// The longest frame of data.
pub const LONGEST: u64 = 256 * 1024;
/// The longest payload of a control frame (section 5.5).
const CONTROL: usize = 125;
/// The longest header that a client's frame has: two bytes, a length of eight, a mask of four.
const HEAD: usize = 14;
/// The longest header of ours.
pub const HEADER: usize = 10;

/// What a frame is (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// A message in UTF-8 begins.
    Text = 1,
    /// A message of bytes begins.
    Binary = 2,
    /// The end.
    Close = 8,
    /// To be answered.
    Ping = 9,
    /// The answer.
    Pong = 10,
}

impl Opcode {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte & 15 {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// Why a stream ends, as a close frame says it (section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// All is done.
    Normal = 1000,
    /// The client broke the protocol.
    Protocol = 1002,
    /// A reason that is not UTF-8.
    NotText = 1007,
    /// A rule of ours was broken.
    Policy = 1008,
    /// A frame that is too long.
    TooBig = 1009,
}

/// What some bytes brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    More,
    /// Payload of a message, unmasked: the last so many of the bytes that were taken.
    Data(usize),
    /// A ping; [`Decoder::control`] is what to answer with.
    Ping,
    /// A pong.
    Pong,
    /// The client is done, and why, if it says so.
    Close(Option<u16>),
}

/// Reads the frames of a client.
#[derive(Debug)]
pub struct Decoder {
    head: [u8; HEAD],
    /// Bytes of the header that came.
    had: usize,
    /// What of the frame's payload is to come; meaningful once the header is whole.
    left: u64,
    mask: [u8; 4],
    control: [u8; CONTROL],
    held: usize,
    /// The frame whose payload is coming.
    frame: Option<Opcode>,
    /// Whether a message was begun and not ended.
    within: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            head: [0; HEAD],
            had: 0,
            left: 0,
            mask: [0; 4],
            control: [0; CONTROL],
            held: 0,
            frame: None,
            within: false,
        }
    }
}

impl Decoder {
    /// Takes some of `bytes` from their beginning, at least one where there is any: how many, and what they brought.
    pub fn step(&mut self, bytes: &mut [u8]) -> Result<(usize, Step), Code> {
        let mut taken = 0;
        while self.frame.is_none() {
            let Some(byte) = bytes.get(taken) else { return Ok((taken, Step::More)) };
            taken += 1;
            self.read_head(*byte)?;
        }
        let Some(frame) = self.frame else { return Ok((taken, Step::More)) };
        let rest = bytes.get_mut(taken..).unwrap_or_default();
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
        let payload = rest.get_mut(..here).unwrap_or_default();
        for (byte, mask) in payload.iter_mut().zip(self.mask.iter().cycle()) {
            *byte ^= mask;
        }
        self.mask.rotate_left(here % 4);
        self.left -= here as u64;
        taken += here;
        if frame.is_control()
            && let Some(room) = self.control.get_mut(self.held..self.held + here)
        {
            room.copy_from_slice(payload);
            self.held += here;
        }
        if self.left > 0 && (frame.is_control() || here == 0) {
            return Ok((taken, Step::More));
        }
        if self.left == 0 {
            self.frame = None;
        }
        let step = match frame {
            Opcode::Ping => Step::Ping,
            Opcode::Pong => Step::Pong,
            Opcode::Close => Step::Close(self.reason()?),
            Opcode::Continuation | Opcode::Text | Opcode::Binary if here == 0 => Step::More,
            Opcode::Continuation | Opcode::Text | Opcode::Binary => Step::Data(here),
        };
        Ok((taken, step))
    }

    /// The payload of the last ping.
    pub fn control(&self) -> &[u8] {
        self.control.get(..self.held).unwrap_or_default()
    }

    fn read_head(&mut self, byte: u8) -> Result<(), Code> {
        if let Some(room) = self.head.get_mut(self.had) {
            *room = byte;
            self.had += 1;
        }
        let [first, second, long @ ..] = self.head;
        if self.had < 2 {
            return Ok(());
        }
        // No extension was agreed on, so these bits mean nothing; a client masks (section 5.1).
        if first & 0x70 != 0 || second & 0x80 == 0 {
            return Err(Code::Protocol);
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.had < 2 + extended + 4 {
            return Ok(());
        }
        let read = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let (length, mask) = long.split_at_checked(extended).ok_or(Code::Protocol)?;
        let len = match extended {
            0 => u64::from(second & 0x7f),
            _ => read(length),
        };
        // "the minimal number of bytes MUST be used" (section 5.2).
        if (extended == 2 && len < 126) || (extended == 8 && len <= 0xffff) {
            return Err(Code::Protocol);
        }
        let opcode = Opcode::of(first).ok_or(Code::Protocol)?;
        let last = first & 0x80 != 0;
        if opcode.is_control() {
            // Section 5.5: short, and in one piece.
            if !last || len > CONTROL as u64 {
                return Err(Code::Protocol);
            }
            self.held = 0;
        } else {
            // Section 5.4: a message's pieces follow each other.
            if self.within != (opcode == Opcode::Continuation) {
                return Err(Code::Protocol);
            }
            self.within = !last;
        }
        if len > LONGEST {
            return Err(Code::TooBig);
        }
        self.mask = mask.first_chunk().copied().unwrap_or_default();
        (self.left, self.had, self.frame) = (len, 0, Some(opcode));
        Ok(())
    }

    /// What a close frame says (sections 5.5.1 and 7.4).
    fn reason(&self) -> Result<Option<u16>, Code> {
        match self.control() {
            [] => Ok(None),
            [high, low, text @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(Code::Protocol);
                }
                std::str::from_utf8(text).map(|_| Some(code)).map_err(|_| Code::NotText)
            }
            _ => Err(Code::Protocol),
        }
    }
}

/// The header of a whole frame of ours, which is not masked, and its length.
pub const fn header(opcode: Opcode, len: usize) -> ([u8; HEADER], usize) {
    let mut head = [0x80 | opcode as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let [.., a, b, c, d, e, f, g, h] = (len as u64).to_be_bytes();
    let long = match len {
        0..126 => {
            head[1] = h;
            2
        }
        126..0x1_0000 => {
            (head[1], head[2], head[3]) = (126, g, h);
            4
        }
        _ => {
            head = [head[0], 127, a, b, c, d, e, f, g, h];
            HEADER
        }
    };
    (head, long)
}
