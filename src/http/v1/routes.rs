//! The table of what there is: the one place that says which request leads where.

use http::Method;
use serde_json::Value;

use super::page::{CURSOR, LIMIT};
use super::problem::{Problem, Sort};
use super::shape::{Field, Object, Shape, Wrong};
use super::{Handler, apps, groups, live, members, messages, node, pins, recorder, shown, summary, users};

/// What a successful answer brings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Brings {
    /// 200 and an object.
    One(&'static Shape),
    /// 200 and a page of objects.
    Page(&'static Shape),
    /// 201 and the object that was made; the flag: with its `Location`.
    Made(&'static Shape, bool),
    /// 200 or 201: it was there, or was made.
    Put(&'static Shape),
    /// 204 and nothing.
    Nothing,
    /// 200 and headers of packets.
    Capture,
}

/// One operation.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Its name in the OpenAPI document.
    pub(super) id: &'static str,
    pub(super) about: &'static str,
    pub(super) query: &'static [Field],
    pub(super) body: Option<&'static Shape>,
    pub(super) brings: Brings,
    /// Whether it is a version of something that can be changed: `ETag`, and `If-Match` where it changes.
    pub(super) tagged: bool,
    /// Whether it needs what the server says of itself.
    pub(super) reports: bool,
    /// Whether it is for who runs the server alone.
    pub(super) of_server: bool,
    pub(super) run: Handler,
}

const fn route(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    about: &'static str,
    brings: Brings,
    run: Handler,
) -> Route {
    Route {
        method,
        path,
        id,
        about,
        query: &[],
        body: None,
        brings,
        tagged: false,
        reports: false,
        of_server: false,
        run,
    }
}

impl Route {
    const fn takes(self, body: &'static Shape) -> Self {
        Self { body: Some(body), ..self }
    }

    const fn asks(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }

    const fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    const fn reports(self) -> Self {
        Self { reports: true, ..self }
    }

    const fn of_server(self) -> Self {
        Self { of_server: true, ..self }
    }
}

const PAGE: &[Field] = &[CURSOR, LIMIT];
const GROUPS: &str = "/v1/groups";
const GROUP: &str = "/v1/groups/{gid}";
const PINS: &str = "/v1/groups/{gid}/pins";
const PIN: &str = "/v1/groups/{gid}/pins/{pin}";
const MEMBERS: &str = "/v1/groups/{gid}/members";
const MEMBER: &str = "/v1/groups/{gid}/members/{uid}";
const USERS: &str = "/v1/users";
const USER: &str = "/v1/users/{uid}";
const TOKENS: &str = "/v1/users/{uid}/tokens";
const CALLS: &str = "/v1/calls";
const PEOPLE: &str = "/v1/groups/{gid}/participants";
const PERSON: &str = "/v1/groups/{gid}/participants/{uid}";
const SUMMARY: &str = "/v1/groups/{gid}/summary";
const MUTE: &str = "/v1/groups/{gid}/participants/{uid}/mute";
const MOVE: &str = "/v1/groups/{gid}/participants/{uid}/move";
const RECORDER: &str = "/v1/groups/{gid}/participants/{uid}/recorder";
const PCAP: &str = "/v1/groups/{gid}/participants/{uid}/recorder/pcap";
const STREAMS: &str = "/v1/groups/{gid}/streams";
const STREAM: &str = "/v1/groups/{gid}/streams/{uid}/{sid}";
const MESSAGES: &str = "/v1/groups/{gid}/messages";
const APPS: &str = "/v1/apps";
const APP: &str = "/v1/apps/{appid}";
const NODE: &str = "/v1/node";

use Brings::{Capture, Made, Nothing, One, Page, Put};

/// Every operation.
pub(super) static ROUTES: [Route; ROUTE_COUNT] = [
    route(
        "GET",
        GROUPS,
        "listGroups",
        "Lists one's groups: an app's all of its own, the admin token's all there are",
        Page(&groups::GROUP),
        groups::list,
    )
    .asks(groups::QUERY),
    route(
        "POST",
        GROUPS,
        "createGroup",
        "Makes a group, with its two pins",
        Made(&groups::GROUP, true),
        groups::create,
    )
    .takes(&groups::NEW)
    .tagged(),
    route("GET", GROUP, "readGroup", "Shows a group", One(&groups::GROUP), groups::read).tagged(),
    route(
        "PATCH",
        GROUP,
        "changeGroup",
        "Changes a group, also in a running call",
        One(&groups::GROUP),
        groups::patch,
    )
    .takes(&groups::PATCH)
    .tagged(),
    route("DELETE", GROUP, "deleteGroup", "Deletes a group; its call ends for all", Nothing, groups::delete)
        .tagged(),
    route("GET", PINS, "listPins", "Lists a group's pins", Page(&pins::PIN), pins::list).asks(PAGE),
    route("POST", PINS, "createPin", "Adds a pin", Made(&pins::PIN, true), pins::create)
        .takes(&pins::PATCH)
        .tagged(),
    route("GET", PIN, "readPin", "Shows a pin", One(&pins::PIN), pins::read).tagged(),
    route(
        "PATCH",
        PIN,
        "changePin",
        "Changes a pin, for those too who came with it",
        One(&pins::PIN),
        pins::patch,
    )
    .takes(&pins::PATCH)
    .tagged(),
    route("DELETE", PIN, "deletePin", "Removes a pin", Nothing, pins::delete).tagged(),
    route(
        "GET",
        MEMBERS,
        "listMembers",
        "Lists a group's members, with its owner",
        Page(&members::MEMBER),
        members::list,
    )
    .asks(PAGE),
    route("GET", MEMBER, "readMember", "Shows a member", One(&members::MEMBER), members::read).tagged(),
    route(
        "PUT",
        MEMBER,
        "putMember",
        "Makes a user a member, or says anew what is said of one",
        Put(&members::MEMBER),
        members::put,
    )
    .takes(&members::PATCH)
    .tagged(),
    route(
        "PATCH",
        MEMBER,
        "changeMember",
        "Changes what is said of a member",
        One(&members::MEMBER),
        members::patch,
    )
    .takes(&members::PATCH)
    .tagged(),
    route(
        "DELETE",
        MEMBER,
        "deleteMember",
        "Ends a membership, also in a running call",
        Nothing,
        members::delete,
    )
    .tagged(),
    route("GET", USERS, "listUsers", "Lists users", Page(&users::USER), users::list).asks(&[
        CURSOR,
        LIMIT,
        users::ADDRESS,
    ]),
    route("POST", USERS, "createUser", "Makes a user", Made(&users::USER, true), users::create)
        .takes(&users::NEW)
        .tagged(),
    route("GET", USER, "readUser", "Shows a user", One(&users::USER), users::read).tagged(),
    route("PATCH", USER, "changeUser", "Changes a user", One(&users::USER), users::patch)
        .takes(&users::PATCH)
        .tagged(),
    route(
        "DELETE",
        USER,
        "deleteUser",
        "Removes a user, with all groups of that user",
        Nothing,
        users::delete,
    )
    .tagged(),
    route(
        "POST",
        TOKENS,
        "createToken",
        "Makes a token of a user",
        Made(&users::TOKEN, false),
        users::create_token,
    )
    .takes(&users::TOKEN_NEW),
    route(
        "DELETE",
        TOKENS,
        "deleteTokens",
        "Ends all tokens of a user, and the connections",
        Nothing,
        users::delete_tokens,
    ),
    route(
        "GET",
        CALLS,
        "listCalls",
        "Lists the groups with somebody in them",
        Page(&live::CALL),
        live::calls,
    )
    .asks(groups::QUERY),
    route(
        "GET",
        PEOPLE,
        "listParticipants",
        "Lists who is in a group: streams, views, connections",
        Page(&live::PARTICIPANT),
        live::list,
    )
    .asks(PAGE),
    route(
        "GET",
        SUMMARY,
        "listSummaries",
        "Lists who is in a group, a line each, sorted and searched",
        Page(&summary::SUMMARY),
        summary::list,
    )
    .asks(summary::QUERY),
    route(
        "GET",
        PERSON,
        "readParticipant",
        "Shows somebody who is in a group",
        One(&live::PARTICIPANT),
        live::read,
    ),
    route(
        "PATCH",
        PERSON,
        "changeParticipant",
        "Changes limits and rights of somebody who is in a group; it acts at once",
        One(&live::PARTICIPANT),
        live::patch,
    )
    .takes(&live::PATCH),
    route(
        "DELETE",
        PERSON,
        "removeParticipant",
        "Puts somebody out, and ends the membership",
        Nothing,
        live::remove,
    ),
    route(
        "POST",
        MUTE,
        "muteParticipant",
        "Mutes what somebody publishes: it is dropped until that person unmutes it",
        Nothing,
        live::mute,
    )
    .takes(&live::MUTE),
    route("POST", MOVE, "moveParticipant", "Sends somebody to another group", Nothing, live::send_over)
        .takes(&live::MOVE),
    route(
        "GET",
        RECORDER,
        "readRecorder",
        "Shows what happened to somebody's connections of late, and the headers of their packets where they are kept",
        One(&recorder::RECORDER),
        recorder::read,
    )
    .of_server(),
    route(
        "PUT",
        RECORDER,
        "startRecorder",
        "Keeps the headers of the packets of somebody's connections for a while",
        Nothing,
        recorder::start,
    )
    .takes(&recorder::START)
    .of_server(),
    route(
        "DELETE",
        RECORDER,
        "stopRecorder",
        "Keeps no more headers, and forgets those that were kept",
        Nothing,
        recorder::stop,
    )
    .of_server(),
    route(
        "GET",
        PCAP,
        "captureRecorder",
        "Gives the headers that were kept as tcpdump writes them",
        Capture,
        recorder::read_pcap,
    )
    .of_server(),
    route(
        "GET",
        STREAMS,
        "listStreams",
        "Lists what is published in a group",
        Page(&live::STREAM),
        live::streams,
    )
    .asks(PAGE),
    route("GET", STREAM, "readStream", "Shows a stream", One(&live::STREAM), live::read_stream),
    route("DELETE", STREAM, "endStream", "Ends a stream in this group", Nothing, live::end_stream),
    route(
        "GET",
        MESSAGES,
        "listMessages",
        "Lists what was said, the latest first",
        Page(&messages::MESSAGE),
        messages::list,
    )
    .asks(messages::PAGE),
    route(
        "POST",
        MESSAGES,
        "createMessage",
        "Says something",
        Made(&messages::MESSAGE, false),
        messages::create,
    )
    .takes(&messages::NEW),
    route(
        "GET",
        NODE,
        "readNode",
        "Shows the server: health, load, what there is",
        One(&node::NODE),
        node::read,
    )
    .reports()
    .of_server(),
    route(
        "PATCH",
        NODE,
        "changeNode",
        "Lets the server drain, or take people again",
        One(&node::NODE),
        node::patch,
    )
    .takes(&node::PATCH)
    .reports()
    .of_server(),
    route("GET", APPS, "listApps", "Lists apps", Page(&apps::APP), apps::list).asks(PAGE),
    route("POST", APPS, "createApp", "Makes an app, with a secret", Made(&apps::APP, true), apps::create)
        .takes(&apps::NEW)
        .of_server(),
    route("GET", APP, "readApp", "Shows an app", One(&apps::APP), apps::read).tagged(),
    route(
        "PATCH",
        APP,
        "changeApp",
        "Changes an app: the keys of tokens that it signs, and who is told what happens",
        One(&apps::APP),
        apps::patch,
    )
    .takes(&apps::PATCH)
    .tagged(),
];
const ROUTE_COUNT: usize = 45;

/// A route and the values of its path's parameters.
pub(super) struct Found<'a> {
    pub(super) route: &'static Route,
    pub(super) path: Vec<&'a str>,
}

/// The operation that a request asks for.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Result<Found<'a>, Problem> {
    // What can be read can be asked for without its body.
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let mut allowed: Vec<&str> = Vec::new();
    for route in &ROUTES {
        let Some(values) = fits(route.path, path) else { continue };
        if route.method == method {
            return Ok(Found { route, path: values });
        }
        allowed.push(route.method);
    }
    if path == "/v1/openapi.json" {
        allowed.push("GET");
    }
    if allowed.is_empty() {
        return Err(Problem::new(Sort::NotFound, "See /v1/openapi.json for what there is."));
    }
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.push("OPTIONS");
    let allow = allowed.join(", ");
    Err(Problem { allow: Some(allow.clone()), ..Problem::new(Sort::NotAllowed, format!("Use {allow}.")) })
}

