//! TOML (v1.0.0), as far as settings go: what a file of names with texts, numbers, truths and lists of them may look like.
//! Tables, fractions and dates are read past, so that it can be told where one stands and that it has no place there.

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Self>),
    /// Something of no use to settings, by the word that TOML has for it.
    Other(&'static str),
}

impl Value {
    /// The word that TOML has for it.
    pub(super) const fn sort(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Integer(_) => "integer",
            Self::Boolean(_) => "boolean",
            Self::List(_) => "array",
            Self::Other(sort) => sort,
        }
    }
}

/// Why a file is not TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Lists in lists that are followed.
const DEPTH: usize = 8;

/// The names at the top of a file, what they stand for and in which line, in the order of the file.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Value, usize)>, Wrong> {
    let mut reader = Reader { text, at: 0 };
    let found = reader.document();
    found.map_err(|what| Wrong { line: reader.line(), what })
}

type Read<T> = Result<T, &'static str>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Where it is, counted from 1.
    fn line(&self) -> usize {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        1 + before.bytes().filter(|byte| *byte == b'\n').count()
    }

    fn document(&mut self) -> Read<Vec<(String, Value, usize)>> {
        let mut found: Vec<(String, Value, usize)> = Vec::new();
        let mut in_table = false;
        loop {
            self.space_and_lines();
            let line = self.line();
            let (name, value) = match self.peek() {
                None => return Ok(found),
                Some('[') => {
                    in_table = true;
                    (self.table()?, Value::Other("table"))
                }
                Some(_) => {
                    let (name, dotted) = self.key()?;
                    self.space();
                    self.expect('=', "expected an equals sign after a name")?;
                    self.space();
                    let value = self.value(0)?;
                    if in_table {
                        self.line_end()?;
                        continue;
                    }
                    (name, if dotted { Value::Other("table") } else { value })
                }
            };
            match found.iter().find(|(known, ..)| *known == name) {
                None => found.push((name, value, line)),
                // Tables may be spread over a file.
                Some((_, Value::Other("table"), _)) if value == Value::Other("table") => {}
                Some(_) => return Err("the name is there twice"),
            }
            self.line_end()?;
        }
    }

    /// `[name]` or `[[name]]`; the first part of the name.
    fn table(&mut self) -> Read<String> {
        let close = if self.eat("[[") { "]]" } else { "]" };
        self.eat("[");
        self.space();
        let (name, _) = self.key()?;
        self.space();
        if self.eat(close) { Ok(name) } else { Err("a table's name is not closed") }
    }

    /// A name; of one with dots the first part, and that it had some.
    fn key(&mut self) -> Read<(String, bool)> {
        let mut first = None;
        let mut dotted = false;
        loop {
            let part = match self.peek() {
                Some(quote @ ('"' | '\'')) => self.string(quote)?,
                _ => {
                    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                    let part = self.run(bare);
                    if part.is_empty() {
                        return Err("expected a name");
                    }
                    part.to_owned()
                }
            };
            let first = first.get_or_insert(part);
            self.space();
            if !self.eat(".") {
                return Ok((std::mem::take(first), dotted));
            }
            dotted = true;
            self.space();
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > DEPTH {
            return Err("too many lists in lists");
        }
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.string(quote).map(Value::Text),
            Some('[') => self.list(depth),
            Some('{') => self.inline_table(depth),
            _ => self.scalar(),
        }
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        self.eat("[");
        let mut values = Vec::new();
        loop {
            self.space_and_lines();
            if self.eat("]") {
                return Ok(Value::List(values));
            }
            values.push(self.value(depth + 1)?);
            self.space_and_lines();
            if !self.eat(",") && self.peek() != Some(']') {
                return Err("a list is not closed");
            }
        }
    }

    fn inline_table(&mut self, depth: usize) -> Read<Value> {
        self.eat("{");
        loop {
            self.space_and_lines();
            if self.eat("}") {
                return Ok(Value::Other("table"));
            }
            self.key()?;
            self.expect('=', "expected an equals sign after a name")?;
            self.space();
            self.value(depth + 1)?;
            self.space_and_lines();
            if !self.eat(",") && self.peek() != Some('}') {
                return Err("a table is not closed");
            }
        }
    }

    fn scalar(&mut self) -> Read<Value> {
        let start = self.at;
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_' | '.' | ':');
        let word = self.run(word);
        let plain = word.replace('_', "");
        let radix = |(prefix, radix): (&str, u32)| {
            plain.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok())
        };
        let value = match word {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            _ => match plain
                .parse()
                .ok()
                .or_else(|| [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find_map(radix))
            {
                Some(number) => Value::Integer(number),
                None if plain.parse::<f64>().is_ok() => Value::Other("float"),
                None if word.starts_with(|c: char| c.is_ascii_digit()) && word.contains(['-', ':']) => {
                    Value::Other("datetime")
                }
                None => {
                    self.at = start;
                    return Err("expected a value: a text in quotes, a number, true, false, or a list");
                }
            },
        };
        Ok(value)
    }

    fn string(&mut self, quote: char) -> Read<String> {
        let long = if quote == '"' { "\"\"\"" } else { "'''" };
        let long = self.eat(long).then_some(long);
        match long {
            // A line's end right after the quotes is not part of the text.
            Some(_) => drop(self.eat("\r\n") || self.eat("\n")),
            None => self.expect(quote, "expected a quote")?,
        }
        let mut text = String::new();
        loop {
            let closed = match long {
                // Up to two quotes may stand before the three that close.
                Some(three) => {
                    self.rest().starts_with(three)
                        && !self.rest().get(1..).is_some_and(|r| r.starts_with(three))
                }
                None => self.peek() == Some(quote),
            };
            if closed {
                self.at += long.map_or(1, str::len);
                return Ok(text);
            }
            match self.peek() {
                None => return Err("a text is not closed"),
                Some('\n') if long.is_none() => return Err("a text is not closed"),
                Some('\\') if quote == '"' => self.escape(&mut text, long.is_some())?,
                Some(c) => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String, long: bool) -> Read<()> {
        self.eat("\\");
        let Some(c) = self.peek() else { return Err("a text is not closed") };
        if long && c.is_ascii_whitespace() {
            self.run(|c| c.is_ascii_whitespace());
            return Ok(());
        }
        self.at += c.len_utf8();
        text.push(match c {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            '"' | '\\' => c,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            _ => {
                return Err(
                    "a backslash before a character that needs none: write two, or use single quotes",
                );
            }
        });
        Ok(())
    }

    fn code(&mut self, digits: usize) -> Read<char> {
        let code = self.rest().get(..digits).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
        self.at += if code.is_some() { digits } else { 0 };
        code.ok_or("an escaped character is none")
    }

    fn line_end(&mut self) -> Read<()> {
        self.space();
        self.comment();
        if self.peek().is_none() || self.eat("\n") || self.eat("\r\n") {
            return Ok(());
        }
        Err("expected the end of the line")
    }

    fn space_and_lines(&mut self) {
        loop {
            let before = self.at;
            self.run(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            self.comment();
            if self.at == before {
                return;
            }
        }
    }

    fn space(&mut self) {
        self.run(|c| matches!(c, ' ' | '\t'));
    }

    fn comment(&mut self) {
        if self.peek() == Some('#') {
            self.run(|c| !matches!(c, '\r' | '\n'));
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes what follows as long as `wanted` likes it.
    fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let start = self.at;
        self.at += len;
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let there = self.rest().starts_with(wanted);
        self.at += if there { wanted.len() } else { 0 };
        there
    }

    fn expect(&mut self, wanted: char, what: &'static str) -> Read<()> {
        if self.peek() == Some(wanted) {
            self.at += wanted.len_utf8();
            return Ok(());
        }
        Err(what)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Value)>, Wrong> {
        Ok(parse(text)?.into_iter().map(|(name, value, _)| (name, value)).collect())
    }

    #[test]
    fn each_name_comes_with_its_line() {
        let text = "# first\na = [\n1,\n]\n\nb = \"\"\"\nx\n\"\"\"\nc = 1 # last";
        let lines: Vec<_> =
            parse(text).expect("TOML").into_iter().map(|(name, _, line)| (name, line)).collect();
        assert_eq!(lines, [("a".to_owned(), 2), ("b".to_owned(), 6), ("c".to_owned(), 9)]);
    }

    /// What the `toml` crate makes of the same.
    fn reference(text: &str) -> Option<Vec<(String, Value)>> {
        fn value(of: toml::Value) -> Value {
            match of {
                toml::Value::String(text) => Value::Text(text),
                toml::Value::Integer(number) => Value::Integer(number),
                toml::Value::Boolean(truth) => Value::Boolean(truth),
                toml::Value::Array(values) if values.first().is_some_and(toml::Value::is_table) => {
                    Value::Other("table")
                }
                toml::Value::Array(values) => Value::List(values.into_iter().map(value).collect()),
                other => Value::Other(other.type_str()),
            }
        }
        let table: toml::Table = text.parse().ok()?;
        Some(table.into_iter().map(|(name, of)| (name, value(of))).collect())
    }

    #[test]
    fn it_reads_what_the_toml_crate_reads() {
        let texts = [
            "",
            "# nothing\n\n  \t\r\n",
            "a = \"x\"\nb-c_1 = 'C:\\no\\escape' # why\n\"quoted name\" = true\n'other' = false",
            "a = [\"x\", 'y',\n  # in between\n  \"z\",\n]\nb = []\nc = [[1, 2], [3]]",
            "a = 1\nb = -17\nc = +5\nd = 1_000\ne = 0xff\nf = 0o17\ng = 0b101\nh = 1.5\ni = 1e3\nj = -inf\nk = nan",
            "a = 1979-05-27T07:32:00Z\nb = 07:32:00\nc = 1979-05-27",
            "a = \"\\t\\\"q\\\" \\u00e4 \\U0001F600 \\\\\"\nb = \"\u{e4}\"",
            "a = \"\"\"\nfirst\n  second \\\n   goes on \"quoted\"\"\"\"\nb = '''\n'one' \\ two'''\nc = \"\"\nd = ''",
            "a = 1\r\nb = 2\r\n",
            "a.b = 1\na.c = 2\nd = { e = 1, f = [1], \"g\" = { } }",
            "a = 1\n[tls]\ncert = \"a\"\n[tls.more]\nx = 1\n[ other . one ]\ny = 2",
            "[[many]]\nx = 1\n[[many]]\nx = 2",
        ];
        for text in texts {
            let mut found = read(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
            let mut expected = reference(text).unwrap_or_else(|| panic!("{text}: is no TOML"));
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            expected.sort_by(|(a, _), (b, _)| a.cmp(b));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn it_refuses_what_the_toml_crate_refuses_and_says_where() {
        let texts = [
            ("a = ", 1),
            ("a = 1\nb\n", 2),
            ("a = 1 2", 1),
            ("= 1", 1),
            ("\n\na = yes", 3),
            ("a = \"x", 1),
            ("a = \"x\ny\"", 1),
            ("a = 'x", 1),
            ("a = \"\\q\"", 1),
            ("a = \"\\ud800\"", 1),
            ("a = [1, 2", 1),
            ("a = [1 2]", 1),
            ("a = [1,\n\n,2]", 3),
            ("[a\nb = 1", 1),
            ("a = 1\na = 2", 2),
            ("a = 1\n[a]", 2),
            ("a = { b = 1", 1),
            ("a = 99999999999999999999x", 1),
            ("a = \"\"\"x", 1),
        ];
        for (text, line) in texts {
            assert_eq!(parse(text).map_err(|wrong| wrong.line), Err(line), "{text}");
            assert_eq!(reference(text), None, "{text}");
        }
        assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err(), "and needs no stack for it");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-c\\[\\]{}=.,'\"\\\\#\n\r\t 0-9:xu\u{e4}-]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn every_text_comes_back(text in any::<String>(), list in proptest::collection::vec("[^']{0,9}", 0..4)) {
            let written = toml::Table::from_iter([
                ("text".to_owned(), toml::Value::String(text.clone())),
                ("list".to_owned(), toml::Value::Array(list.iter().cloned().map(toml::Value::String).collect())),
            ]).to_string();
            let mut found = read(&written).expect("TOML");
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            let list = Value::List(list.into_iter().map(Value::Text).collect());
            prop_assert_eq!(found, vec![("list".to_owned(), list), ("text".to_owned(), Value::Text(text))]);
        }
    }
}
