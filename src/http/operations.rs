//! REST in operation style: `/api?op=…` (platform API section 3.1).

mod accounts;
mod multipart;
mod shown;

pub(crate) use self::multipart::boundary;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::control::directory::{
    Asker, Directory, Failure, Identity, MemberChanges, Membership, Minted, PinChanges, Settings,
};
use crate::control::ids::Gid;
use crate::control::limits::{Codecs, LimitChanges, MAX_LAYERS, MAX_RESOLUTION, MAX_VOICES};
use crate::control::rights::{Admin, Choice, ChoiceChanges, Override, Preset, Receivers, Say, SayChanges};
use crate::json::object;
use crate::signal::message::Secret;

/// Parameters of the query and of the form; the form's win.
#[derive(Debug, Default)]
pub(crate) struct Parameters(HashMap<String, String>);

/// More than any operation takes.
const PARAMETERS: usize = 64;

impl Parameters {
    /// Adds what `application/x-www-form-urlencoded` bytes hold.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let room = PARAMETERS.saturating_sub(self.0.len());
        self.0.extend(form_urlencoded::parse(bytes).into_owned().take(room));
    }

    /// Adds what a form of `multipart/form-data` holds, whose parts `boundary` divides.
    pub(crate) fn add_parts(&mut self, bytes: &[u8], boundary: &str) {
        let room = PARAMETERS.saturating_sub(self.0.len());
        self.0.extend(multipart::parse(bytes, boundary).into_iter().take(room));
    }

    /// A parameter that is there and not empty.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// A number that is there, or what is wrong with it.
    fn number(&self, name: &str) -> Result<Option<u32>, Refusal> {
        self.text(name).map(|text| text.parse().map_err(|_| Refusal::BadArg)).transpose()
    }

    /// A number up to `most`.
    fn up_to<N: TryFrom<u32> + PartialOrd>(&self, name: &str, most: N) -> Result<Option<N>, Refusal> {
        let number = self.number(name)?;
        number.map(|n| N::try_from(n).ok().filter(|n| *n <= most).ok_or(Refusal::BadArg)).transpose()
    }

    /// Names of codecs, comma separated; `any` takes the limit away.
    fn codecs(&self) -> Result<Option<Codecs>, Refusal> {
        let Some(names) = self.text("codecs") else { return Ok(None) };
        let names = if names.eq_ignore_ascii_case("any") { "" } else { names };
        Codecs::parse(names).map(Some).ok_or(Refusal::BadArg)
    }

    /// 0 or 1.
    fn choice(&self, name: &str) -> Result<Option<bool>, Refusal> {
        Ok(self.up_to(name, 1u8)?.map(|number| number == 1))
    }

    /// What is to be changed of limits; 0 takes one away.
    fn limits(&self) -> Result<LimitChanges, Refusal> {
        Ok(LimitChanges {
            max_publish_kbps: self.number("maxPublishKbps")?,
            max_subscribe_kbps: self.number("maxSubscribeKbps")?,
            max_resolution: self.up_to("maxResolution", MAX_RESOLUTION)?,
            max_voices: self.up_to("maxVoices", MAX_VOICES)?,
            max_fps: self.up_to("maxFps", u8::MAX)?,
            audio_kbps: self.number("audioKbps")?,
            codecs: self.codecs()?,
            max_streams: self.up_to("maxStreams", u8::MAX)?,
            max_subscriptions: self.up_to("maxSubscriptions", u16::MAX)?,
            simulcast_layers: self.up_to("simulcastLayers", MAX_LAYERS)?,
            priority: self.up_to("priority", u8::MAX)?,
        })
    }

    /// To whom the group gives a right: `members`, `selected` or `anyone`.
    fn choose(&self, name: &str) -> Result<Option<Choice>, Refusal> {
        Ok(Some(match self.text(name) {
            None => return Ok(None),
            Some("members") => Choice::Members,
            Some("selected") => Choice::Selected,
            Some("anyone") => Choice::Anyone,
            Some(_) => return Err(Refusal::BadArg),
        }))
    }

    /// What is to be changed of a group's choices. Messages may also be received in `turn`: by one member after the other.
    fn choices(&self) -> Result<ChoiceChanges, Refusal> {
        let receive = match self.text("receive") {
            Some("turn") => Some(Receivers::RoundRobin),
            _ => self.choose("receive")?.map(Receivers::All),
        };
        Ok(ChoiceChanges {
            send: self.choose("send")?,
            receive,
            publish: self.choose("publish")?,
            subscribe: self.choose("subscribe")?,
            list: self.choose("list")?,
        })
    }

    /// What a member may do to others: names of bits, comma separated, or `none`.
    fn admin(&self) -> Result<Option<Admin>, Refusal> {
        let Some(names) = self.text("admin") else { return Ok(None) };
        let mut admin = Admin::NONE;
        for name in names.split(',').map(str::trim).filter(|name| *name != "none") {
            let bit = match name {
                "modify" => &mut admin.modify,
                "pins" => &mut admin.pins,
                "members" => &mut admin.members,
                "moderate" => &mut admin.moderate,
                "remove" => &mut admin.remove,
                _ => return Err(Refusal::BadArg),
            };
            *bit = true;
        }
        Ok(Some(admin))
    }

    /// What is said of the rights: 0, 1, or `inherit`, which leaves one to the group.
    fn rights(&self) -> Result<SayChanges, Refusal> {
        let say = |name| {
            Ok::<_, Refusal>(match self.text(name) {
                None => None,
                Some("inherit") => Some(Say::Unset),
                Some("1") => Some(Say::Allow),
                Some("0") => Some(Say::Deny),
                Some(_) => return Err(Refusal::BadArg),
            })
        };
        Ok(SayChanges {
            send: say("cs")?,
            receive: say("cr")?,
            publish: say("canpub")?,
            subscribe: say("cansub")?,
            list: say("canlist")?,
        })
    }

    /// The same of a member: where one is named, those that are not are unset. `None` if none is.
    fn said(&self) -> Result<Option<Override>, Refusal> {
        let rights = self.rights()?;
        Ok((!rights.is_none()).then(|| Override::default().changed(&rights)))
    }

    /// Seconds from now, as a time; 0 is never.
    fn expires(&self, now: Duration) -> Result<Option<u64>, Refusal> {
        let after = self.number("expiry")?;
        Ok(after.map(|after| if after == 0 { 0 } else { now.as_secs() + u64::from(after) }))
    }

    /// The group that an operation is about; what is no number is no group.
    fn gid(&self) -> Result<Gid, Refusal> {
        self.text("gid")
            .and_then(|text| text.parse().ok())
            .map(Gid)
            .ok_or(Refusal::Directory(Failure::BadGroup))
    }
}

