//! Settings are checked as a whole: every mistake is told at once, with where it stands and what was expected.

use std::net::SocketAddr;
use std::path::PathBuf;

use millrace::config::{Config, Invocation, Problems, Reload, Stop};
use millrace::control::limits::Limits;
use millrace::mail::Privacy;
use millrace::net::Io;
use millrace::signal::message::Secret;

fn check(line: &[&str]) -> Result<Config, Problems> {
    let line = std::iter::once("millrace").chain(line.iter().copied());
    match Invocation::try_from_line(line).expect("a command line") {
        Invocation::Serve(options) => options.check(),
        _ => panic!("not serve"),
    }
}

fn with_file(text: &str, line: &[&str]) -> (String, Result<Config, Problems>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("millrace.toml");
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a path").to_owned();
    let mut line = line.to_vec();
    line.extend(["--config", &path]);
    let result = check(&line);
    (path, result)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn nothing_given_is_a_whole_configuration() {
    for line in [&[][..], &["serve"]] {
        let config = check(line).expect("no problem");
        assert_eq!(config.data, PathBuf::from("millrace-data"));
        assert_eq!(config.listen, [address("127.0.0.1:4433")]);
        assert_eq!(config.http, address("127.0.0.1:8080"));
        assert!(config.shards >= 1);
        assert_eq!((config.io, config.demo, config.voices), (Io::Auto, true, 8));
        assert!(config.advertise.is_empty() && config.tls.is_none() && config.origins.is_empty());
    }
}

#[test]
fn everything_can_be_given_on_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = folder.path().join("a.pem");
    std::fs::write(&pem, "").expect("written");
    let pem = pem.to_str().expect("a path");
    let line = [
        "serve",
        "--data",
        "/tmp/d",
        "--listen",
        "0.0.0.0:443",
        "--listen",
        "[::]:443",
        "--http",
        "0.0.0.0:80",
        "--shards",
        "3",
        "--io",
        "mmsg",
        "--advertise",
        "203.0.113.7,2001:db8::7",
        "--tls-cert",
        pem,
        "--tls-key",
        pem,
        "--origin",
        "https://Example.org:443",
        "--demo",
        "false",
        "--voices",
        "3",
    ];
    let config = check(&line).expect("no problem");
    assert_eq!(config.listen, [address("0.0.0.0:443"), address("[::]:443")]);
    assert_eq!(config.shards, 3);
    assert_eq!(config.io, Io::Mmsg);
    assert_eq!(config.advertise.len(), 2);
    assert!(config.tls.is_some());
    assert_eq!(config.origins, ["https://example.org"]);
    assert!(!config.demo);
    assert_eq!(config.voices, 3);
}

#[test]
fn the_line_wins_over_the_file() {
    let text = "http = \"127.0.0.1:9000\"\nlisten = [\"127.0.0.1:5000\", \"[::1]:5000\"]\nshards = 2\ndemo = false\n";
    let (_, config) = with_file(text, &["--http", "127.0.0.1:9001"]);
    let config = config.expect("no problem");
    assert_eq!(config.http, address("127.0.0.1:9001"));
    assert_eq!(config.listen, [address("127.0.0.1:5000"), address("[::1]:5000")]);
    assert_eq!((config.shards, config.demo), (2, false));
}

