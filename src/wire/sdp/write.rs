//! Writing, line by line.

use std::fmt::{Display, Write};

/// A description in the making.
#[derive(Clone, Debug)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// Begins with `v=0` and `o=`, `s=`, `t=` (RFC 8866 section 5).
    pub fn new(id: impl Display, version: impl Display) -> Self {
        let mut writer = Self { text: String::with_capacity(4096) };
        writer.line('v', 0);
        writer.line('o', format_args!("- {id} {version} IN IP4 127.0.0.1"));
        writer.line('s', '-');
        writer.line('t', "0 0");
        writer
    }

    /// Begins without them: a fragment (RFC 8840 section 9).
    pub const fn fragment() -> Self {
        Self { text: String::new() }
    }

    /// One line. A line end inside the value would begin another line, so whatever follows it is left out.
    pub fn line(&mut self, kind: char, value: impl Display) {
        let start = self.text.len();
        // Writing into a string cannot fail.
        let _ = write!(self.text, "{kind}={value}");
        let line = self.text.as_bytes().get(start..).unwrap_or_default();
        if let Some(end) = line.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            self.text.truncate(start + end);
        }
        self.text.push_str("\r\n");
    }

    /// `a=name:value`
    pub fn attribute(&mut self, name: &str, value: impl Display) {
        self.line('a', format_args!("{name}:{value}"));
    }

    /// `a=name`
    pub fn flag(&mut self, name: &str) {
        self.line('a', name);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sdp::Session;

    #[test]
    fn what_is_written_can_be_read() {
        let mut writer = Writer::new(7, 3);
        writer.attribute("group", "BUNDLE 0");
        writer.line('m', "audio 9 UDP/TLS/RTP/SAVPF 111");
        writer.attribute("mid", 0);
        writer.flag("sendonly");
        let text = writer.finish();
        let session = Session::parse(&text).expect("well-formed");
        assert_eq!((session.origin.id, session.origin.version), ("7", "3"));
        assert_eq!(session.media("0").map(|m| m.has("sendonly")), Some(true));
    }

    #[test]
    fn a_value_cannot_begin_another_line() {
        let mut writer = Writer::new(1, 1);
        writer.attribute("mid", "0\r\na=sendrecv");
        assert!(writer.finish().ends_with("\r\na=mid:0\r\n"));
    }
}
