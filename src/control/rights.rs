//! The five rights and how they are decided.
//!
//! Each right is decided in this order: what the member's record says (deny, then allow); where it says nothing,
//! what the group chose for that right. The owner has every right, unless that owner came in with a viewer's pin.

use serde::{Deserialize, Serialize};

/// What a person may do in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rights {
    /// Send messages.
    pub send: bool,
    /// Receive messages.
    pub receive: bool,
    /// Publish streams.
    pub publish: bool,
    /// Watch streams.
    pub subscribe: bool,
    /// See the roster.
    pub list: bool,
}

impl Rights {
    /// No right at all.
    pub const NONE: Self =
        Self { send: false, receive: false, publish: false, subscribe: false, list: false };
    /// Every right.
    pub const ALL: Self = Self { send: true, receive: true, publish: true, subscribe: true, list: true };

    /// Whether there is a right in these that was not in those before.
    pub const fn gains_on(self, before: Self) -> bool {
        (self.send && !before.send)
            || (self.receive && !before.receive)
            || (self.publish && !before.publish)
            || (self.subscribe && !before.subscribe)
            || (self.list && !before.list)
    }

    /// Whether there is any right at all.
    pub const fn any(self) -> bool {
        self.send || self.receive || self.publish || self.subscribe || self.list
    }
}

/// What one may do to a group and to those in it, bit by bit. The owner may do all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Admin {
    /// Change the group's settings.
    pub modify: bool,
    /// See and change its pins.
    pub pins: bool,
    /// Change what members may do.
    pub members: bool,
    /// Mute, hang up, lower hands, and ask people for something.
    pub moderate: bool,
    /// Put people out.
    pub remove: bool,
}

impl Admin {
    /// Nothing.
    pub const NONE: Self =
        Self { modify: false, pins: false, members: false, moderate: false, remove: false };
    /// Everything, as the owner.
    pub const ALL: Self = Self { modify: true, pins: true, members: true, moderate: true, remove: true };

    /// Whether it is nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

/// What a member's record or a pin says of one right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Say {
    /// Nothing: the group decides.
    #[default]
    Unset,
    /// Yes.
    Allow,
    /// No.
    Deny,
}

impl Say {
    /// This, or where this says nothing, `other`.
    const fn or(self, other: Self) -> Self {
        match self {
            Self::Unset => other,
            said => said,
        }
    }
}

/// What a member's record or a pin says of each right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Override {
    /// Of sending messages.
    pub send: Say,
    /// Of receiving messages.
    pub receive: Say,
    /// Of publishing.
    pub publish: Say,
    /// Of watching.
    pub subscribe: Say,
    /// Of seeing the roster.
    pub list: Say,
}

impl Override {
    /// What the participant's pin (`pin`) gives: everything.
    pub const PARTICIPANT: Self = Self {
        send: Say::Allow,
        receive: Say::Allow,
        publish: Say::Allow,
        subscribe: Say::Allow,
        list: Say::Allow,
    };
    /// What the viewer's pin (`spin`) gives: everything but publishing.
    pub const VIEWER: Self = Self { publish: Say::Deny, ..Self::PARTICIPANT };

    /// These values, and where one says nothing, that of `other`.
    pub const fn or(self, other: Self) -> Self {
        Self {
            send: self.send.or(other.send),
            receive: self.receive.or(other.receive),
            publish: self.publish.or(other.publish),
            subscribe: self.subscribe.or(other.subscribe),
            list: self.list.or(other.list),
        }
    }

    /// This, changed.
    pub fn changed(self, by: &SayChanges) -> Self {
        Self {
            send: by.send.unwrap_or(self.send),
            receive: by.receive.unwrap_or(self.receive),
            publish: by.publish.unwrap_or(self.publish),
            subscribe: by.subscribe.unwrap_or(self.subscribe),
            list: by.list.unwrap_or(self.list),
        }
    }
}

/// What is to be changed of what is said of each right; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SayChanges {
    /// Of sending messages.
    pub send: Option<Say>,
    /// Of receiving messages.
    pub receive: Option<Say>,
    /// Of publishing.
    pub publish: Option<Say>,
    /// Of watching.
    pub subscribe: Option<Say>,
    /// Of seeing the roster.
    pub list: Option<Say>,
}

impl SayChanges {
    /// Whether there is nothing to change.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Override> for SayChanges {
    /// All of it.
    fn from(said: Override) -> Self {
        Self {
            send: Some(said.send),
            receive: Some(said.receive),
            publish: Some(said.publish),
            subscribe: Some(said.subscribe),
            list: Some(said.list),
        }
    }
}

