//! Files that people send: who may send and have them, and how much of them there may be. Their bytes lie in the data folder;
//! a file that nobody spoke of in time, or whose message is forgotten, goes.

use std::collections::HashMap;
use std::time::Duration;

use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Directory, Entropy, hex, unhex};
use crate::control::ids::{Gid, MessageId, Uid};
use crate::sorted::Set;

/// How long an upload may take, and how long it waits to be spoken of.
const UNSAID: Duration = Duration::from_secs(15 * 60);
/// Files of one user that nobody spoke of yet.
const UNSAID_FILES: usize = 8;
/// How long a link opens its file.
const LINK: Duration = Duration::from_secs(60);
/// The longest name of a file, in bytes.
const NAME: usize = 200;

/// Names a file: 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FileId([u8; 16]);

impl FileId {
    /// The file with this name.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).and_then(|bytes| bytes.try_into().ok()).map(Self)
    }
}

impl From<FileId> for String {
    fn from(id: FileId) -> Self {
        hex(&id.0)
    }
}

impl TryFrom<String> for FileId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not the name of a file")
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A file that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its number.
    pub id: FileId,
    /// As its sender called it.
    pub name: String,
    /// As its sender said: a media type.
    #[serde(rename = "type")]
    pub kind: String,
    /// In bytes.
    pub size: u64,
}

/// How much may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRules {
    /// The largest file, in bytes; 0 where no files are sent.
    pub largest: u64,
    /// Bytes of one user's files.
    pub of_user: u64,
    /// Bytes of one group's files.
    pub of_group: u64,
    /// Media types that may be sent, as `image/png`, or all of a sort, as `image/*`.
    pub types: Vec<String>,
}

const MIB: u64 = 1024 * 1024;

impl Default for FileRules {
    fn default() -> Self {
        let types = ["image/*", "audio/*", "video/*", "text/plain", "application/pdf", "application/zip"];
        Self {
            largest: 25 * MIB,
            of_user: 250 * MIB,
            of_group: 1024 * MIB,
            types: types.map(str::to_owned).to_vec(),
        }
    }
}

impl FileRules {
    /// Whether files of this media type may be sent.
    pub fn takes(&self, kind: &str) -> bool {
        let sort = kind.split('/').next().unwrap_or_default();
        self.types.iter().any(|known| {
            known == kind || known == "*/*" || known.strip_suffix("/*").is_some_and(|known| known == sort)
        })
    }
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFile {
    /// There is no such group, or one may say nothing there.
    #[error("You may not send anything there.")]
    NotAllowed,
    /// It is larger than files may be.
    #[error("This file is too large.")]
    TooLarge,
    /// Files of this type are not taken.
    #[error("Files of this type are not taken here.")]
    BadType,
    /// There is no room.
    #[error("There is no room for more files: some of yours, or of this group's, must be forgotten first.")]
    Full,
    /// Too many are on their way.
    #[error("Too many files are on their way: say something of those first.")]
    TooMany,
}

#[derive(Debug)]
struct Unsaid {
    uid: Uid,
    gid: Gid,
    file: File,
    since: Duration,
    whole: bool,
}

/// All files.
#[derive(Debug)]
pub(super) struct Files {
    unsaid: HashMap<FileId, Unsaid>,
    said: HashMap<FileId, (Gid, MessageId)>,
    of_user: HashMap<Uid, u64>,
    of_group: HashMap<Gid, u64>,
    gone: Vec<FileId>,
    key: hmac::Key,
}

impl Files {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        Self {
            unsaid: HashMap::new(),
            said: HashMap::new(),
            of_user: HashMap::new(),
            of_group: HashMap::new(),
            gone: Vec::new(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        }
    }

    /// A message speaks of a file.
    pub(super) fn said(&mut self, uid: Uid, gid: Gid, message: MessageId, file: &File) {
        if self.unsaid.remove(&file.id).is_none() {
            self.count(uid, gid, file.size);
        }
        self.said.insert(file.id, (gid, message));
    }

    /// That message is forgotten.
    pub(super) fn forget(&mut self, uid: Uid, gid: Gid, file: &File) {
        if self.said.remove(&file.id).is_some() {
            self.discount(uid, gid, file.size);
            self.gone.push(file.id);
        }
    }

    fn drop_unsaid(&mut self, id: FileId) {
        if let Some(Unsaid { uid, gid, file, .. }) = self.unsaid.remove(&id) {
            self.discount(uid, gid, file.size);
            self.gone.push(id);
        }
    }

    fn count(&mut self, uid: Uid, gid: Gid, bytes: u64) {
        *self.of_user.entry(uid).or_default() += bytes;
        *self.of_group.entry(gid).or_default() += bytes;
    }

    fn discount(&mut self, uid: Uid, gid: Gid, bytes: u64) {
        fn less<K: std::hash::Hash + Eq>(all: &mut HashMap<K, u64>, key: K, bytes: u64) {
            let left = all.get(&key).map_or(0, |held| held.saturating_sub(bytes));
            match left {
                0 => all.remove(&key),
                left => all.insert(key, left),
            };
        }
        less(&mut self.of_user, uid, bytes);
        less(&mut self.of_group, gid, bytes);
    }

