//! Which settings act while the server runs.

use super::Config;

/// The keys of settings that changed and act after a restart only. The others (`log`, `voices`) act at once.
pub(super) fn waiting(before: &Config, now: &Config) -> Vec<&'static str> {
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
        origins,
        demo,
        voices: _,
        files,
        mail,
        webhooks,
        log,
    } = before;
    let changed = [
        ("data", *data != now.data),
        ("listen", *listen != now.listen),
        ("http", *http != now.http),
        ("metrics", *metrics != now.metrics),
        ("shards", *shards != now.shards),
        ("io", *io != now.io),
        ("advertise", *advertise != now.advertise),
        ("trusted-proxy, proxy-header", *proxies != now.proxies),
        ("tls-cert, tls-key", *tls != now.tls),
        ("origin", *origins != now.origins),
        ("demo", *demo != now.demo),
        ("file-mb, file-types, user-files-mb, group-files-mb", *files != now.files),
        ("mail-*", *mail != now.mail),
        ("webhook-*", *webhooks != now.webhooks),
        ("log-format", log.json != now.log.json),
    ];
    changed.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}
