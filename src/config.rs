//! Every setting, its default and its check, in one place.
//!
//! A setting comes from the command line, else from the environment, else from the file that `--config` names, else it has
//! its default. All are checked together: whoever made three mistakes reads of three, each with where it stands and what
//! was expected.

mod line;
mod reload;
pub(crate) mod toml;

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;

pub use self::line::Stop;
pub use self::reload::Reload;
use crate::acme;
use crate::control::directory::{FileRules, mail_address};
use crate::control::limits::{Limits, MAX_VOICES};
use crate::hooks;
use crate::http::{Network, Proxies};
use crate::log::Filter;
use crate::mail::{MailServer, Privacy};
use crate::net::Io;
use crate::origin::{Host, Origin};
use crate::signal::message::Secret;

/// Where everything is kept unless told otherwise: in the working directory, in plain sight.
pub const DEFAULT_DATA: &str = "millrace-data";
/// The exit code of a wrong setting.
pub const EXIT_CODE: u8 = 2;

/// More shards than this help nobody.
const MAX_SHARDS: usize = 128;
/// Of more voices at once nobody understands a word.
const DEFAULT_VOICES: u8 = 8;

/// What was asked for on the command line.
#[derive(Debug)]
pub enum Invocation {
    /// Run the server.
    Serve(Options),
    /// Run the server in the place of the one that runs.
    TakeOver(Options),
    /// Say what is wrong with the settings, and run nothing.
    CheckConfig(Options),
    /// Find out whether the server of this folder runs and works.
    Ready(Option<PathBuf>),
    /// Have the server of this folder let nobody new in, and wait for so many seconds until everybody is gone.
    Drain(Option<PathBuf>, u32),
    /// Print a user token.
    Token(TokenOptions),
    /// Print the secret of an app.
    App(AppOptions),
}

/// Settings of the server as given on the command line and in the environment, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names and values, in the order in which they were given.
    given: Vec<(&'static str, String)>,
    /// The same, of the environment.
    environment: Vec<(&'static str, String)>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Levels, for all and by module.
    pub filter: String,
    /// One JSON object a line, in place of text.
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: false }
    }
}

/// What `millrace token` was asked for.
#[derive(Debug)]
pub struct TokenOptions {
    /// The data folder of the server.
    pub data: PathBuf,
    /// The user's name.
    pub name: String,
    /// The user's stable address; without one the user is a new one.
    pub address: Option<String>,
    /// What the holder of the token may send and get at most.
    pub limits: Limits,
}

/// What `millrace app` was asked for.
#[derive(Debug)]
pub struct AppOptions {
    /// The data folder of the server.
    pub data: PathBuf,
    /// Which app; made if there is none.
    pub appid: String,
    /// Whether a token of its users may be signed in several times at once, if that is to be changed.
    pub several: Option<bool>,
}

/// Certificate and key of the web page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, PEM.
    pub cert: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

/// The settings of the server, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Media and signalling.
    pub listen: Vec<SocketAddr>,
    /// Web page and REST.
    pub http: SocketAddr,
    /// `/metrics` and `/readyz` alone, for whoever comes.
    pub metrics: Option<SocketAddr>,
    /// Threads that carry media.
    pub shards: u8,
    /// How datagrams are read and written.
    pub io: Io,
    /// Addresses for candidates in place of our own; empty where our own do.
    pub advertise: Vec<IpAddr>,
    /// Who asks for others.
    pub proxies: Proxies,
    /// HTTPS in place of HTTP.
    pub tls: Option<Tls>,
    /// Who gives the page its certificate.
    pub acme: Option<acme::Settings>,
    /// Origins besides the page's own whose pages may connect, as in `https://example.org`.
    pub origins: Vec<String>,
    /// Whether to keep a demo group.
    pub demo: bool,
    /// Voices that a viewer hears at once, where the group says nothing else.
    pub voices: u8,
    /// What files people may send each other.
    pub files: FileRules,
    /// Who sends one-time codes.
    pub mail: Option<MailServer>,
    /// Who is told what happens in groups.
    pub webhooks: Option<hooks::Settings>,
    /// What is logged.
    pub log: Log,
}

/// One mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: a file's path, or the command line.
    pub place: String,
    /// Which setting.
    pub key: String,
    /// What is wrong and what was expected.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.key, self.text)
    }
}

