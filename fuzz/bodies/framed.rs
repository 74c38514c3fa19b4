//! Packets on a stream (RFC 4571): wherever it is cut, the same packets are found, none longer than may be.

use millrace::wire::framed::{Decoder, LONGEST, TooLong, header};

/// What is found in a stream that comes in pieces of so many bytes, and whether it broke.
fn read(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Result<(), TooLong>) {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for bytes in stream.to_vec().chunks_mut(piece) {
        let went = decoder.take(bytes, &mut |packet| found.push(packet.to_vec()));
        if went.is_err() {
            return (found, went);
        }
    }
    (found, Ok(()))
}

/// One input.
pub fn run(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let (found, went) = read(stream, stream.len().max(1));
    assert!(found.iter().all(|packet| (1..=LONGEST).contains(&packet.len())));
    assert_eq!(read(stream, usize::from(*cut) + 1), (found.clone(), went));
    // What was found, framed by our own writer, is the stream without its empty packets and its end.
    let again: Vec<u8> = found
        .iter()
        .flat_map(|packet| [&header(packet.len()).expect("a length")[..], packet].concat())
        .collect();
    assert_eq!(read(&again, 7), (found, Ok(())));
}
