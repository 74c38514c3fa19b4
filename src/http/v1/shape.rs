//! What a JSON object looks like, said once: requests are checked by it, and the OpenAPI document shows it.

use serde_json::{Map, Value, json};

use crate::hooks::{SECRET_BYTES, endpoint, secret_bytes};

/// The members of a JSON object.
pub(super) type Object = Map<String, Value>;

/// The last second of the year 9999.
pub(super) const END_OF_TIME: u64 = 253_402_300_799;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One line of so many characters at most, which does not begin with a blank.
    Line(usize),
    /// Any text of so many characters at most, which does not begin with a blank.
    Prose(usize),
    /// So many digits.
    Digits(usize, usize),
    /// A whole number between two, inclusive.
    Whole(u64, u64),
    /// Any text, in answers alone.
    Text,
    /// True or false.
    Truth,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, each once.
    Words(&'static [&'static str]),
    /// True, false, or null where nothing is said.
    Say,
    /// A name as programs give them: letters, digits, dots, dashes, underscores.
    Slug,
    /// Public keys: at most four texts of 43 characters of base64url.
    Keys,
    /// Where webhooks go: `http` or `https`, a host, and so on.
    Url,
    /// A secret of 24 to 100 characters of ASCII.
    Key,
    /// An object.
    Object(&'static Shape),
    /// Objects, in answers alone.
    Objects(&'static Shape),
}

/// A member of an object, or a parameter of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) about: &'static str,
    /// Whether it must be there.
    pub(super) needed: bool,
    /// Whether it may be null: in a request that takes it away.
    pub(super) null: bool,
}

/// A member that must be there.
pub(super) const fn needed(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, about, needed: true, null: false }
}

/// A member that may be left out.
pub(super) const fn maybe(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, about, needed: false, null: false }
}

/// A member that may be left out, or be null.
pub(super) const fn null(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, about, needed: false, null: true }
}

/// A member that must be there, and may be null.
pub(super) const fn known(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, about, needed: true, null: true }
}

/// An object's members.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where, as a JSON pointer (RFC 6901), or the name of a parameter.
    pub(super) at: String,
    /// What was expected.
    pub(super) detail: String,
}

impl Shape {
    /// Finds all that is wrong with an object.
    pub(super) fn check(&self, object: &Object, at: &str, wrong: &mut Vec<Wrong>) {
        for field in self.fields {
            let at = format!("{at}/{}", field.name);
            match object.get(field.name) {
                None if field.needed => {
                    wrong.push(Wrong { at, detail: format!("is missing: {}", field.kind.expected()) });
                }
                None => {}
                Some(Value::Null) if field.null => {}
                Some(value) => field.kind.check(value, &at, wrong),
            }
        }
        let known: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            let name = name.replace('~', "~0").replace('/', "~1");
            let detail = format!("is unknown: expected {}", known.join(", "));
            wrong.push(Wrong { at: format!("{at}/{name}"), detail });
        }
    }

    /// As JSON Schema. In requests nothing else may be there; answers may grow.
    pub(super) fn schema(&self, closed: bool) -> Value {
        let mut properties = Object::new();
        for field in self.fields {
            properties.insert(field.name.to_owned(), field.schema());
        }
        let needed: Vec<&str> = self.fields.iter().filter(|f| f.needed).map(|f| f.name).collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        if let Some(schema) = schema.as_object_mut() {
            if !needed.is_empty() {
                schema.insert("required".to_owned(), json!(needed));
            }
            if closed {
                schema.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        schema
    }

    /// Calls `each` with this shape and all that are inside.
    pub(super) fn visit(&'static self, each: &mut impl FnMut(&'static Self)) {
        each(self);
        for field in self.fields {
            if let Kind::Object(shape) | Kind::Objects(shape) = field.kind {
                shape.visit(each);
            }
        }
    }
}

