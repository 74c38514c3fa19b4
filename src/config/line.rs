//! The command line: which command, which options, and what is said of those that are none.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process;
use std::str::FromStr;

use super::{AppOptions, DEFAULT_DATA, EXIT_CODE, Invocation, Options, TokenOptions};
use crate::control::directory::DEFAULT_APP;
use crate::control::limits::{Codecs, Limits, MAX_LAYERS, MAX_RESOLUTION, MAX_VOICES};

/// Why a command line leads to nothing that could be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It asked for a text, which this is.
    #[error("{0}")]
    Told(String),
    /// It cannot be understood, and this says why.
    #[error("{0}")]
    Wrong(String),
}

struct Command {
    /// How it is called, and with what.
    usage: &'static str,
    about: &'static str,
    flags: &'static [Flag],
}

/// An option; each takes a value.
struct Flag {
    name: &'static str,
    value: &'static str,
    help: &'static str,
    /// Whether it may be given several times.
    many: bool,
}

const fn once(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value, help, many: false }
}

const fn many(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value, help, many: true }
}

const SERVE: Command = Command {
    usage: "millrace serve [OPTIONS]",
    about: "Run the server (what happens without a subcommand)",
    flags: &[
        once("config", "FILE", "Read settings from this TOML file; its keys are named as these options"),
        once("data", "DIR", "Keep everything in this folder [default: millrace-data]"),
        many(
            "listen",
            "ADDR:PORT",
            "Media and signalling, UDP; may be given several times [default: 127.0.0.1:4433]",
        ),
        once("http", "ADDR:PORT", "Web page and REST [default: 127.0.0.1:8080]"),
        once(
            "metrics",
            "ADDR:PORT",
            "Figures for Prometheus, and readiness, to whoever comes [default: none]",
        ),
        once("shards", "N", "Threads that carry media [default: one per core]"),
        once(
            "io",
            "auto|uring|mmsg",
            "How datagrams are read and written: auto, uring or mmsg [default: auto]",
        ),
        many("advertise", "IP[,IP]", "Addresses that clients reach this host at, where they are not its own"),
        once("tls-cert", "FILE", "Certificate chain (PEM) of the web page, which turns it to HTTPS"),
        once("tls-key", "FILE", "Its private key (PEM)"),
        many(
            "acme-domain",
            "NAME[,NAME]",
            "Get a certificate for the web page at these names, by port 443, and agree to the authority's terms",
        ),
        once("acme-directory", "URL", "The authority to get it from [default: Let's Encrypt]"),
        once("acme-ca", "FILE", "Certificates (PEM) to trust there in place of the system's"),
        many(
            "trusted-proxy",
            "NET[,NET]",
            "Proxies before the web page, as 127.0.0.1 or 10.0.0.0/8, that say truly who asks; may be given several times",
        ),
        once(
            "proxy-header",
            "NAME",
            "Where they say it: x-forwarded-for or forwarded [default: x-forwarded-for]",
        ),
        many(
            "origin",
            "ORIGIN",
            "Further origins whose pages may connect, as `https://example.org`; may be given several times",
        ),
        once(
            "demo",
            "true|false",
            "Whether to keep a demo room that guests may enter: true or false [default: true]",
        ),
        once(
            "voices",
            "N",
            "Voices that a viewer hears at once, the loudest, where the group says nothing else [default: 8]",
        ),
        once("file-mb", "MIB", "The largest file that people may send each other; 0 for none [default: 25]"),
        many(
            "file-types",
            "TYPE[,TYPE]",
            "Media types of files that may be sent [default: pictures, sound, video, plain text, PDF and ZIP]",
        ),
        once("user-files-mb", "MIB", "What one user's files may take together [default: 250]"),
        once("group-files-mb", "MIB", "What one group's files may take together [default: 1024]"),
        once(
            "mail-server",
            "URL",
            "Send codes to sign in by this server, as smtps://mail.example.org or smtp://mail.example.org:587 \
             (STARTTLS)",
        ),
        once("mail-from", "ADDRESS", "Who these letters come from"),
        once("mail-user", "NAME", "As whom to sign in there; mail-password, in the file, says with what"),
        once("log", "LEVELS", "What is logged, as info or info,millrace::signal=debug [default: info]"),
        once("log-format", "text|json", "Lines of text or of JSON [default: text]"),
        once("mail-ca", "FILE", "Certificates (PEM) to trust there in place of the system's"),
    ],
};

const TAKE_OVER: Command = Command {
    usage: "millrace take-over [OPTIONS]",
    about: "Run the server in the place of the one that runs over the same data folder, if one does: its ports never close",
    flags: SERVE.flags,
};

