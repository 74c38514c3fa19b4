//! The store in one file: a journal of what changed.
//!
//! Each line is a checksum and a JSON text. The first says in which format the file is and how many bytes after it
//! were written together with it: the state at that moment, the base. Each line after the base is one commit, whole or
//! not there at all. A crash leaves whole lines and perhaps the beginning of one that nobody was told is kept; that
//! is cut off. Whatever else does not read is damage, which is told and left alone.
//!
//! A journal that outgrew its base is written anew: into another file, which then takes the name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::{Store, StoreError};
use crate::control::directory::{
    App, Change, Group, Member, Message, Numbers, Snapshot, Token, TokenId, User,
};
use crate::control::ids::{Gid, MessageId, Uid};
use crate::sorted::Map;

/// The file in the data folder.
const FILE: &str = "millrace.journal";
/// Where it is written anew.
const NEW: &str = "millrace.journal.new";
/// Of the lines; what they hold grows fields without a new number.
const FORMAT: u32 = 1;
/// A journal is written anew when it has twice the bytes of its base and this many.
const SLACK: u64 = 1024 * 1024;
/// A checksum in hexadecimal, and a space.
const SUM: usize = 9;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    #[serde(default)]
    base: u64,
}

/// The store in one file. It is locked as long as the value lives.
#[derive(Debug)]
pub struct JournalStore {
    path: PathBuf,
    file: File,
    /// Where the next line goes.
    end: u64,
    /// Where the journal is long enough to be written anew.
    renew_at: u64,
    /// Whether there may be something behind `end`.
    untidy: bool,
    /// Whether the file has its name for good.
    named: bool,
    /// What was found when the file was opened, until it is asked for.
    found: Option<Snapshot>,
}

/// What a file holds.
struct Found {
    snapshot: Snapshot,
    /// The end of the base, and of the last whole line.
    base: u64,
    end: u64,
    /// Bytes of a line that was never finished.
    torn: u64,
}

impl JournalStore {
    /// Opens the store of a data folder, or makes it.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let path = data.join(FILE);
        let file = lock(&path)?;
        let found = read(&path, &file)?;
        let mut store = Self {
            path,
            file,
            end: found.end,
            renew_at: renewal(found.base),
            untidy: found.torn > 0,
            named: true,
            found: Some(found.snapshot),
        };
        if found.torn > 0 {
            warn!(
                "{}: cut off {} bytes of a change that a crash kept from being kept",
                store.name(),
                found.torn
            );
            store.tidy().map_err(|error| failed(&store.path, &error))?;
        }
        store.renew();
        Ok(store)
    }

    /// Takes over the store of a data folder from the server that lends it, and with it the lock. Nothing is written yet:
    /// that server may go on with it.
    pub fn take_over(data: &Path, file: File) -> Result<Self, StoreError> {
        let path = data.join(FILE);
        if !same(&file, &path) {
            return Err(damaged(&path, "it is not the one that the running server has".to_owned()));
        }
        let Found { snapshot, base, end, torn } = read(&path, &file)?;
        let renew_at = renewal(base);
        Ok(Self { path, file, end, renew_at, untidy: torn > 0, named: true, found: Some(snapshot) })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Cuts off what a failed commit may have left: nothing must ever follow half a line. And sees to it that a crash
    /// does not bring back the file that this one replaced.
    fn tidy(&mut self) -> io::Result<()> {
        if self.untidy {
            self.file.set_len(self.end)?;
            self.untidy = false;
        }
        if !self.named {
            sync_folder(&self.path)?;
            self.named = true;
        }
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.tidy()?;
        self.untidy = true;
        self.file.write_all_at(line, self.end)?;
        self.file.sync_data()?;
        self.untidy = false;
        self.end += line.len() as u64;
        Ok(())
    }

    /// Writes the journal anew if it has become long. All is kept as it is where that fails.
    fn renew(&mut self) {
        if self.end < self.renew_at {
            return;
        }
        let renewed = read(&self.path, &self.file).and_then(|found| {
            let new = self.path.with_file_name(NEW);
            let file = claim(&new)?;
            let written =
                write(&file, &found.snapshot).and_then(|end| fs::rename(&new, &self.path).map(|()| end));
            Ok((file, written.map_err(|error| failed(&new, &error))?))
        });
        match renewed {
            Ok((file, end)) => {
                (self.file, self.end, self.renew_at) = (file, end, renewal(end));
                self.named = false;
                // If this fails, the next commit does it, or is none.
                let _ = self.tidy();
            }
            Err(error) => {
                error!("the store goes on growing, it cannot be written anew: {error}");
                self.renew_at = self.renew_at.saturating_mul(2);
            }
        }
    }
}