impl Field {
    /// As JSON Schema.
    pub(super) fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if self.null && !matches!(self.kind, Kind::Say) {
            schema = json!({ "anyOf": [schema, { "type": "null" }] });
        }
        if let Some(members) = schema.as_object_mut() {
            members.insert("description".to_owned(), json!(self.about));
        }
        schema
    }

    /// Reads a parameter of a query, or of a path.
    pub(super) fn read(&self, text: &str) -> Result<Value, Wrong> {
        let value = match self.kind {
            Kind::Whole(..) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse::<u64>().map_or(Value::Null, Value::from)
            }
            Kind::Truth => match text {
                "true" => json!(true),
                "false" => json!(false),
                _ => Value::Null,
            },
            Kind::Whole(..) => Value::Null,
            _ => json!(text),
        };
        let mut wrong = Vec::new();
        self.kind.check(&value, self.name, &mut wrong);
        wrong.into_iter().next().map_or(Ok(value), Err)
    }
}

impl Kind {
    fn check(&self, value: &Value, at: &str, wrong: &mut Vec<Wrong>) {
        let fits = match (self, value) {
            (Self::Line(most), Value::String(text)) => line(text, *most, |c| c.is_control()),
            (Self::Prose(most), Value::String(text)) => {
                line(text, *most, |c| c.is_control() && !matches!(c, '\n' | '\t'))
            }
            (Self::Digits(least, most), Value::String(text)) => {
                (*least..=*most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
            }
            (Self::Whole(least, most), value) => {
                whole(value).is_some_and(|number| (*least..=*most).contains(&number))
            }
            (Self::Text, Value::String(_)) | (Self::Truth, Value::Bool(_)) => true,
            (Self::Say, Value::Bool(_) | Value::Null) => true,
            (Self::Word(words), Value::String(text)) => words.contains(&text.as_str()),
            (Self::Words(words), Value::Array(some)) => {
                let known = |at: usize, word: &Value| {
                    word.as_str().is_some_and(|word| words.contains(&word)) && !some[..at].contains(word)
                };
                some.iter().enumerate().all(|(at, word)| known(at, word))
            }
            (Self::Slug, Value::String(text)) => slug(text, 1, 64, "._-"),
            (Self::Keys, Value::Array(keys)) => {
                keys.len() <= 4
                    && keys.iter().all(|key| key.as_str().is_some_and(|key| slug(key, 43, 43, "_-")))
            }
            (Self::Url, Value::String(text)) => url(text),
            (Self::Key, Value::String(text)) => {
                let plain = text.len() <= 100 && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
                plain && secret_bytes(text).is_some()
            }
            (Self::Object(shape), Value::Object(object)) => return shape.check(object, at, wrong),
            _ => false,
        };
        if !fits {
            wrong.push(Wrong { at: at.to_owned(), detail: self.expected() });
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Line(most) => {
                format!("expected a text of 1 to {most} characters, in one line, that begins with no blank")
            }
            Self::Prose(most) => {
                format!("expected a text of 1 to {most} characters that begins with no blank")
            }
            Self::Digits(least, most) if least == most => format!("expected {least} digits"),
            Self::Digits(least, most) => format!("expected {least} to {most} digits"),
            Self::Whole(least, most) => format!("expected a whole number from {least} to {most}"),
            Self::Text => "expected a text".to_owned(),
            Self::Truth => "expected true or false".to_owned(),
            Self::Word(words) => format!("expected one of {}", words.join(", ")),
            Self::Words(words) => format!("expected a list of some of {}, each once", words.join(", ")),
            Self::Say => "expected true, false or null".to_owned(),
            Self::Slug => "expected 1 to 64 letters, digits, dots, dashes and underscores".to_owned(),
            Self::Keys => "expected at most four texts of 43 characters of base64url".to_owned(),
            Self::Url => "expected an address, as in https://example.org/hooks".to_owned(),
            Self::Key => format!(
                "expected whsec_ and base 64, or a text, of {SECRET_BYTES} bytes or more, and 100 characters at most"
            ),
            Self::Object(_) => "expected an object".to_owned(),
            Self::Objects(_) => "expected a list".to_owned(),
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Line(most) => json!({ "type": "string", "maxLength": most, "pattern": LINE }),
            Self::Prose(most) => json!({ "type": "string", "maxLength": most, "pattern": PROSE }),
            Self::Digits(least, most) => {
                json!({ "type": "string", "pattern": format!("^[0-9]{{{least},{most}}}$") })
            }
            Self::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Self::Text => json!({ "type": "string" }),
            Self::Truth => json!({ "type": "boolean" }),
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::Words(words) => {
                json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": words } })
            }
            Self::Say => json!({ "type": ["boolean", "null"] }),
            Self::Slug => json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }),
            Self::Keys => json!({
                "type": "array",
                "maxItems": 4,
                "items": { "type": "string", "pattern": "^[A-Za-z0-9_-]{43}$" },
            }),
            Self::Url => json!({ "type": "string", "pattern": URL }),
            Self::Key => {
                json!({ "type": "string", "pattern": format!("^[ -~]{{{SECRET_BYTES},100}}$") })
            }
            Self::Object(shape) => reference(shape),
            Self::Objects(shape) => json!({ "type": "array", "items": reference(shape) }),
        }
    }
}