const CHECK: Command = Command {
    usage: "millrace check-config [FILE]",
    about: "Say what is wrong with a file of settings, all at once, and run nothing; exit code 2 if anything is",
    flags: &[],
};

const READY: Command = Command {
    usage: "millrace ready [OPTIONS]",
    about: "End with 0 if the server runs, answers and keeps what changes, else with 2",
    flags: &[once("data", "DIR", "The data folder of the server [default: millrace-data]")],
};

const DRAIN: Command = Command {
    usage: "millrace drain [OPTIONS]",
    about: "Have the server let nobody new in, and wait until everybody is gone",
    flags: &[
        once("data", "DIR", "The data folder of the server [default: millrace-data]"),
        once("deadline", "SECONDS", "Wait no longer than this; 0 is not at all [default: 0]"),
    ],
};

const TOKEN: Command = Command {
    usage: "millrace token [OPTIONS] --name <NAME>",
    about: "Print a user token and nothing else, also while the server runs",
    flags: &[
        once("data", "DIR", "The data folder of the server [default: millrace-data]"),
        once("name", "NAME", "The user's name"),
        once("address", "ADDR", "The user's stable address; without one the user is a new one"),
        once(
            "max-publish-kbps",
            "KBPS",
            "Let its holder publish at most so much, all layers of a stream together; 0 is without limit [default: 0]",
        ),
        once(
            "max-subscribe-kbps",
            "KBPS",
            "Let its holder be sent at most so much, all streams together; 0 is without limit [default: 0]",
        ),
        once(
            "max-resolution",
            "0-5",
            "Let its holder publish and be sent no larger pictures than this, 1 (320x240) to 5 (3840x2160); \
             0 is without limit [default: 0]",
        ),
        once(
            "max-voices",
            "N",
            "Let its holder hear at most so many voices at once; 0 is what the server is set to [default: 0]",
        ),
        once(
            "max-fps",
            "N",
            "Let its holder publish at most so many pictures a second; 0 is without limit [default: 0]",
        ),
        once(
            "audio-kbps",
            "KBPS",
            "Let the sound of what its holder publishes be at most so much; 0 is without limit [default: 0]",
        ),
        once(
            "codecs",
            "CODEC[,CODEC]",
            "Let its holder publish pictures in these alone, of vp8, vp9, h264 and av1 [default: any]",
        ),
        once(
            "max-streams",
            "N",
            "Let its holder publish at most so many streams at once; 0 is without limit [default: 0]",
        ),
        once(
            "max-subscriptions",
            "N",
            "Let its holder watch at most so many streams at once; 0 is without limit [default: 0]",
        ),
        once(
            "simulcast-layers",
            "0-4",
            "Let its holder publish at most so many layers of a picture; 0 is without limit [default: 0]",
        ),
        once(
            "priority",
            "N",
            "Let what its holder publishes count higher than other streams, the more the higher; 0 is as usual [default: 0]",
        ),
    ],
};

const APP: Command = Command {
    usage: "millrace app [OPTIONS]",
    about: "Print the secret of an app and nothing else, also while the server runs; an app that is not there is made",
    flags: &[
        once("data", "DIR", "The data folder of the server [default: millrace-data]"),
        once("appid", "ID", "Which app: letters, digits, dots, hyphens [default: default]"),
        once(
            "sessions",
            "one|several",
            "Whether signing in elsewhere with the same token ends the older session, or does not",
        ),
    ],
};

const ABOUT: &str = "A media router for conferences and webinars: one small binary, one port";
const USAGE: &str = "millrace [OPTIONS]\n       millrace <COMMAND>";
const VERSION: &str = concat!("millrace ", env!("CARGO_PKG_VERSION"));

impl Invocation {
    /// Reads the command line; ends the process where it cannot be read, or asks for help.
    pub fn parse() -> Self {
        Self::try_from_line(std::env::args_os()).unwrap_or_else(|stop| match stop {
            Stop::Told(text) => {
                // Whoever reads our output may have gone.
                let _ = writeln!(std::io::stdout(), "{text}");
                process::exit(0)
            }
            Stop::Wrong(text) => {
                eprintln!("{text}");
                process::exit(EXIT_CODE.into())
            }
        })
    }