/// All mistakes in the settings; one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

const COMMAND_LINE: &str = "command line";
/// A key's variable: `MILLRACE_TLS_CERT` for `tls-cert`. What else begins so is left alone: container platforms set such
/// variables for services.
fn variable(key: &str) -> String {
    format!("MILLRACE_{}", key.replace('-', "_").to_ascii_uppercase())
}
/// Every key of the file, and whether it takes a list.
const KEYS: &[(&str, bool)] = &[
    ("data", false),
    ("listen", true),
    ("http", false),
    ("metrics", false),
    ("shards", false),
    ("io", false),
    ("advertise", true),
    ("tls-cert", false),
    ("tls-key", false),
    ("acme-domain", true),
    ("acme-directory", false),
    ("acme-ca", false),
    ("trusted-proxy", true),
    ("proxy-header", false),
    ("origin", true),
    ("demo", false),
    ("voices", false),
    ("file-mb", false),
    ("file-types", true),
    ("user-files-mb", false),
    ("group-files-mb", false),
    ("mail-server", false),
    ("mail-user", false),
    ("mail-password", false),
    ("mail-from", false),
    ("mail-ca", false),
    ("webhook", true),
    ("webhook-secret", false),
    ("webhook-ca", false),
    ("log", false),
    ("log-format", false),
    ("config", false),
];

/// The keys that the file may have.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(key, _)| *key).filter(|key| *key != "config")
}

impl Options {
    /// With what the environment says; `read` looks a variable up.
    #[must_use]
    pub fn in_environment(mut self, read: impl Fn(&str) -> Option<String>) -> Self {
        let given = KEYS.iter().filter_map(|(key, _)| Some((*key, read(&variable(key))?)));
        self.environment = given.filter(|(_, value)| !value.is_empty()).collect();
        self
    }

    /// The settings as they are now, when they were `before`. The file is read again.
    pub fn check_again(&self, before: &Config) -> Result<Reload, Problems> {
        Ok(reload::compare(before, self.clone().check()?))
    }