/// [`Kind::Line`] and [`Kind::Prose`], as regular expressions (ECMA-262).
const LINE: &str = r"^[^\s\u0000-\u0020\u007f-\u00a0][^\u0000-\u001f\u007f-\u009f]*$";
const PROSE: &str = r"^[^\s\u0000-\u0020\u007f-\u00a0][^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$";

/// [`Kind::Url`], likewise.
const URL: &str = r#"^https?://[A-Za-z0-9._-]{1,253}(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[!"$-~]{0,1000})?$"#;

fn url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let short = |port: &str| port.len() < 5 || port.len() == 5 && !port.starts_with('0');
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    slug(host, 1, 253, "._-")
        && port.is_none_or(|port| digits(port) && short(port) && port.parse::<u16>().is_ok())
        && path.len() <= 1001
        && endpoint(text).is_some()
}

fn line(text: &str, most: usize, bad: impl Fn(char) -> bool) -> bool {
    text.chars().next().is_some_and(|first| !first.is_whitespace() && !first.is_control())
        && text.chars().count() <= most
        && !text.chars().any(bad)
}

fn slug(text: &str, least: usize, most: usize, besides: &str) -> bool {
    (least..=most).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || besides.contains(c))
}

pub(super) fn reference(shape: &Shape) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", shape.name) })
}

/// A whole number, which JSON may also write as 1.0 or 1e0.
pub(super) fn whole(value: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: Shape = Shape { name: "Inner", fields: &[maybe("on", Kind::Truth, "On.")] };
    const SHAPE: Shape = Shape {
        name: "Shape",
        fields: &[
            needed("name", Kind::Line(5), "Its name."),
            null("most", Kind::Whole(1, 9), "The most."),
            maybe("inner", Kind::Object(&INNER), "More."),
        ],
    };

    fn wrong(value: Value) -> Vec<String> {
        let mut wrong = Vec::new();
        SHAPE.check(value.as_object().expect("an object"), "", &mut wrong);
        wrong.into_iter().map(|wrong| wrong.at).collect()
    }

    #[test]
    fn all_that_is_wrong_is_named_with_its_place() {
        assert_eq!(wrong(json!({"name": "Ann", "most": 3.0, "inner": {"on": true}})), [""; 0]);
        assert_eq!(wrong(json!({"name": "Ann", "most": null})), [""; 0]);
        let found = wrong(json!({"most": 10, "inner": {"on": 1, "a/b": 2}, "x": 1}));
        assert_eq!(found, ["/name", "/most", "/inner/on", "/inner/a~1b", "/x"]);
        for name in ["", " a", "\ta", "abcdef", "a\nb", "a\u{85}"] {
            assert_eq!(wrong(json!({"name": name})), ["/name"], "{name:?}");
        }
    }

    #[test]
    fn a_query_is_read_by_the_same_rule() {
        let field = maybe("limit", Kind::Whole(1, 100), "How many.");
        assert_eq!(field.read("10"), Ok(json!(10)));
        for text in ["0", "101", "-1", "x", "", "99999999999999999999999"] {
            assert!(field.read(text).is_err(), "{text}");
        }
    }
}