    /// Reads a command line, of which the first word is the program's name.
    pub fn try_from_line<I, T>(line: I) -> Result<Self, Stop>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString>,
    {
        let words: Result<Vec<String>, OsString> =
            line.into_iter().skip(1).map(|word| word.into().into_string()).collect();
        let words = words.map_err(|word| wrong(format!("{word:?} is not UTF-8"), USAGE))?;
        match words.split_first() {
            Some((first, rest)) if first == "serve" => serve(SERVE.usage, rest).map(Self::Serve),
            Some((first, rest)) if first == "take-over" => serve(TAKE_OVER.usage, rest).map(Self::TakeOver),
            Some((first, rest)) if first == "token" => token(Given::read(&TOKEN, TOKEN.usage, rest)?),
            Some((first, rest)) if first == "check-config" => check(rest),
            Some((first, rest)) if first == "ready" => {
                let data = Given::read(&READY, READY.usage, rest)?.one("data");
                Ok(Self::Ready(data.map(PathBuf::from)))
            }
            Some((first, rest)) if first == "drain" => {
                let mut given = Given::read(&DRAIN, DRAIN.usage, rest)?;
                let deadline = given.number("deadline", u32::MAX)?;
                Ok(Self::Drain(given.one("data").map(PathBuf::from), deadline))
            }
            Some((first, rest)) if first == "app" => app(Given::read(&APP, APP.usage, rest)?),
            Some((first, rest)) if first == "help" => Err(match rest {
                [] => told(help_of_all()),
                [command] if command == "serve" => told(help(&SERVE)),
                [command] if command == "take-over" => told(help(&TAKE_OVER)),
                [command] if command == "token" => told(help(&TOKEN)),
                [command] if command == "app" => told(help(&APP)),
                [command] if command == "check-config" => told(help(&CHECK)),
                [command] if command == "ready" => told(help(&READY)),
                [command] if command == "drain" => told(help(&DRAIN)),
                [other, ..] => wrong(format!("there is no command '{other}'"), USAGE),
            }),
            Some((first, [])) if first == "-V" || first == "--version" => Err(told(VERSION.to_owned())),
            Some((first, _)) if first == "-h" || first == "--help" => Err(told(help_of_all())),
            Some((first, _)) if !first.starts_with('-') => {
                Err(wrong(format!("there is no command '{first}'"), USAGE))
            }
            _ => serve(USAGE, &words).map(Self::Serve),
        }
    }
}

fn app(mut given: Given) -> Result<Invocation, Stop> {
    let several = match given.one("sessions").as_deref() {
        None => None,
        Some("one") => Some(false),
        Some("several") => Some(true),
        Some(other) => {
            let text = format!("'{other}' is no value for '--sessions <one|several>'");
            return Err(wrong(text, APP.usage));
        }
    };
    Ok(Invocation::App(AppOptions {
        data: given.one("data").map_or_else(|| PathBuf::from(DEFAULT_DATA), PathBuf::from),
        appid: given.one("appid").unwrap_or_else(|| DEFAULT_APP.to_owned()),
        several,
    }))
}

fn serve(usage: &'static str, words: &[String]) -> Result<Options, Stop> {
    let given = Given::read(&SERVE, usage, words)?.options;
    let given = given.into_iter().map(|(flag, value)| (flag.name, value)).collect();
    Ok(Options { given, ..Options::default() })
}

fn check(words: &[String]) -> Result<Invocation, Stop> {
    let given = match words {
        [] => Vec::new(),
        [word] if word == "-h" || word == "--help" => return Err(told(help(&CHECK))),
        [file] if !file.starts_with('-') => vec![("config", file.clone())],
        [other, ..] => return Err(wrong(format!("unexpected argument '{other}' found"), CHECK.usage)),
    };
    Ok(Invocation::CheckConfig(Options { given, ..Options::default() }))
}

fn token(mut given: Given) -> Result<Invocation, Stop> {
    let Some(name) = given.one("name") else {
        return Err(wrong(
            "an option that must be there is missing: '--name <NAME>'".to_owned(),
            TOKEN.usage,
        ));
    };
    Ok(Invocation::Token(TokenOptions {
        data: given.one("data").map_or_else(|| PathBuf::from(DEFAULT_DATA), PathBuf::from),
        name,
        address: given.one("address"),
        limits: limits(&mut given)?,
    }))
}