    /// Reads the file, if one is named, and checks everything.
    pub fn check(self) -> Result<Config, Problems> {
        let mut check = Check::default();
        let mut file = None;
        for (key, value) in self.given {
            match key {
                "config" => file = Some(PathBuf::from(value)),
                key => check.given.push(Given { place: COMMAND_LINE.to_owned(), key, value }),
            }
        }
        let from_line: Vec<&str> = check.given.iter().map(|given| given.key).collect();
        for (key, value) in self.environment {
            let place = format!("environment: {}", variable(key));
            match KEYS.iter().find(|(known, _)| *known == key) {
                Some(("config", _)) => file = file.or_else(|| Some(PathBuf::from(value))),
                _ if from_line.contains(&key) => {}
                Some((_, true)) => check.given.extend(value.split(',').map(str::trim).map(|value| Given {
                    place: place.clone(),
                    key,
                    value: value.to_owned(),
                })),
                _ => check.given.push(Given { place, key, value }),
            }
        }
        if let Some(file) = file {
            check.read(&file);
        }

        let data =
            check.one("data", "the path of a folder", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        let address = "an address and a port, as in 127.0.0.1:4433 or [::1]:4433";
        let listen = check.many("listen", address, socket_address);
        let http =
            check.one("http", "an address and a port, as in 127.0.0.1:8080 or [::1]:8080", socket_address);
        let metrics =
            check.one("metrics", "an address and a port, as in 127.0.0.1:9090 or [::1]:9090", socket_address);
        let shards = check.one("shards", "a number from 1 to 128", |text| {
            text.parse::<usize>()
                .ok()
                .filter(|n| (1..=MAX_SHARDS).contains(n))
                .and_then(|n| u8::try_from(n).ok())
        });
        let io = check.one("io", "auto, uring or mmsg", |text| match text {
            "auto" => Some(Io::Auto),
            "uring" => Some(Io::Uring),
            "mmsg" => Some(Io::Mmsg),
            _ => None,
        });
        check.split("advertise");
        let advertise =
            check.many("advertise", "IP addresses that clients can reach, as in 203.0.113.7", |text| {
                text.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified() && !ip.is_multicast())
            });
        let readable = "the path of a PEM file that can be read";
        let pem = |text: &str| Some(PathBuf::from(text)).filter(|path| fs::File::open(path).is_ok());
        let tls_cert = check.one("tls-cert", readable, pem);
        let tls_key = check.one("tls-key", readable, pem);
        check.split("trusted-proxy");
        let networks = check.many(
            "trusted-proxy",
            "addresses or networks, as in 127.0.0.1 or 10.0.0.0/8",
            Network::parse,
        );
        let forwarded = check.one("proxy-header", "x-forwarded-for or forwarded", |text| match text {
            "x-forwarded-for" => Some(false),
            "forwarded" => Some(true),
            _ => None,
        });
        if let (Some(place), None) = (check.names("proxy-header"), check.names("trusted-proxy")) {
            check.problem(place, "proxy-header", "needs trusted-proxy, who writes it".to_owned());
        }
        let origins =
            check.many("origin", "scheme, host and port and no more, as in https://example.org", origin);
        let demo = check.one("demo", "true or false", |text| text.parse::<bool>().ok());
        let voices = check.one("voices", "a number from 1 to 32", |text| {
            text.parse::<u8>().ok().filter(|n| (1..=MAX_VOICES).contains(n))
        });

        let tls = match (check.names("tls-cert"), check.names("tls-key")) {
            (Some(place), None) => {
                check.problem(
                    place,
                    "tls-cert",
                    "needs tls-key, the private key of this certificate".to_owned(),
                );
                None
            }
            (None, Some(place)) => {
                check.problem(place, "tls-key", "needs tls-cert, the certificate of this key".to_owned());
                None
            }
            _ => tls_cert.zip(tls_key).map(|(cert, key)| Tls { cert, key }),
        };
        let acme = check.acme();
        if let (Some(place), Some(_)) = (check.names("acme-domain"), check.names("tls-cert")) {
            let text = "gets a certificate, and tls-cert names one: give one of the two".to_owned();
            check.problem(place, "acme-domain", text);
        }
        let files = check.files();
        let mail = check.mail();
        let webhooks = check.webhooks();
        let log = Log {
            filter: check
                .one(
                    "log",
                    "error, warn, info, debug or trace, or as in info,millrace::signal=debug",
                    |text| Filter::parse(text).map(|_| text.to_owned()),
                )
                .unwrap_or_else(|| Log::default().filter),
            json: check.one("log-format", "text or json", |text| match text {
                "text" => Some(false),
                "json" => Some(true),
                _ => None,
            }) == Some(true),
        };
        let twice = listen
            .iter()
            .enumerate()
            .find(|(n, address)| listen.iter().take(*n).any(|other| other == *address));
        if let Some((_, address)) = twice {
            let place = check.names("listen").unwrap_or_default();
            check.problem(place, "listen", format!("{address} is given twice: give each address once"));
        }

        if !check.problems.is_empty() {
            return Err(Problems(check.problems));
        }
        let or = |listen: Vec<SocketAddr>| if listen.is_empty() { vec![loopback(4433)] } else { listen };
        Ok(Config {
            data: data.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA)),
            listen: or(listen),
            http: http.unwrap_or_else(|| loopback(8080)),
            metrics,
            shards: shards.unwrap_or_else(one_per_core),
            io: io.unwrap_or_default(),
            advertise,
            proxies: Proxies { networks, forwarded: forwarded.unwrap_or(false) },
            tls,
            acme,
            origins,
            demo: demo.unwrap_or(true),
            voices: voices.unwrap_or(DEFAULT_VOICES),
            files,
            mail,
            webhooks,
            log,
        })
    }
}

impl Config {
    /// Makes the data folder if need be, for the owner alone, and sees that it can be written.
    pub fn prepare_data(&self) -> Result<(), Problem> {
        prepare_data(&self.data)
    }
}

/// Makes a data folder if need be, for the owner alone, and sees that it can be written.
pub fn prepare_data(data: &Path) -> Result<(), Problem> {
    let probe = data.join(".writable");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .and_then(|()| {
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe).map(drop)
        })
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|error| Problem {
            place: data.display().to_string(),
            key: "data".to_owned(),
            text: format!("{}: give a folder that can be written", plain(&error)),
        })
}

struct Given {
    place: String,
    key: &'static str,
    value: String,
}

#[derive(Default)]
struct Check {
    given: Vec<Given>,
    problems: Vec<Problem>,
}

