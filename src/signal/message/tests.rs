use super::*;

fn request(text: &str) -> Result<Request, Refusal> {
    ClientLine::parse(text.as_bytes()).expect("a JSON object").request
}

#[test]
fn a_request_carries_its_id_and_unknown_members_are_ignored() {
    let line = ClientLine::parse(br#"{"t":"join","id":7,"gid":1000,"pin":"00001234","later":[1]}"#);
    let expected = Request::Join { gid: Gid(1000), pin: Some(Secret("00001234".into())) };
    assert_eq!(line, Ok(ClientLine { id: Some(7), request: Ok(expected) }));
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let Ok(Request::Watch(watch)) = request(r#"{"t":"watch","gid":1000,"uid":3,"sid":0}"#) else {
        panic!("a watch")
    };
    assert!(watch.audio && watch.video && watch.visible && watch.priority == 1);
    let Ok(Request::Publish(publish)) = request(r#"{"t":"publish","gids":[1000],"sid":0,"sdp":""}"#) else {
        panic!("a publish")
    };
    assert!(publish.source == 1 && publish.layers.is_empty() && !publish.muted.audio);
}

#[test]
fn a_pin_may_be_a_number() {
    let pin = Some(Secret("00001234".into()));
    assert_eq!(request(r#"{"t":"join","gid":1000,"pin":1234}"#), Ok(Request::Join { gid: Gid(1000), pin }));
}

#[test]
fn an_unknown_message_and_a_wrong_member_are_told_apart() {
    assert_eq!(request(r#"{"t":"dance"}"#).map_err(|r| r.error), Err("BADOP".to_owned()));
    assert_eq!(request(r#"{"t":"join"}"#).map_err(|r| r.error), Err("BADARG".to_owned()));
}

#[test]
fn only_an_object_with_a_whole_id_is_a_line() {
    for line in ["", "7", "[]", "{", r#"{"t":"bye","id":"x"}"#, r#"{"t":"bye","id":-1}"#] {
        assert_eq!(ClientLine::parse(line.as_bytes()), Err(BadLine), "{line}");
    }
}

#[test]
fn requests_and_answers_survive_the_wire() {
    let watch = Request::Unwatch(StreamRef { gid: Gid(1000), uid: Uid(2), sid: Sid(1) });
    let line = ClientLine::write(Some(3), &watch);
    assert_eq!(line.last(), Some(&b'\n'));
    assert_eq!(ClientLine::parse(&line), Ok(ClientLine { id: Some(3), request: Ok(watch) }));

    let refusal = Refusal::new("BADGROUP", "No.");
    let line = write_answer(3, &Err(refusal.clone()));
    assert_eq!(ServerLine::parse(&line), Ok(ServerLine::Answer { re: 3, result: Err(refusal) }));
    let line = write_answer(4, &Ok(Answer::Done {}));
    assert_eq!(line, b"{\"re\":4}\n");
}

#[test]
fn notices_look_as_documented() {
    let slot = Slot {
        mid: "0".into(),
        kind: MediaKind::Video,
        stream: StreamRef { gid: Gid(1000), uid: Uid(2), sid: Sid(0) },
    };
    let line = write_notice(&Notice::Slots { slots: vec![slot] });
    let text = r#"{"t":"slots","slots":[{"mid":"0","kind":"video","gid":1000,"uid":2,"sid":0}]}"#;
    assert_eq!(String::from_utf8_lossy(&line).trim_end(), text);
    let line = write_notice(&Notice::Error(Refusal::new("TOOFAST", "Slower.")));
    assert_eq!(line, b"{\"t\":\"error\",\"error\":\"TOOFAST\",\"text\":\"Slower.\"}\n");
    assert!(matches!(ServerLine::parse(&line), Ok(ServerLine::Notice(Notice::Error(_)))));
    assert_eq!(ServerLine::parse(br#"{"t":"confetti"}"#), Ok(ServerLine::Unknown));
}

#[test]
fn a_token_stays_out_of_the_log() {
    let hello = request(r#"{"t":"hello","v":1,"token":"abcdef"}"#);
    assert!(!format!("{hello:?}").contains("abcdef"));
}
