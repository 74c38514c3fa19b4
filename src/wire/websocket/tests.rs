use super::*;

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let opcode = Opcode::of(first).expect("an opcode");
    let (mut head, len) = header(opcode, payload.len());
    (head[0], head[1]) = (first, head[1] | 0x80);
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    head[..len].iter().chain(&mask).copied().chain(masked).collect()
}

/// Everything that a stream brings, cut into pieces of so many bytes: the data of messages, and what else came.
fn read(stream: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<Step>), Code> {
    let (mut decoder, mut data, mut others) = (Decoder::default(), Vec::new(), Vec::new());
    for bytes in stream.to_vec().chunks_mut(piece) {
        let mut at = 0;
        while at < bytes.len() {
            let (taken, step) = decoder.step(&mut bytes[at..])?;
            assert!(taken > 0, "it goes on");
            at += taken;
            match step {
                Step::More => {}
                Step::Data(len) => data.extend_from_slice(&bytes[at - len..at]),
                other => others.push(other),
            }
        }
    }
    Ok((data, others))
}

#[test]
fn the_example_of_the_standard_is_read() {
    // RFC 6455 section 5.7: a masked text message, "Hello".
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&hello, hello.len()), Ok((b"Hello".to_vec(), vec![])));
}

#[test]
fn messages_are_read_wherever_they_are_cut_with_pings_between_their_pieces() {
    let long = vec![b'x'; 70_000];
    let frames = [
        (0x81, &b"one\n"[..]),
        (0x01, b"tw"),
        (0x89, b"are you there"),
        (0x00, b"o"),
        (0x80, b"\n"),
        (0x82, &long),
    ];
    let stream: Vec<u8> = frames.into_iter().flat_map(|(first, payload)| frame(first, payload)).collect();
    let wanted = [b"one\ntwo\n".as_slice(), &long].concat();
    for piece in [1, 2, 3, 7, 126, 4096, stream.len()] {
        assert_eq!(read(&stream, piece), Ok((wanted.clone(), vec![Step::Ping])), "cut every {piece} bytes");
    }
}

#[test]
fn a_ping_is_to_be_answered_with_what_it_says() {
    let mut decoder = Decoder::default();
    let mut ping = frame(0x89, b"are you there");
    assert_eq!(decoder.step(&mut ping), Ok((ping.len(), Step::Ping)));
    assert_eq!(decoder.control(), b"are you there");
}

#[test]
fn a_close_says_why_or_nothing() {
    assert_eq!(read(&frame(0x88, &[]), 1), Ok((vec![], vec![Step::Close(None)])));
    assert_eq!(read(&frame(0x88, b"\x03\xe9gone"), 3), Ok((vec![], vec![Step::Close(Some(1001))])));
    assert_eq!(read(&frame(0x88, b"\x03"), 9), Err(Code::Protocol));
    assert_eq!(read(&frame(0x88, b"\x03\xed"), 9), Err(Code::Protocol), "1005 is never sent");
    assert_eq!(read(&frame(0x88, b"\x03\xe8\xff"), 9), Err(Code::NotText));
}

#[test]
fn what_breaks_the_protocol_is_refused() {
    let unmasked = vec![0x81, 0x01, b'x'];
    let padded = vec![0x81, 0xfe, 0, 5, 0, 0, 0, 0];
    let compressed = frame(0xc1, b"x");
    let unknown = vec![0x83, 0x80, 0, 0, 0, 0];
    let in_pieces = frame(0x09, b"x");
    let long_ping = frame(0x89, &[0; 126]);
    let from_nowhere = frame(0x80, b"x");
    let within = [frame(0x01, b"x"), frame(0x81, b"y")].concat();
    for stream in [unmasked, padded, compressed, unknown, in_pieces, long_ping, from_nowhere, within] {
        assert_eq!(read(&stream, stream.len()), Err(Code::Protocol), "{stream:02x?}");
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_its_header() {
    let (mut head, len) = header(Opcode::Binary, LONGEST as usize + 1);
    head[1] |= 0x80;
    let stream = [&head[..len], &[0; 4]].concat();
    assert_eq!(read(&stream, 1), Err(Code::TooBig));
}

#[test]
fn our_headers_are_as_short_as_can_be() {
    assert_eq!(header(Opcode::Text, 125).0[..2], [0x81, 125]);
    assert_eq!(header(Opcode::Text, 300), ([0x81, 126, 1, 44, 0, 0, 0, 0, 0, 0], 4));
    assert_eq!(header(Opcode::Pong, 0x1_0000), ([0x8a, 127, 0, 0, 0, 0, 0, 1, 0, 0], 10));
}