    fn signed(&self, id: FileId, until: u64) -> hmac::Tag {
        hmac::sign(&self.key, format!("{id} {until}").as_bytes())
    }
}

impl Directory {
    /// Makes room for a file that somebody is about to send to a group.
    pub fn begin_file(
        &mut self,
        now: Duration,
        (uid, gid): (Uid, Gid),
        (name, kind, size): (&str, &str, u64),
        rules: &FileRules,
    ) -> Result<File, NoFile> {
        if !self.rights_of(now, uid, gid).send {
            return Err(NoFile::NotAllowed);
        }
        if size > rules.largest {
            return Err(NoFile::TooLarge);
        }
        let kind = media_type(kind).filter(|kind| rules.takes(kind)).ok_or(NoFile::BadType)?;
        if self.files.unsaid.values().filter(|unsaid| unsaid.uid == uid).count() >= UNSAID_FILES {
            return Err(NoFile::TooMany);
        }
        let held = |all: Option<&u64>| all.copied().unwrap_or(0).saturating_add(size);
        if held(self.files.of_user.get(&uid)) > rules.of_user
            || held(self.files.of_group.get(&gid)) > rules.of_group
        {
            return Err(NoFile::Full);
        }
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        let file = File { id: FileId(id), name: file_name(name), kind, size };
        self.files.count(uid, gid, size);
        let unsaid = Unsaid { uid, gid, file: file.clone(), since: now, whole: false };
        self.files.unsaid.insert(file.id, unsaid);
        Ok(file)
    }

    /// A file is here, or will not come.
    pub fn end_file(&mut self, id: FileId, whole: bool) {
        match self.files.unsaid.get_mut(&id) {
            Some(unsaid) if whole => unsaid.whole = true,
            _ => self.files.drop_unsaid(id),
        }
    }

    /// A file that this user sent to this group and did not speak of yet.
    pub fn unsaid_file(&self, id: FileId, uid: Uid, gid: Gid) -> Option<File> {
        let unsaid = self.files.unsaid.get(&id)?;
        (unsaid.whole && unsaid.uid == uid && unsaid.gid == gid).then(|| unsaid.file.clone())
    }

    /// A file that this user may have.
    pub fn file_for(&self, now: Duration, uid: Uid, id: FileId) -> Option<File> {
        let (gid, message) = *self.files.said.get(&id)?;
        let (_, message) = self.messages_in(gid, message..=message).next()?;
        let may = self.rights_of(now, uid, gid).receive && message.concerns(uid);
        message.file.clone().filter(|_| may)
    }

    /// What opens a file for a minute, for who may have it.
    pub fn file_link(&self, now: Duration, uid: Uid, id: FileId) -> Option<String> {
        self.file_for(now, uid, id)?;
        let until = (now + LINK).as_secs();
        Some(format!("{until:x}.{}", hex(self.files.signed(id, until).as_ref())))
    }

    /// The file that a link opens.
    pub fn file_by_link(&self, now: Duration, id: FileId, link: &str) -> Option<File> {
        let (until, tag) = link.split_once('.')?;
        let until = u64::from_str_radix(until, 16).ok().filter(|until| *until > now.as_secs())?;
        hmac::verify(&self.files.key, format!("{id} {until}").as_bytes(), &unhex(tag)?).ok()?;
        let (gid, message) = *self.files.said.get(&id)?;
        self.messages_in(gid, message..=message).next()?.1.file.clone()
    }

    /// Files whose bytes are to be deleted, each told once; what nobody spoke of in time is among them.
    pub fn take_gone_files(&mut self, now: Duration) -> Vec<FileId> {
        let late = |unsaid: &&Unsaid| unsaid.since + UNSAID <= now;
        let late: Vec<_> = self.files.unsaid.values().filter(late).map(|unsaid| unsaid.file.id).collect();
        late.into_iter().for_each(|id| self.files.drop_unsaid(id));
        std::mem::take(&mut self.files.gone)
    }

    /// Files that there are, or will be.
    pub fn known_files(&self) -> Set<FileId> {
        self.files.said.keys().chain(self.files.unsaid.keys()).copied().collect()
    }
}

/// A media type without its parameters, in small letters.
fn media_type(text: &str) -> Option<String> {
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (sort, of_it) = kind.split_once('/')?;
    // RFC 6838 section 4.2.
    let good = |part: &str| {
        !part.is_empty()
            && part.len() <= 64
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    (good(sort) && good(of_it)).then_some(kind)
}

/// A name that says nothing of folders, and looks like what it is: no control characters, none that turn the writing around.
fn file_name(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control() && !turns(*c)).collect();
    let name = name.trim().trim_start_matches('.').trim();
    let mut end = name.len().min(NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    match name.get(..end).unwrap_or_default() {
        "" => "file".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_folders_dots_and_what_deceives() {
        for (given, kept) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            (".bashrc", "bashrc"),
            ("..", "file"),
            ("", "file"),
            ("a\r\nSet-Cookie: b.txt", "aSet-Cookie: b.txt"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("r\u{e9}sum\u{e9} \"1\".pdf", "r\u{e9}sum\u{e9} \"1\".pdf"),
        ] {
            assert_eq!(file_name(given), kept);
        }
        assert_eq!(file_name(&"\u{e9}".repeat(300)).len(), NAME);
    }

    #[test]
    fn types_are_taken_by_name_or_sort() {
        let rules = FileRules::default();
        for (given, taken) in [
            ("image/png", true),
            ("IMAGE/PNG; charset=x", true),
            ("text/plain", true),
            ("text/html", false),
            ("application/x-msdownload", false),
            ("image", false),
            ("image/png\r\nx: y", false),
            ("", false),
        ] {
            assert_eq!(media_type(given).is_some_and(|kind| rules.takes(&kind)), taken, "{given}");
        }
    }
}