/// What the holder of a token may send and get at most.
fn limits(given: &mut Given) -> Result<Limits, Stop> {
    Ok(Limits {
        max_publish_kbps: given.number("max-publish-kbps", u32::MAX)?,
        max_subscribe_kbps: given.number("max-subscribe-kbps", u32::MAX)?,
        max_resolution: given.number("max-resolution", MAX_RESOLUTION)?,
        max_voices: given.number("max-voices", MAX_VOICES)?,
        max_fps: given.number("max-fps", u8::MAX)?,
        audio_kbps: given.number("audio-kbps", u32::MAX)?,
        codecs: match given.one("codecs") {
            None => Codecs::default(),
            Some(names) => Codecs::parse(&names).ok_or_else(|| {
                let text = format!(
                    "'{names}' is no value for '--codecs <CODEC[,CODEC]>': expected vp8, vp9, h264, av1"
                );
                wrong(text, given.usage)
            })?,
        },
        max_streams: given.number("max-streams", u8::MAX)?,
        max_subscriptions: given.number("max-subscriptions", u16::MAX)?,
        simulcast_layers: given.number("simulcast-layers", MAX_LAYERS)?,
        priority: given.number("priority", u8::MAX)?,
    })
}

/// The options of a command line, in their order.
struct Given {
    usage: &'static str,
    options: Vec<(&'static Flag, String)>,
}

impl Given {
    fn read(command: &'static Command, usage: &'static str, words: &[String]) -> Result<Self, Stop> {
        let mut given = Self { usage, options: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "-h" || word == "--help" {
                return Err(told(help(command)));
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let named = |flag: &&Flag| name.strip_prefix("--") == Some(flag.name);
            let Some(flag) = command.flags.iter().find(named) else {
                let hint = if matches!(name, "serve" | "take-over" | "token" | "app" | "check-config") {
                    "; a command comes first"
                } else {
                    ""
                };
                return Err(wrong(format!("unexpected argument '{name}' found{hint}"), usage));
            };
            // What looks like an option is hardly meant as a value; who means it writes an equals sign.
            let following = || words.as_slice().first().filter(|word| !word.starts_with('-'));
            let value = match value.or_else(|| following().map(String::as_str)) {
                Some(value) => value.to_owned(),
                None => {
                    let text = format!("a value is required for '{}' but none was supplied", shown(flag));
                    return Err(wrong(text, usage));
                }
            };
            if !word.contains('=') {
                words.next();
            }
            if !flag.many && given.options.iter().any(|(known, _)| known.name == flag.name) {
                return Err(wrong(format!("'{}' is given twice", shown(flag)), usage));
            }
            given.options.push((flag, value));
        }
        Ok(given)
    }

    fn one(&mut self, name: &str) -> Option<String> {
        let at = self.options.iter().position(|(flag, _)| flag.name == name)?;
        Some(self.options.swap_remove(at).1)
    }

    /// A number that is 0 if it is not given.
    fn number<N>(&mut self, name: &str, most: N) -> Result<N, Stop>
    where
        N: FromStr + Default + PartialOrd + Display,
    {
        let Some(at) = self.options.iter().position(|(flag, _)| flag.name == name) else {
            return Ok(N::default());
        };
        let (flag, value) = self.options.swap_remove(at);
        value.parse().ok().filter(|number| *number <= most).ok_or_else(|| {
            let text = format!("'{value}' is no value for '{}': expected 0 to {most}", shown(flag));
            wrong(text, self.usage)
        })
    }
}

fn shown(flag: &Flag) -> String {
    format!("--{} <{}>", flag.name, flag.value)
}

fn told(text: String) -> Stop {
    Stop::Told(text)
}

fn wrong(text: String, usage: &str) -> Stop {
    Stop::Wrong(format!("error: {text}\n\nUsage: {usage}\n\nFor more information, try '--help'."))
}

fn help_of_all() -> String {
    format!(
        "{ABOUT}\n\nUsage: {USAGE}\n\nCommands:\n  serve  {}\n  take-over  {}\n  token  {}\n  app    {}\n  \
         check-config  {}\n  ready  {}\n  drain  {}\n  help   Print this message or the help of the given command\n\n{}\n  -V, --version{}Print version",
        SERVE.about,
        TAKE_OVER.about,
        TOKEN.about,
        APP.about,
        CHECK.about,
        READY.about,
        DRAIN.about,
        options(&SERVE),
        " ".repeat(width(&SERVE) - "--version".len()),
    )
}

fn help(command: &Command) -> String {
    format!("{}\n\nUsage: {}\n\n{}", command.about, command.usage, options(command))
}

/// The widest option and two spaces.
fn width(command: &Command) -> usize {
    command.flags.iter().map(|flag| shown(flag).len()).max().unwrap_or(0) + 2
}

fn options(command: &Command) -> String {
    let width = width(command);
    let lines = command.flags.iter().map(|flag| format!("      {:width$}{}\n", shown(flag), flag.help));
    format!("Options:\n{}  -h, {:width$}Print help", lines.collect::<String>(), "--help")
}
