//! Lines of signalling, from clients and from servers: what is understood says the same when we write it.

use millrace::signal::message::{ClientLine, Notice, ServerLine, write_notice};

/// One input.
pub fn run(data: &[u8]) {
    if let Ok(line) = ClientLine::parse(data)
        && let Ok(request) = &line.request
    {
        let written = ClientLine::write(line.id, request);
        let text = written.strip_suffix(b"\n").expect("a line");
        assert!(!text.contains(&b'\n'));
        assert_eq!(ClientLine::parse(text).expect("ours"), line);
    }
    let _ = ServerLine::parse(data);
    if let Ok(notice) = serde_json::from_slice::<Notice>(data) {
        let written = write_notice(&notice);
        assert_eq!(serde_json::from_slice::<Notice>(&written).expect("ours"), notice);
    }
}