/// Whom a group gives a right to, of those whose record says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// Its members.
    #[default]
    Members,
    /// Nobody: only who has an explicit allow.
    Selected,
    /// Everybody, with neither membership nor pin.
    Anyone,
}

/// Who receives a message sent to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Receivers {
    /// All to whom the choice gives the right.
    All(Choice),
    /// One member after the other, in turn. Each member holds the right; the turn is the messenger's business.
    RoundRobin,
}

impl Default for Receivers {
    fn default() -> Self {
        Self::All(Choice::Members)
    }
}

impl Receivers {
    const fn choice(self) -> Choice {
        match self {
            Self::All(choice) => choice,
            Self::RoundRobin => Choice::Members,
        }
    }
}

/// What a group chose for each right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Choices {
    /// Who sends messages.
    pub send: Choice,
    /// Who receives them.
    pub receive: Receivers,
    /// Who publishes.
    pub publish: Choice,
    /// Who watches.
    pub subscribe: Choice,
    /// Who sees the roster.
    pub list: Choice,
}

/// What is to be changed of a group's choices; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChoiceChanges {
    /// Who sends messages.
    pub send: Option<Choice>,
    /// Who receives them.
    pub receive: Option<Receivers>,
    /// Who publishes.
    pub publish: Option<Choice>,
    /// Who watches.
    pub subscribe: Option<Choice>,
    /// Who sees the roster.
    pub list: Option<Choice>,
}

impl Choices {
    /// These, changed.
    pub fn changed(self, by: &ChoiceChanges) -> Self {
        Self {
            send: by.send.unwrap_or(self.send),
            receive: by.receive.unwrap_or(self.receive),
            publish: by.publish.unwrap_or(self.publish),
            subscribe: by.subscribe.unwrap_or(self.subscribe),
            list: by.list.unwrap_or(self.list),
        }
    }
}

/// A preset of choices: the `type` of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Every member publishes and watches.
    #[default]
    Conference,
    /// Selected members publish, anyone watches.
    Webinar,
    /// Selected members publish, members watch.
    Classroom,
}

impl Preset {
    /// The preset with this number in the API.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Conference),
            1 => Some(Self::Webinar),
            2 => Some(Self::Classroom),
            _ => None,
        }
    }

    /// Its number in the API.
    pub const fn number(self) -> u32 {
        match self {
            Self::Conference => 0,
            Self::Webinar => 1,
            Self::Classroom => 2,
        }
    }

    /// Its choices.
    pub fn choices(self) -> Choices {
        let (publish, subscribe, list) = match self {
            Self::Conference => (Choice::Members, Choice::Members, Choice::Members),
            Self::Webinar => (Choice::Selected, Choice::Anyone, Choice::Anyone),
            Self::Classroom => (Choice::Selected, Choice::Members, Choice::Members),
        };
        Choices { publish, subscribe, list, ..Choices::default() }
    }
}

/// How a person stands to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Neither member nor owner.
    Stranger,
    /// A member, whose record says this.
    Member(Override),
    /// The owner, who came in without a pin or with one that may publish.
    Owner,
    /// The owner, who came in with a pin that gives this and may not publish.
    OwnerAsViewer(Override),
}

