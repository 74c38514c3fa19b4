//! Frames of a WebSocket client (RFC 6455): no panic, progress with every step, and the same data wherever the stream is
//! cut.

use millrace::wire::websocket::{Code, Decoder, Step};

#[derive(Debug, Default, PartialEq)]
struct Got {
    data: Vec<u8>,
    pings: Vec<Vec<u8>>,
    others: Vec<Step>,
    broken: Option<Code>,
}

fn read(stream: &[u8], piece: usize) -> Got {
    let (mut decoder, mut got) = (Decoder::default(), Got::default());
    for bytes in stream.to_vec().chunks_mut(piece) {
        let mut at = 0;
        while at < bytes.len() {
            let (taken, step) = match decoder.step(&mut bytes[at..]) {
                Ok(step) => step,
                Err(code) => {
                    got.broken = Some(code);
                    return got;
                }
            };
            assert!((1..=bytes.len() - at).contains(&taken));
            at += taken;
            match step {
                Step::More => {}
                Step::Data(len) => {
                    assert!((1..=taken).contains(&len));
                    got.data.extend_from_slice(&bytes[at - len..at]);
                }
                Step::Ping => got.pings.push(decoder.control().to_vec()),
                Step::Pong => got.others.push(step),
                Step::Close(code) => {
                    assert!(code.is_none_or(|code| (1000..5000).contains(&code)));
                    got.others.push(step);
                }
            }
        }
    }
    assert!(got.data.len() < stream.len().max(1));
    got
}

/// One input.
pub fn run(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    assert_eq!(read(stream, usize::from(*cut) + 1), read(stream, stream.len().max(1)));
}