/// A one-time code that is to go to an e-mail address before the answer is given.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) to: String,
    pub(super) code: Secret,
}

/// Why an operation failed, under the names of the API.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    NoOp,
    BadOp,
    BadArg,
    Directory(Failure),
    Unavailable,
    NoMail,
    MailFailed,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Directory(failure)
    }
}

impl Refusal {
    const fn name(self) -> &'static str {
        match self {
            Self::NoOp => "NOOP",
            Self::BadOp => "BADOP",
            Self::BadArg => "BADARG",
            Self::Directory(failure) => failure.name(),
            Self::Unavailable => "UNAVAILABLE",
            Self::NoMail => "NOMAIL",
            Self::MailFailed => "MAILFAILED",
        }
    }
}

pub(super) type Answer = Result<Map<String, Value>, Refusal>;

/// An operation: who asks has a token, whatever it does.
type Operation = fn(&mut Directory, Duration, &Asker, &Parameters) -> Answer;

fn operation(op: &str) -> Option<Operation> {
    Some(match op {
        "setgroup" => set_group,
        "joingroup" => join_group,
        "leavegroup" => leave_group,
        "delgroup" => delete_group,
        "groupeditmembers" => edit_members,
        "addpin" => add_pin,
        "editpin" => edit_pin,
        "removepin" => remove_pin,
        "getpins" => get_pins,
        "getmembers" => get_members,
        "rooms" => rooms,
        "logout" => logout,
        _ => return None,
    })
}