/// Decides all five rights.
pub fn decide(choices: &Choices, standing: Standing) -> Rights {
    let (member, said) = match standing {
        Standing::Owner => return Rights::ALL,
        Standing::Stranger => (false, Override::default()),
        Standing::Member(said) | Standing::OwnerAsViewer(said) => (true, said),
    };
    let right = |said: Say, choice: Choice| match (said, choice) {
        (Say::Deny, _) => false,
        (Say::Allow, _) | (Say::Unset, Choice::Anyone) => true,
        (Say::Unset, Choice::Members) => member,
        (Say::Unset, Choice::Selected) => false,
    };
    Rights {
        send: right(said.send, choices.send),
        receive: right(said.receive, choices.receive.choice()),
        publish: right(said.publish, choices.publish),
        subscribe: right(said.subscribe, choices.subscribe),
        list: right(said.list, choices.list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICES: [Choice; 3] = [Choice::Members, Choice::Selected, Choice::Anyone];

    /// The whole rule for one right: record's value x group's choice, for a member and for a stranger.
    const RULE: [(Say, Choice, bool); 9] = [
        (Say::Deny, Choice::Members, false),
        (Say::Deny, Choice::Selected, false),
        (Say::Deny, Choice::Anyone, false),
        (Say::Allow, Choice::Members, true),
        (Say::Allow, Choice::Selected, true),
        (Say::Allow, Choice::Anyone, true),
        (Say::Unset, Choice::Members, true),
        (Say::Unset, Choice::Selected, false),
        (Say::Unset, Choice::Anyone, true),
    ];

    #[test]
    fn a_member_is_decided_by_deny_then_allow_then_the_groups_choice() {
        for (say, choice, expected) in RULE {
            // One right at a time, the others set to the opposite: each looks only at its own values.
            for which in 0..5 {
                let other = if expected { Say::Deny } else { Say::Allow };
                let pick = |n: usize| if n == which { say } else { other };
                let said = Override {
                    send: pick(0),
                    receive: pick(1),
                    publish: pick(2),
                    subscribe: pick(3),
                    list: pick(4),
                };
                let choices = Choices {
                    send: choice,
                    receive: Receivers::All(choice),
                    publish: choice,
                    subscribe: choice,
                    list: choice,
                };
                let rights = decide(&choices, Standing::Member(said));
                let all = [rights.send, rights.receive, rights.publish, rights.subscribe, rights.list];
                for (n, right) in all.into_iter().enumerate() {
                    let want = if n == which { expected } else { !expected };
                    assert_eq!(right, want, "right {n} with {say:?} under {choice:?}");
                }
            }
        }
    }

    #[test]
    fn a_stranger_has_what_is_left_to_anyone() {
        for choice in CHOICES {
            let choices = Choices {
                send: choice,
                receive: Receivers::All(choice),
                publish: choice,
                subscribe: choice,
                list: choice,
            };
            let expected = if choice == Choice::Anyone { Rights::ALL } else { Rights::NONE };
            assert_eq!(decide(&choices, Standing::Stranger), expected);
        }
    }

    #[test]
    fn round_robin_is_a_members_right() {
        let choices = Choices { receive: Receivers::RoundRobin, ..Choices::default() };
        assert!(decide(&choices, Standing::Member(Override::default())).receive);
        assert!(!decide(&choices, Standing::Stranger).receive);
        let denied = Override { receive: Say::Deny, ..Override::default() };
        assert!(!decide(&choices, Standing::Member(denied)).receive);
    }

    #[test]
    fn presets_decide_as_documented() {
        let rights = |publish, subscribe, list| (publish, subscribe, list);
        let of = |preset: Preset, standing| {
            let rights = decide(&preset.choices(), standing);
            (rights.publish, rights.subscribe, rights.list)
        };
        let plain = Standing::Member(Override::default());
        let pin = Standing::Member(Override::PARTICIPANT);
        let spin = Standing::Member(Override::VIEWER);
        for (preset, standing, expected) in [
            (Preset::Conference, plain, rights(true, true, true)),
            (Preset::Conference, pin, rights(true, true, true)),
            (Preset::Conference, spin, rights(false, true, true)),
            (Preset::Conference, Standing::Stranger, rights(false, false, false)),
            (Preset::Webinar, plain, rights(false, true, true)),
            (Preset::Webinar, pin, rights(true, true, true)),
            (Preset::Webinar, spin, rights(false, true, true)),
            (Preset::Webinar, Standing::Stranger, rights(false, true, true)),
            (Preset::Classroom, plain, rights(false, true, true)),
            (Preset::Classroom, pin, rights(true, true, true)),
            (Preset::Classroom, spin, rights(false, true, true)),
            (Preset::Classroom, Standing::Stranger, rights(false, false, false)),
        ] {
            assert_eq!(of(preset, standing), expected, "{preset:?}, {standing:?}");
        }
        for number in 0..3 {
            assert_eq!(Preset::from_number(number).map(Preset::number), Some(number));
        }
        assert_eq!(Preset::from_number(3), None);
    }

    #[test]
    fn the_owner_has_every_right_but_as_a_viewer() {
        let nobody = Choices {
            send: Choice::Selected,
            receive: Receivers::All(Choice::Selected),
            publish: Choice::Selected,
            subscribe: Choice::Selected,
            list: Choice::Selected,
        };
        assert_eq!(decide(&nobody, Standing::Owner), Rights::ALL);
        let expected = Rights { publish: false, ..Rights::ALL };
        assert_eq!(decide(&nobody, Standing::OwnerAsViewer(Override::VIEWER)), expected);
    }

    #[test]
    fn what_an_admin_said_wins_over_what_the_pin_gave() {
        let muted = Override { publish: Say::Deny, ..Override::default() };
        assert_eq!(muted.or(Override::PARTICIPANT).publish, Say::Deny);
        assert_eq!(muted.or(Override::PARTICIPANT).send, Say::Allow);
        let raised = Override { publish: Say::Allow, ..Override::default() };
        assert_eq!(raised.or(Override::VIEWER).publish, Say::Allow);
    }
}