impl Check {
    fn problem(&mut self, place: String, key: &str, text: String) {
        self.problems.push(Problem { place, key: key.to_owned(), text });
    }

    /// What files people may send each other.
    fn files(&mut self) -> FileRules {
        let mut rules = FileRules::default();
        let sizes = [
            ("file-mb", &mut rules.largest),
            ("user-files-mb", &mut rules.of_user),
            ("group-files-mb", &mut rules.of_group),
        ];
        for (key, size) in sizes {
            let given = self.one(key, "a number of MiB from 0 to 1000000", |text| {
                text.parse::<u64>().ok().filter(|mib| *mib <= 1_000_000).map(|mib| mib * 1024 * 1024)
            });
            *size = given.unwrap_or(*size);
        }
        self.split("file-types");
        let types = self.many("file-types", "media types, as in image/* or application/pdf", |text| {
            text.split_once('/').filter(|(sort, of_it)| !sort.is_empty() && !of_it.is_empty())?;
            Some(text.to_ascii_lowercase())
        });
        if !types.is_empty() {
            rules.types = types;
        }
        rules
    }

    /// Takes from the file what the command line does not give.
    fn read(&mut self, file: &Path) {
        let place = file.display().to_string();
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                let text = format!("{}: give the path of a TOML file that can be read", plain(&error));
                return self.problem(place, "config", text);
            }
        };
        let table = match toml::parse(&text) {
            Ok(table) => table,
            Err(toml::Wrong { line, what }) => {
                let text = format!("{what}: expected TOML, as in http = \"127.0.0.1:8080\"");
                return self.problem(format!("{place}:{line}"), "config", text);
            }
        };
        let from_line: Vec<&str> = self.given.iter().map(|given| given.key).collect();
        for (name, value, line) in table {
            let place = format!("{place}:{line}");
            let Some((key, list)) = KEYS.iter().copied().find(|(key, _)| *key == name && name != "config")
            else {
                let known: Vec<_> = KEYS.iter().map(|(key, _)| *key).filter(|key| *key != "config").collect();
                self.problem(
                    place.clone(),
                    &name,
                    format!("there is no such setting: expected {}", known.join(", ")),
                );
                continue;
            };
            let values = match value {
                toml::Value::List(values) if list => values,
                value => vec![value],
            };
            for value in values {
                let value = match value {
                    toml::Value::Text(text) => text,
                    toml::Value::Integer(number) => number.to_string(),
                    toml::Value::Boolean(truth) => truth.to_string(),
                    other => {
                        let list = if list { " or a list of them" } else { "" };
                        let text = format!("is {}: expected a text{list}", other.sort());
                        self.problem(place.clone(), key, text);
                        continue;
                    }
                };
                if !from_line.contains(&key) {
                    self.given.push(Given { place: place.clone(), key, value });
                }
            }
        }
    }

    /// Where a setting is given, if it is.
    fn names(&self, key: &str) -> Option<String> {
        self.given.iter().find(|given| given.key == key).map(|given| given.place.clone())
    }

    /// Takes values apart at commas.
    fn split(&mut self, key: &str) {
        let apart = |given: Given| -> Vec<Given> {
            if given.key != key {
                return vec![given];
            }
            let values = given.value.split(',').map(str::trim);
            values
                .map(|value| Given { place: given.place.clone(), key: given.key, value: value.to_owned() })
                .collect()
        };
        self.given = std::mem::take(&mut self.given).into_iter().flat_map(apart).collect();
    }

    fn many<T>(&mut self, key: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let mut good = Vec::new();
        for given in self.given.iter().filter(|given| given.key == key) {
            match parse(&given.value) {
                Some(value) => good.push(value),
                None => self.problems.push(Problem {
                    place: given.place.clone(),
                    key: key.to_owned(),
                    text: format!("is {:?}: expected {expected}", given.value),
                }),
            }
        }
        good
    }

    /// What belongs to mail: nothing, or at least a server and who letters come from.
    fn mail(&mut self) -> Option<MailServer> {
        let server = self.one(
            "mail-server",
            "smtps://HOST or smtp://HOST (which uses STARTTLS), with :PORT if it is not 465 or 587",
            mail_server,
        );
        let user =
            self.one("mail-user", "a name", |text| Some(text.to_owned()).filter(|text| !text.is_empty()));
        let password = self.one("mail-password", "a text", |text| Some(Secret(text.to_owned())));
        let from = self.one("mail-from", "an e-mail address, as in no-reply@example.org", mail_address);
        let ca = self.one("mail-ca", "the path of a PEM file that can be read", |text| {
            Some(PathBuf::from(text)).filter(|path| fs::File::open(path).is_ok())
        });
        for (key, needs) in [
            ("mail-server", "mail-from"),
            ("mail-from", "mail-server"),
            ("mail-user", "mail-password"),
            ("mail-password", "mail-user"),
            ("mail-user", "mail-server"),
            ("mail-ca", "mail-server"),
        ] {
            if let (Some(place), None) = (self.names(key), self.names(needs)) {
                self.problem(place, key, format!("needs {needs}, too"));
            }
        }
        let (privacy, host, port) = server?;
        Some(MailServer { host, port, privacy, account: user.zip(password), from: from?, ca })
    }

    /// What belongs to certificates that are given out: nothing, or at least a name.
    fn acme(&mut self) -> Option<acme::Settings> {
        self.split("acme-domain");
        let domains = self.many("acme-domain", "a name, as in meet.example.org", |text| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
            let named = text.contains('.') && text.len() < 254 && text.bytes().all(good);
            named.then(|| text.to_ascii_lowercase())
        });
        let directory = self.one(
            "acme-directory",
            "the address of an authority's directory, as in https://acme.example.org/directory",
            hooks::endpoint,
        );
        let ca = self.one("acme-ca", "the path of a PEM file that can be read", |text| {
            Some(PathBuf::from(text)).filter(|path| fs::File::open(path).is_ok())
        });
        for (key, needs) in [("acme-directory", "acme-domain"), ("acme-ca", "acme-domain")] {
            if let (Some(place), None) = (self.names(key), self.names(needs)) {
                self.problem(place, key, format!("needs {needs}, too"));
            }
        }
        let directory = directory.or_else(|| hooks::endpoint(acme::LETS_ENCRYPT))?;
        (!domains.is_empty()).then_some(acme::Settings { domains, directory, ca })
    }

    /// What belongs to webhooks: endpoints with a secret, or none of both.
    fn webhooks(&mut self) -> Option<hooks::Settings> {
        let endpoints = self.many("webhook", "an address, as in https://example.org/hooks", hooks::endpoint);
        let secret =
            self.one("webhook-secret", "whsec_ and base 64, or a text, of 24 bytes or more", |text| {
                hooks::secret_bytes(text).map(|_| Secret(text.to_owned()))
            });
        let ca = self.one("webhook-ca", "the path of a PEM file that can be read", |text| {
            Some(PathBuf::from(text)).filter(|path| fs::File::open(path).is_ok())
        });
        for (key, needs) in [("webhook", "webhook-secret"), ("webhook-secret", "webhook")] {
            if let (Some(place), None) = (self.names(key), self.names(needs)) {
                self.problem(place, key, format!("needs {needs}, too"));
            }
        }
        // Certificates alone are for the endpoints of apps.
        let any = !endpoints.is_empty() || ca.is_some();
        any.then(|| hooks::Settings { endpoints, secret: secret.unwrap_or_default(), ca, first_pause: None })
    }

    fn one<T>(&mut self, key: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.many(key, expected, parse).into_iter().next()
    }
}

fn socket_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// An origin as browsers send it (RFC 6454 section 6.2): no path, the default port left out.
fn origin(text: &str) -> Option<String> {
    Origin::parse(text).map(|origin| origin.to_string())
}

/// How a mail server is spoken to, its host and its port.
fn mail_server(text: &str) -> Option<(Privacy, String, u16)> {
    let (privacy, rest, usual) = match text.split_once("://")? {
        ("smtps", rest) => (Privacy::Tls, rest, 465),
        ("smtp", rest) => (Privacy::StartTls, rest, 587),
        _ => return None,
    };
    let (host, port) = Host::of_authority(rest.strip_suffix('/').unwrap_or(rest))?;
    let host = match host {
        Host::Name(name) => name.to_owned(),
        Host::Address(address) => address.to_string(),
    };
    Some((privacy, host, port.unwrap_or(usual)))
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn one_per_core() -> u8 {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u8::try_from(cores.min(MAX_SHARDS)).unwrap_or(1)
}

/// What went wrong, without the number that the system gives it.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "it is not a folder".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.to_string(),
    }
}