#[test]
fn every_problem_is_told_at_once() {
    let text = "http = \"localhost\"\nlisten = [\"4433\", 7]\nshards = 0\nvoices = 33\nio = \"epoll\"\nport = 1\norigin = \"example.org\"\n\
                [tls]\ncert = \"a\"\n";
    let (path, result) =
        with_file(text, &["--advertise", "203.0.113.7,nowhere", "--tls-key", "/no/such/key.pem"]);
    let problems = result.expect_err("problems");
    let mut told: Vec<_> =
        problems.0.iter().map(|problem| (problem.place.as_str(), problem.key.as_str())).collect();
    told.sort_unstable();
    let line = "command line";
    let at = |line: u32| format!("{path}:{line}");
    let places: Vec<String> = (0..12).map(at).collect();
    let mut expected = vec![
        (line, "advertise"),
        (line, "tls-key"),
        (line, "tls-key"),
        (places[1].as_str(), "http"),
        (places[5].as_str(), "io"),
        (places[2].as_str(), "listen"),
        (places[2].as_str(), "listen"),
        (places[7].as_str(), "origin"),
        (places[6].as_str(), "port"),
        (places[3].as_str(), "shards"),
        (places[8].as_str(), "tls"),
        (places[4].as_str(), "voices"),
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
    let text = problems.to_string();
    assert_eq!(text.lines().count(), expected.len(), "one line each:\n{text}");
    assert!(
        text.contains(&format!("{path}:1: http: is \"localhost\": expected an address and a port")),
        "{text}"
    );
    assert!(text.contains("needs tls-cert"), "{text}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named_with_the_line() {
    let problems = check(&["--config", "/no/such/file.toml"]).expect_err("a problem").to_string();
    assert_eq!(
        problems,
        "/no/such/file.toml: config: it is not there: give the path of a TOML file that can be read"
    );
    let (path, result) = with_file("demo = true\nhttp = \n", &[]);
    let problems = result.expect_err("a problem").to_string();
    assert!(problems.starts_with(&format!("{path}:2: config: ")), "{problems}");
}

#[test]
fn the_same_address_twice_is_a_problem() {
    let problems = check(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:1"]).expect_err("a problem");
    assert_eq!(
        problems.to_string(),
        "command line: listen: 127.0.0.1:1 is given twice: give each address once"
    );
}

fn stop(line: &[&str]) -> Stop {
    Invocation::try_from_line(std::iter::once("millrace").chain(line.iter().copied()))
        .expect_err("nothing to run")
}

#[test]
fn what_is_wrong_with_a_line_is_told_with_how_to_write_it() {
    let cases: [(&[&str], &str); 11] = [
        (&["--port", "1"], "unexpected argument '--port' found"),
        (&["serve", "more"], "unexpected argument 'more' found"),
        (&["--demo", "true", "token"], "unexpected argument 'token' found; a command comes first"),
        (&["run"], "there is no command 'run'"),
        (&["--listen"], "a value is required for '--listen <ADDR:PORT>' but none was supplied"),
        (&["--data", "--demo", "true"], "a value is required for '--data <DIR>' but none was supplied"),
        (&["--http", "a", "--http=b"], "'--http <ADDR:PORT>' is given twice"),
        (&["token"], "an option that must be there is missing: '--name <NAME>'"),
        (
            &["token", "--name", "A", "--max-voices", "33"],
            "'33' is no value for '--max-voices <N>': expected 0 to 32",
        ),
        (&["token", "--name", "A", "--max-publish-kbps=-1"], "expected 0 to 4294967295"),
        (&["token", "--name", "A", "--shards", "1"], "unexpected argument '--shards' found"),
    ];
    for (line, expected) in cases {
        let Stop::Wrong(text) = stop(line) else { panic!("{line:?}") };
        assert!(text.contains(expected), "{line:?}: {text}");
        let command =
            if line.first() == Some(&"token") { "Usage: millrace token" } else { "Usage: millrace " };
        assert!(text.contains(command) && text.contains("try '--help'"), "{text}");
    }
}

#[test]
fn help_names_every_option_of_its_command_in_a_column() {
    let serve = ["--config", "--listen", "--tls-key", "--voices", "--mail-server", "--help"];
    let token = ["--data", "--name", "--address", "--max-publish-kbps", "--max-voices", "--help"];
    let all =
        [&serve[..], &["--version", "serve  Run", "take-over  Run", "token  Print", "app    Print"]].concat();
    let app = ["--data", "--appid", "--sessions", "--help"];
    let cases: [(&[&str], &[&str]); 8] = [
        (&["help", "app"], &app),
        (&["--help"], &all),
        (&["help"], &all),
        (&["--demo", "true", "-h"], &serve),
        (&["serve", "--help"], &serve),
        (&["help", "take-over"], &serve),
        (&["token", "-h"], &token),
        (&["help", "token"], &token),
    ];
    for (line, names) in cases {
        let Stop::Told(text) = stop(line) else { panic!("{line:?}") };
        assert!(names.iter().all(|name| text.contains(name)), "{line:?}: {text}");
        let (_, options) = text.split_once("Options:\n").expect("options");
        let column = |line: &str| line.find("--").and_then(|at| Some(at + line.get(at..)?.find("  ")?));
        let starts: Vec<_> = options
            .lines()
            .map(|line| {
                let at = column(line).expect("two columns");
                at + line[at..].len() - line[at..].trim_start().len()
            })
            .collect();
        assert!(starts.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }
    assert_eq!(stop(&["-V"]), Stop::Told(format!("millrace {}", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_token_is_asked_for_with_or_without_equals_signs() {
    for line in [
        &["millrace", "token", "--data", "d", "--name", "Ada"][..],
        &["millrace", "token", "--data=d", "--name=Ada"],
    ] {
        match Invocation::try_from_line(line).expect("a command line") {
            Invocation::Token(token) => {
                assert_eq!(token.data, PathBuf::from("d"));
                assert_eq!((token.name.as_str(), token.address.as_deref()), ("Ada", None));
                assert_eq!(token.limits, Limits::default());
            }
            _ => panic!("not token"),
        }
    }
    let line = [
        "millrace",
        "token",
        "--name",
        "Ada",
        "--address=-a=b",
        "--max-voices",
        "2",
        "--max-resolution",
        "5",
    ];
    match Invocation::try_from_line(line).expect("a command line") {
        Invocation::Token(token) => {
            assert_eq!(token.data, PathBuf::from("millrace-data"));
            assert_eq!(
                (token.address.as_deref(), token.limits.max_voices, token.limits.max_resolution),
                (Some("-a=b"), 2, 5)
            );
        }
        _ => panic!("not token"),
    }
}

#[test]
fn an_app_is_asked_for_by_its_id() {
    let app = |line: &[&str]| match Invocation::try_from_line(["millrace", "app"].iter().chain(line)) {
        Ok(Invocation::App(app)) => Ok((app.appid, app.several)),
        Ok(_) => panic!("not app"),
        Err(stop) => Err(stop),
    };
    assert_eq!(app(&[]), Ok(("default".to_owned(), None)));
    assert_eq!(app(&["--appid", "shop", "--sessions", "several"]), Ok(("shop".to_owned(), Some(true))));
    assert_eq!(app(&["--sessions=one"]), Ok(("default".to_owned(), Some(false))));
    assert!(
        matches!(app(&["--sessions", "two"]), Err(Stop::Wrong(text)) if text.contains("'two' is no value"))
    );
}

#[test]
fn a_mail_server_is_named_with_all_that_belongs_to_it() {
    let server = |text: &str| {
        let (_, config) = with_file(text, &[]);
        config.map(|config| config.mail.expect("a mail server"))
    };
    let all = server(
        "mail-server = \"smtp://mail.example.org\"\nmail-from = \"No-Reply@example.org\"\nmail-user = \"u\"\n\
         mail-password = \"p\"\n",
    )
    .expect("no problem");
    assert_eq!((all.host.as_str(), all.port, all.privacy), ("mail.example.org", 587, Privacy::StartTls));
    assert_eq!(all.from, "no-reply@example.org");
    assert_eq!(all.account, Some(("u".to_owned(), Secret("p".to_owned()))));
    let least =
        server("mail-server = \"smtps://[::1]:2465\"\nmail-from = \"a@localhost\"\n").expect("no problem");
    assert_eq!((least.host.as_str(), least.port, least.privacy), ("::1", 2465, Privacy::Tls));
    for (text, expected) in [
        ("mail-server = \"mail.example.org\"\nmail-from = \"a@b\"\n", "expected smtps://HOST"),
        ("mail-server = \"smtps://u:p@mail.example.org\"\nmail-from = \"a@b\"\n", "expected smtps://HOST"),
        ("mail-server = \"smtps://mail.example.org\"\n", "mail-server: needs mail-from, too"),
        ("mail-server = \"smtps://a\"\nmail-from = \"x\"\n", "expected an e-mail address"),
        ("mail-server = \"smtps://a\"\nmail-from = \"a@b\"\nmail-user = \"u\"\n", "needs mail-password, too"),
        ("mail-user = \"u\"\nmail-password = \"p\"\n", "mail-user: needs mail-server, too"),
    ] {
        let told = server(text).expect_err("a problem").to_string();
        assert!(told.contains(expected), "{told}");
    }
    let Stop::Wrong(text) = stop(&["--mail-password", "p"]) else { panic!("a password on the command line") };
    assert!(text.contains("unexpected argument"), "everyone on the host could read it: {text}");
}

#[test]
fn a_data_folder_is_made_private_or_the_problem_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("a/b");
    let config = check(&["--data", data.to_str().expect("a path")]).expect("no problem");
    config.prepare_data().expect("made");
    config.prepare_data().expect("there");
    assert_eq!(std::fs::metadata(&data).expect("a folder").permissions().mode() & 0o777, 0o700);

    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let config = check(&["--data", file.to_str().expect("a path")]).expect("no problem");
    let problem = config.prepare_data().expect_err("a file is no folder").to_string();
    assert!(problem.contains("it is not a folder: give a folder that can be written"), "{problem}");
}

fn in_environment(line: &[&str], variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let line = std::iter::once("millrace").chain(line.iter().copied());
    let find = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    match Invocation::try_from_line(line).expect("a command line") {
        Invocation::Serve(options) | Invocation::CheckConfig(options) => options.in_environment(find).check(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_environment_stands_between_the_line_and_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("millrace.toml");
    std::fs::write(&file, "http = \"127.0.0.1:1\"\nvoices = 2\nshards = 2\nlog-format = \"json\"\n")
        .expect("written");
    let file = file.to_str().expect("a path");
    let variables = [
        ("MILLRACE_CONFIG", file),
        ("MILLRACE_HTTP", "127.0.0.1:2"),
        ("MILLRACE_VOICES", "3"),
        ("MILLRACE_LISTEN", "127.0.0.1:5, [::1]:5"),
        ("MILLRACE_LOG", "warn"),
        ("MILLRACE_DEMO", ""),
        ("MILLRACE_SERVICE_HOST", "10.0.0.1"),
    ];
    let config = in_environment(&["--http", "127.0.0.1:3"], &variables).expect("no problem");
    assert_eq!(config.http, address("127.0.0.1:3"));
    assert_eq!((config.voices, config.shards, config.demo), (3, 2, true));
    assert_eq!(config.listen, [address("127.0.0.1:5"), address("[::1]:5")]);
    assert_eq!((config.log.filter.as_str(), config.log.json), ("warn", true));
    let problems =
        in_environment(&["check-config"], &[("MILLRACE_SHARDS", "0"), ("MILLRACE_LOG", "info=loud")]);
    let text = problems.expect_err("problems").to_string();
    assert!(
        text.contains("environment: MILLRACE_SHARDS: shards: is \"0\": expected a number from 1 to 128"),
        "{text}"
    );
    assert!(text.contains("environment: MILLRACE_LOG: log: "), "{text}");
}

#[test]
fn of_what_changed_it_is_told_what_needs_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("millrace.toml");
    std::fs::write(&file, "voices = 2\n").expect("written");
    let line = ["millrace", "--config", file.to_str().expect("a path")];
    let Ok(Invocation::Serve(options)) = Invocation::try_from_line(line) else { panic!("not serve") };
    let before = options.clone().check().expect("no problem");
    std::fs::write(&file, "voices = 4\nlog = \"debug\"\nhttp = \"127.0.0.1:9\"\ndemo = false\n")
        .expect("written");
    let Reload { now, acting, waiting } = options.check_again(&before).expect("no problem");
    assert_eq!((now.voices, now.log.filter.as_str()), (4, "debug"));
    assert_eq!((acting, waiting), (vec!["demo", "voices", "log"], vec!["http"]));
    std::fs::write(&file, "voices = 99\n").expect("written");
    assert_eq!(options.check_again(&before).expect_err("a problem").0.len(), 1);
}

#[test]
fn the_reference_names_every_setting_and_no_other() {
    let page = include_str!("../docs/configuration.md");
    let (_, rest) = page.split_once("```toml\n").expect("a file");
    let (text, _) = rest.split_once("```").expect("its end");
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().to_str().expect("a path");
    let text = text.replace("/etc/millrace", here);
    for name in ["chain.pem", "key.pem", "acme-ca.pem", "mail-ca.pem", "webhook-ca.pem"] {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    // A certificate comes from files or from an authority.
    for other in ["acme-", "tls-"] {
        let lines = text.lines().filter(|line| !line.starts_with(other));
        let (_, config) = with_file(&lines.collect::<Vec<_>>().join("\n"), &[]);
        config.expect("nothing is wrong with it");
    }
    let table: toml::Table = text.parse().expect("TOML");
    let mut named: Vec<&str> = table.keys().map(String::as_str).collect();
    let mut known: Vec<&str> = millrace::config::keys().collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}