/// Carries out what the parameters ask for.
pub(super) fn run(
    directory: &mut Directory,
    now: Duration,
    from: IpAddr,
    parameters: &Parameters,
    letter: &mut Option<Letter>,
) -> Answer {
    let op = parameters.text("op").ok_or(Refusal::NoOp)?;
    match op {
        "login" => return accounts::login(directory, now, from, parameters, letter),
        "guest" => return guest(directory, now, from, parameters),
        _ => {}
    }
    if let Some(operation) = accounts::operation(op) {
        let appid = accounts::authorize(directory, now, from, parameters)?;
        return operation(directory, now, appid, parameters);
    }
    let operation = operation(op).ok_or(Refusal::BadOp)?;
    let identity = parameters.text("token").and_then(|token| directory.authenticate(now, token));
    let Identity { uid, token, .. } = identity.ok_or(Failure::AuthFail)?;
    operation(directory, now, &Asker { uid, token, from }, parameters)
}

/// The answer as the API has it: every one says `op`, `ts` and `result`, a failure also `error`.
pub(super) fn envelope(parameters: &Parameters, now: Duration, answer: Answer) -> Value {
    let (mut members, error) = match answer {
        Ok(members) => (members, None),
        Err(refusal) => (Map::new(), Some(refusal.name())),
    };
    members.insert("op".to_owned(), json!(parameters.text("op").unwrap_or_default()));
    members.insert("ts".to_owned(), json!(now.as_secs()));
    members.insert("result".to_owned(), json!(if error.is_none() { "OK" } else { "FAIL" }));
    if let Some(error) = error {
        members.insert("error".to_owned(), json!(error));
    }
    Value::Object(members)
}

fn set_group(directory: &mut Directory, now: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    let preset = parameters.number("type")?.map(|number| Preset::from_number(number).ok_or(Refusal::BadArg));
    let settings = Settings {
        name: parameters.text("name").map(str::to_owned),
        preset: preset.transpose()?,
        choices: parameters.choices()?,
        resolution: parameters.up_to("resolution", MAX_RESOLUTION)?,
        limits: parameters.limits()?,
        guests: parameters.choice("guests")?,
        call_flags: parameters.number("callFlags")?,
        expires: parameters.expires(now)?,
        call_duration: parameters.number("callDuration")?,
    };
    // Clients that create send no number, or 0.
    let group = match parameters.text("gid").filter(|text| *text != "0") {
        Some(_) => directory.edit_group(who.uid, parameters.gid()?, &settings)?,
        None => directory.create_group(who.uid, &settings)?,
    };
    // 1 for the owner, even for one who is inside as a viewer at the moment.
    let publish = group.pins.is_some() || group.rights.publish;
    Ok(group_members(&group, publish))
}

fn join_group(directory: &mut Directory, now: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    let group = directory.join_group(now, who, parameters.gid()?, parameters.text("pin"))?;
    Ok(group_members(&group, group.rights.publish))
}

fn leave_group(directory: &mut Directory, _: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    directory.leave_group(who.uid, parameters.gid()?)?;
    Ok(Map::new())
}

fn delete_group(directory: &mut Directory, _: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    directory.delete_group(who.uid, parameters.gid()?)?;
    Ok(Map::new())
}

fn edit_members(directory: &mut Directory, now: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    let gid = parameters.gid()?;
    let addresses = parameters.text("m").unwrap_or_default().split(',').map(str::trim);
    let addresses: Vec<_> = addresses.filter(|address| !address.is_empty()).collect();
    if addresses.is_empty() {
        return Err(Refusal::BadArg);
    }
    if parameters.choice("delete")? == Some(true) {
        directory.remove_members(who.uid, gid, &addresses)?;
        return Ok(Map::new());
    }
    let changes = MemberChanges {
        said: parameters.said()?,
        resolution: parameters.up_to("resolution", MAX_RESOLUTION)?,
        call_flags: parameters.number("callFlags")?,
        expires: parameters.expires(now)?,
        call_duration: parameters.number("callDuration")?,
        limits: parameters.limits()?,
        admin: parameters.admin()?,
    };
    directory.edit_members(who.uid, gid, &addresses, &changes)?;
    Ok(Map::new())
}

