//! The journal on a disk that was written to by somebody else: opened or refused without a panic, and what was opened is
//! found again. Half of the inputs get right checksums.

use std::fs;
use std::sync::LazyLock;

use millrace::control::store::{JournalStore, Store};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

/// One input.
pub fn run(data: &[u8]) {
    let Some((how, lines)) = data.split_first() else { return };
    let file = FOLDER.path().join("millrace.journal");
    let bytes = if how % 2 == 0 { lines.to_vec() } else { summed(lines) };
    fs::write(&file, bytes).expect("written");
    let Ok(mut store) = JournalStore::open(FOLDER.path()) else { return };
    let Ok(found) = store.load() else { return };
    drop(store);
    let again =
        JournalStore::open(FOLDER.path()).expect("it was opened before").load().expect("it was read before");
    assert_eq!(again, found);
}

/// Each line with its checksum before it.
fn summed(lines: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        all.extend_from_slice(format!("{:08x} ", millrace::fuzzing::checksum(text)).as_bytes());
        all.extend_from_slice(line);
    }
    all
}