/// The parameters of a path that is of this form.
fn fits<'a>(form: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut form, mut path) = (form.split('/'), path.split('/'));
    let mut values = Vec::new();
    loop {
        match (form.next(), path.next()) {
            (None, None) => return Some(values),
            (Some(name), Some(value)) if name.starts_with('{') && !value.is_empty() => values.push(value),
            (Some(word), Some(value)) if word == value => {}
            _ => return None,
        }
    }
}

impl Route {
    /// The parameters of its path.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static Field> {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        names.filter_map(|name| shown::PATH.iter().find(|field| field.name == name))
    }

    /// Whether a body must be there.
    pub(super) fn body_needed(&self) -> bool {
        self.body.is_some_and(|shape| shape.fields.iter().any(|field| field.needed))
    }

    /// The values of a path. What cannot be a name is a name of nothing.
    pub(super) fn read_path(&self, values: &[&str]) -> Result<Vec<Value>, Problem> {
        let read = self.parameters().zip(values).map(|(field, text)| field.read(text));
        let read: Result<Vec<_>, _> = read.collect();
        read.map_err(|wrong| {
            let mut problem = Problem::new(Sort::NotFound, "Nothing can have this name.");
            problem.errors.push(wrong);
            problem
        })
    }

    /// The parameters of a query, or all that is wrong with them.
    pub(super) fn read_query(&self, query: &str) -> Result<Object, Vec<Wrong>> {
        let (mut object, mut wrong) = (Object::new(), Vec::new());
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            let Some(field) = self.query.iter().find(|field| field.name == name) else {
                let known: Vec<&str> = self.query.iter().map(|field| field.name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                wrong.push(Wrong { at: name.into_owned(), detail: format!("is unknown: expected {known}") });
                continue;
            };
            if object.contains_key(field.name) {
                wrong.push(Wrong { at: name.into_owned(), detail: "is given twice".to_owned() });
                continue;
            }
            match field.read(&text) {
                Ok(value) => {
                    object.insert(field.name.to_owned(), value);
                }
                Err(one) => wrong.push(one),
            }
        }
        if wrong.is_empty() { Ok(object) } else { Err(wrong) }
    }

    /// All that is wrong with a body.
    pub(super) fn check_body(&self, body: &Object) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        if let Some(shape) = self.body {
            shape.check(body, "", &mut wrong);
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_is_found() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.id).collect();
        assert_eq!(names.len(), ROUTES.len());
        for route in &ROUTES {
            let path = route.path.replace("{pin}", "12345678").replace(['{', '}'], "");
            let path = path.replace("gid", "1000").replace("uid", "1").replace("sid", "0");
            let method = Method::from_bytes(route.method.as_bytes()).expect("a method");
            let found = find(&method, &path).map_err(|problem| problem.detail).expect("a route");
            assert_eq!(found.route.id, route.id);
            assert_eq!(found.path.len(), route.parameters().count());
            assert!(route.read_path(&found.path).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_and_what_does_nothing_are_told_apart() {
        let problem = |method, path| find(&method, path).map(|_| ()).expect_err("a problem");
        assert_eq!(problem(Method::GET, "/v1/nothing").sort, Sort::NotFound);
        assert_eq!(problem(Method::GET, "/v1/groups/").sort, Sort::NotFound);
        let wrong = problem(Method::PUT, "/v1/groups/1000");
        assert_eq!(wrong.sort, Sort::NotAllowed);
        assert_eq!(wrong.allow.as_deref(), Some("GET, PATCH, DELETE, HEAD, OPTIONS"));
    }
}