fn pin_changes(now: Duration, parameters: &Parameters) -> Result<PinChanges, Refusal> {
    Ok(PinChanges {
        rights: parameters.rights()?,
        expires: parameters.expires(now)?,
        count: parameters.number("count")?,
        limits: parameters.limits()?,
        leave: parameters.choice("leave")?,
        call_duration: parameters.number("callDuration")?,
    })
}

fn add_pin(directory: &mut Directory, now: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    let pin = directory.add_pin(who.uid, parameters.gid()?, &pin_changes(now, parameters)?)?;
    Ok(object([("pin", json!(pin))]))
}

fn edit_pin(directory: &mut Directory, now: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    let pin = parameters.text("pin").unwrap_or_default();
    directory.edit_pin(who.uid, parameters.gid()?, pin, &pin_changes(now, parameters)?)?;
    Ok(Map::new())
}

fn remove_pin(directory: &mut Directory, _: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    directory.remove_pin(who.uid, parameters.gid()?, parameters.text("pin").unwrap_or_default())?;
    Ok(Map::new())
}

fn get_pins(directory: &mut Directory, _: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    let pins: Vec<Value> = directory.pins(who.uid, parameters.gid()?)?.iter().map(shown::pin).collect();
    Ok(object([("count", json!(pins.len())), ("pins", Value::Array(pins))]))
}

fn get_members(directory: &mut Directory, _: Duration, who: &Asker, parameters: &Parameters) -> Answer {
    let members = directory.members(who.uid, parameters.gid()?)?;
    let members: Vec<Value> = members.iter().map(shown::member).collect();
    let count = json!(members.len());
    Ok(object([("count", count), ("members", Value::Array(members))]))
}

fn rooms(directory: &mut Directory, _: Duration, who: &Asker, _: &Parameters) -> Answer {
    let rooms: Vec<Value> = directory
        .rooms(who.uid)
        .into_iter()
        .map(|room| {
            json!({ "uid": room.uid, "gid": room.gid, "name": room.name, "pin": room.pin, "spin": room.spin })
        })
        .collect();
    Ok(object([("count", json!(rooms.len())), ("rooms", Value::Array(rooms))]))
}

fn logout(directory: &mut Directory, _: Duration, who: &Asker, _: &Parameters) -> Answer {
    directory.logout(who.token);
    Ok(Map::new())
}

fn guest(directory: &mut Directory, now: Duration, from: IpAddr, parameters: &Parameters) -> Answer {
    let pin = parameters.text("pin").unwrap_or_default();
    let name = parameters.text("name").unwrap_or_default();
    Ok(minted(directory.guest(now, from, parameters.gid()?, pin, name)?))
}

/// A token, and whose it is.
fn minted(made: Minted) -> Map<String, Value> {
    let Minted { token, uid, name, address } = made;
    object([("token", json!(token)), ("uid", json!(uid)), ("name", json!(name)), ("address", json!(address))])
}

/// A group as `setgroup` and `joingroup` show it. `resolution` is a text: applications rely on it.
fn group_members(group: &Membership, publish: bool) -> Map<String, Value> {
    let mut members = object([
        ("gid", json!(group.gid)),
        ("name", json!(group.name)),
        ("type", json!(group.preset.number())),
        ("resolution", json!(group.resolution.to_string())),
        ("publish", json!(u8::from(publish))),
    ]);
    if let Some((pin, spin)) = &group.pins {
        members.insert("pin".to_owned(), json!(pin));
        members.insert("spin".to_owned(), json!(spin));
    }
    members
}
