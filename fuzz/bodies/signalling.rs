//! Signalling sessions that say whatever comes, in whatever pieces: two bytes say which of four clients does what, and how
//! long what it says is. `$t`, `$p`, `$s`, `$g`, `$o`, `$a` and `$r` stand for what a client would know: its token, a
//! pin, a viewer's pin, a group, an offer, an answer and what takes its session up again.

use std::time::Duration;

use bytes::Bytes;
use millrace::control::directory::PinRole;
use millrace::control::rights::Preset;
use millrace::signal::lines::Lines;
use millrace::signal::message::{
    Answer, ClientLine, Refusal, Request, SERVER_LINE, Secret, ServerLine, VERSION, write_answer,
};

use super::house::House;

const OFFER: &str = include_str!("../../tests/fixtures/sdp/chromium-offer-vp8-simulcast.sdp");
const ANSWER: &str = include_str!("../../tests/fixtures/sdp/chromium-answer-2v3a.sdp");
const CLIENTS: usize = 4;

/// One input.
pub fn run(data: &[u8]) {
    let Some((preset, mut rest)) = data.split_first() else { return };
    let mut house = House::new(Preset::from_number(u32::from(preset % 3)).expect("a preset"));
    (1..CLIENTS).for_each(|_| house.add_person());
    let mut lines: [Lines; CLIENTS] = Default::default();
    while let [what, len, after @ ..] = rest {
        let who = usize::from(what % CLIENTS as u8);
        let (said, after) =
            after.split_at(if what & 0xe0 == 0xe0 { 0 } else { usize::from(*len).min(after.len()) });
        rest = after;
        match what & 0xf0 {
            0xf0 => house.pass(Duration::from_millis(u64::from(*len) * 200)),
            0xe0 => {
                house.detach(who, len % 2 == 0);
                lines[who] = Lines::default();
            }
            _ => {
                let mut arrived = Bytes::from(known(&house, who, said));
                loop {
                    match lines[who].next(&mut arrived) {
                        Ok(Some(line)) if hear(&mut house, who, &line) => {}
                        Ok(None) => break,
                        _ => {
                            house.detach(who, true);
                            lines[who] = Lines::default();
                            break;
                        }
                    }
                }
            }
        }
    }
    house.end();
}

/// One line; whether the session goes on.
fn hear(house: &mut House, who: usize, line: &[u8]) -> bool {
    let Ok(ClientLine { id, request }) = ClientLine::parse(line) else { return false };
    let signed_in = house.people[who].session.is_some();
    let (answer, goes_on) = match request {
        Err(refusal) => (Err(refusal), signed_in),
        Ok(Request::Hello { v, token, resume }) if !signed_in => {
            sign_in(house, who, v, &token, resume.is_some())
        }
        Ok(_) if !signed_in => (Err(Refusal::new("NOHELLO", "Say hello.")), false),
        Ok(request) => {
            let bye = matches!(request, Request::Bye {});
            (house.ask(who, &request).expect("is signed in"), !bye)
        }
    };
    if let Some(id) = id {
        let line = write_answer(id, &answer);
        assert!(line.len() <= SERVER_LINE && line.ends_with(b"\n"));
        match ServerLine::parse(&line).expect("ours") {
            ServerLine::Answer { re, result } => assert_eq!((re, result.is_ok()), (id, answer.is_ok())),
            other => panic!("{other:?}"),
        }
    }
    goes_on
}

fn sign_in(
    house: &mut House,
    who: usize,
    v: u32,
    token: &Secret,
    resume: bool,
) -> (Result<Answer, Refusal>, bool) {
    // Whoever has another's token is the other.
    let known = house.people.iter().any(|person| person.token == token.0);
    if v != VERSION || token.0 != house.people[who].token {
        let answer = house.state.hello(house.now, super::house::HERE, v, token, None);
        assert!(known || answer.is_err());
        if let Ok((session, _)) = answer {
            house.state.rooms.detach(house.now.instant, session.attachment, true);
        }
        return (Err(Refusal::new("AUTHFAIL", "That is somebody else.")), false);
    }
    let answer = house.hello(who, resume);
    let goes_on = answer.is_ok();
    (answer, goes_on)
}

/// What was said, with what the client knows in place of its signs.
fn known(house: &House, who: usize, said: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(said.len());
    let mut rest = said;
    let gid = house.gids[0];
    let pin = |role| house.state.directory.group(gid).map_or("", |group| group.pin(role)).to_owned();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let person = &house.people[who];
        let known = match (first, after.first()) {
            (b'$', Some(b't')) => person.token.clone(),
            (b'$', Some(b'p')) => pin(PinRole::Participant),
            (b'$', Some(b's')) => pin(PinRole::Viewer),
            (b'$', Some(b'g')) => gid.to_string(),
            (b'$', Some(b'o')) => escaped(OFFER),
            (b'$', Some(b'a')) => escaped(ANSWER),
            (b'$', Some(b'v')) => person.offered.to_string(),
            (b'$', Some(b'r')) => person.resume.clone().unwrap_or_default().0,
            _ => {
                all.push(*first);
                continue;
            }
        };
        all.extend_from_slice(known.as_bytes());
        rest = &after[1..];
    }
    all
}

fn escaped(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n").replace('"', "\\\"")
}
