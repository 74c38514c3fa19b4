//! Which settings act while the server runs.

use super::{Config, Log};

/// Settings that were read again.
#[derive(Clone, Debug)]
pub struct Reload {
    /// As they are now.
    pub now: Config,
    /// The keys of those that changed and act at once.
    pub acting: Vec<&'static str>,
    /// The keys of those that changed and act after a restart only.
    pub waiting: Vec<&'static str>,
}

/// What changed.
pub(super) fn compare(before: &Config, now: Config) -> Reload {
    // Taken apart, so that a new setting is not forgotten here.
    let Config {
        data,
        listen,
        http,
        metrics,
        shards,
        io,
        advertise,
        proxies,
        tls,
        acme,
        origins,
        demo,
        voices,
        files,
        mail,
        webhooks,
        log,
    } = before;
    let acting = [
        ("origin", *origins != now.origins),
        ("demo", *demo != now.demo),
        ("voices", *voices != now.voices),
        ("file-mb, file-types, user-files-mb, group-files-mb", *files != now.files),
        ("log", log.filter != now.log.filter),
    ];
    let waiting = [
        ("data", *data != now.data),
        ("listen", *listen != now.listen),
        ("http", *http != now.http),
        ("metrics", *metrics != now.metrics),
        ("shards", *shards != now.shards),
        ("io", *io != now.io),
        ("advertise", *advertise != now.advertise),
        ("trusted-proxy, proxy-header", *proxies != now.proxies),
        ("tls-cert, tls-key", *tls != now.tls),
        ("acme-*", *acme != now.acme),
        ("mail-*", *mail != now.mail),
        ("webhook-*", *webhooks != now.webhooks),
        ("log-format", log.json != now.log.json),
    ];
    let changed = |all: &[(&'static str, bool)]| {
        all.iter().filter_map(|(key, changed)| changed.then_some(*key)).collect()
    };
    Reload { acting: changed(&acting), waiting: changed(&waiting), now }
}

impl Config {
    /// These settings, with those of `now` that act while the server runs.
    #[must_use]
    pub fn with_acting(self, now: &Self) -> Self {
        Self {
            origins: now.origins.clone(),
            demo: now.demo,
            voices: now.voices,
            files: now.files.clone(),
            log: Log { filter: now.log.filter.clone(), ..self.log },
            ..self
        }
    }
}
