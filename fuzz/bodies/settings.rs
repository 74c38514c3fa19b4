//! Settings: a file, and a command line of one word a line.

use millrace::config::Invocation;
use millrace::fuzzing;

/// One input.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(names) = fuzzing::settings(text) {
        assert!(names <= text.len());
    }
    // A word that names a file would have it read.
    if !text.contains("config") {
        let _ = Invocation::try_from_line(std::iter::once("millrace").chain(text.lines()));
    }
}