impl Store for JournalStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        match self.found.take() {
            Some(found) => Ok(found),
            None => Ok(read(&self.path, &self.file)?.snapshot),
        }
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.found = None;
        let appended = line(&changes).and_then(|line| self.append(&line));
        appended.map_err(|error| {
            // If this fails, too, the next commit does it.
            let _ = self.tidy();
            failed(&self.path, &error)
        })?;
        self.renew();
        Ok(())
    }

    fn lend(&self) -> Option<File> {
        // Else a crash could bring back what the successor takes for gone.
        let settled = !self.untidy && self.named;
        settled.then(|| self.file.try_clone().ok()).flatten()
    }
}

const fn renewal(base: u64) -> u64 {
    base.saturating_mul(3).saturating_add(SLACK)
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::File { path: path.display().to_string(), reason: error.to_string() }
}

fn damaged(path: &Path, reason: String) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), reason }
}

/// The file of this name, locked; made if there is none.
fn lock(path: &Path) -> Result<File, StoreError> {
    loop {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => {
                exclusively(path, &file)?;
                // Its last owner may have written it anew, between our opening it and our locking it.
                if same(&file, path) {
                    return Ok(file);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let new = path.with_file_name(NEW);
                let file = claim(&new)?;
                if !path.exists() {
                    let made = write(&file, &Snapshot::default())
                        .and_then(|_| fs::rename(&new, path))
                        .and_then(|()| sync_folder(path));
                    made.map_err(|error| failed(path, &error))?;
                    return Ok(file);
                }
            }
            Err(error) => return Err(failed(path, &error)),
        }
    }
}

/// A file to write into: ours alone, whoever left it there.
fn claim(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|error| failed(&path.with_file_name(FILE), &error))?;
    exclusively(path, &file)?;
    Ok(file)
}

fn exclusively(path: &Path, file: &File) -> Result<(), StoreError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::Locked(path.with_file_name(FILE).display().to_string()),
        TryLockError::Error(error) => failed(path, &error),
    })
}

fn same(file: &File, path: &Path) -> bool {
    let id = |about: &fs::Metadata| (about.dev(), about.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(ours), Ok(theirs)) if id(&ours) == id(&theirs))
}

/// Writes a whole store with all of `snapshot` as its base; how long it is.
fn write(file: &File, snapshot: &Snapshot) -> io::Result<u64> {
    let mut base = Vec::new();
    for change in changes(snapshot) {
        base.extend(line(&[change])?);
    }
    let head = line(&Head { format: FORMAT, base: base.len() as u64 })?;
    file.set_len(0)?;
    let mut to = BufWriter::new(file);
    to.write_all(&head)?;
    to.write_all(&base)?;
    to.flush()?;
    file.sync_all()?;
    Ok((head.len() + base.len()) as u64)
}

/// Makes the names in a file's folder survive a crash.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads a whole store.
fn read(path: &Path, mut file: &File) -> Result<Found, StoreError> {
    io::Seek::rewind(&mut file).map_err(|error| failed(path, &error))?;
    let mut lines = BufReader::new(file);
    let (mut bytes, mut at, mut number) = (Vec::new(), 0, 0);
    let mut next = |bytes: &mut Vec<u8>| {
        bytes.clear();
        lines.read_until(b'\n', bytes).map(|len| len as u64).map_err(|error| failed(path, &error))
    };
    at += next(&mut bytes)?;
    let Some(head) = parse::<Head>(&bytes) else {
        return Err(damaged(path, "its first line is not that of a store".to_owned()));
    };
    if head.format > FORMAT {
        return Err(StoreError::TooNew { path: path.display().to_string(), format: head.format });
    }
    let base = at.saturating_add(head.base);
    let mut tables = Tables::default();
    loop {
        number += 1;
        let len = next(&mut bytes)?;
        if len == 0 {
            break;
        }
        let Some(changes) = parse::<Vec<Change>>(&bytes) else {
            let unfinished = !bytes.ends_with(b"\n") || bytes.contains(&0);
            let bad = bytes.len() as u64;
            // Where the line is followed by another it was finished once, and so it was if it is of the base.
            if unfinished && at >= base && next(&mut bytes)? == 0 {
                return Ok(Found { snapshot: tables.into_snapshot(), base, end: at, torn: bad });
            }
            return Err(damaged(path, format!("line {} is not as it was written", number + 1)));
        };
        changes.into_iter().for_each(|change| tables.apply(change));
        at += len;
    }
    if at < base {
        return Err(damaged(path, format!("{} bytes are missing at its end", base - at)));
    }
    Ok(Found { snapshot: tables.into_snapshot(), base, end: at, torn: 0 })
}

/// A line that holds `value`.
fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = vec![b' '; SUM];
    serde_json::to_writer(&mut line, value)?;
    let sum = crc32(line.get(SUM..).unwrap_or_default());
    line.iter_mut().zip(format!("{sum:08x}").bytes()).for_each(|(to, digit)| *to = digit);
    line.push(b'\n');
    Ok(line)
}

/// What a line holds, if it is whole.
fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(SUM)?;
    let sum = str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    (sum == format!("{:08x}", crc32(json))).then(|| crate::json::parse(json).ok())?
}

/// CRC-32 as of IEEE 802.3, bits reflected.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let (mut value, mut bit) = (n as u32, 0);
            while bit < 8 {
                value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
                bit += 1;
            }
            table[n] = value;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, byte| {
        let place = (sum ^ u32::from(*byte)) & 0xff;
        (sum >> 8) ^ TABLE.get(place as usize).copied().unwrap_or_default()
    })
}

/// The changes that make a snapshot out of nothing.
fn changes(snapshot: &Snapshot) -> impl Iterator<Item = Change> {
    let Snapshot { users, tokens, groups, members, messages, apps, numbers } = snapshot;
    let users = users.iter().map(|(uid, user)| Change::PutUser(*uid, user.clone()));
    let tokens = tokens.iter().map(|(id, token)| Change::PutToken(*id, token.clone()));
    let groups = groups.iter().map(|(gid, group)| Change::PutGroup(*gid, group.clone()));
    let members = members.iter().map(|((gid, uid), member)| Change::PutMember(*gid, *uid, member.clone()));
    let messages = messages.iter().map(|((gid, id), said)| Change::PutMessage(*gid, *id, said.clone()));
    let apps = apps.iter().map(|(appid, app)| Change::PutApp(appid.clone(), app.clone()));
    let numbers = [Change::Numbers(*numbers)].into_iter();
    numbers.chain(apps).chain(users).chain(groups).chain(members).chain(tokens).chain(messages)
}

/// A snapshot in the making.
#[derive(Default)]
struct Tables {
    users: Map<Uid, User>,
    tokens: Map<TokenId, Token>,
    groups: Map<Gid, Group>,
    members: Map<(Gid, Uid), Member>,
    messages: Map<(Gid, MessageId), Message>,
    apps: Map<String, App>,
    numbers: Numbers,
}

impl Tables {
    fn apply(&mut self, change: Change) {
        match change {
            Change::PutUser(uid, user) => drop(self.users.insert(uid, user)),
            Change::RemoveUser(uid) => drop(self.users.remove(&uid)),
            Change::PutToken(id, token) => drop(self.tokens.insert(id, token)),
            Change::RemoveToken(id) => drop(self.tokens.remove(&id)),
            Change::PutGroup(gid, group) => drop(self.groups.insert(gid, group)),
            Change::RemoveGroup(gid) => drop(self.groups.remove(&gid)),
            Change::PutMember(gid, uid, member) => drop(self.members.insert((gid, uid), member)),
            Change::RemoveMember(gid, uid) => drop(self.members.remove(&(gid, uid))),
            Change::PutMessage(gid, id, said) => drop(self.messages.insert((gid, id), said)),
            Change::RemoveMessage(gid, id) => drop(self.messages.remove(&(gid, id))),
            Change::PutApp(appid, app) => drop(self.apps.insert(appid, app)),
            Change::Numbers(numbers) => self.numbers = numbers,
        }
    }

    fn into_snapshot(self) -> Snapshot {
        Snapshot {
            users: self.users.into_iter().collect(),
            tokens: self.tokens.into_iter().collect(),
            groups: self.groups.into_iter().collect(),
            members: self.members.into_iter().collect(),
            messages: self.messages.into_iter().collect(),
            apps: self.apps.into_iter().collect(),
            numbers: self.numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
