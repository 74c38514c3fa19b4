//! The store in one redb file: a table per sort of thing, each value a JSON object, so that a field can be added
//! without touching what is kept.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Store, StoreError};
use crate::control::directory::{Change, Snapshot, TokenId};
use crate::control::ids::{Gid, Uid};

/// The file in the data folder.
const FILE: &str = "millrace.redb";
/// Of the tables and keys; values grow fields without a new number.
const FORMAT: u32 = 1;
/// redb would take a gigabyte. All that is read is read once, at the start.
const CACHE: usize = 2 * 1024 * 1024;

type Json = &'static [u8];

const META: TableDefinition<'_, &str, Json> = TableDefinition::new("meta");
const USERS: TableDefinition<'_, u32, Json> = TableDefinition::new("users");
const TOKENS: TableDefinition<'_, &[u8; 32], Json> = TableDefinition::new("tokens");
const GROUPS: TableDefinition<'_, u32, Json> = TableDefinition::new("groups");
const MEMBERS: TableDefinition<'_, (u32, u32), Json> = TableDefinition::new("members");

/// The store in one redb file.
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    /// `None` after a failed commit: redb wants the file opened anew.
    database: Option<Database>,
}

impl RedbStore {
    /// Opens the store of a data folder, or makes it.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let mut store = Self { path: data.join(FILE), database: None };
        store.database()?;
        Ok(store)
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.try_open()?,
        };
        Ok(self.database.insert(database))
    }

    fn try_open(&self) -> Result<Database, StoreError> {
        // Made here and not by redb, so that nobody else can read it.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path);
        drop(file.map_err(|error| self.failed(&redb::Error::Io(error)))?);
        let open = || redb::Builder::new().set_cache_size(CACHE).create(&self.path);
        // A damaged file makes redb's assertions fail now and then.
        let database = catch_unwind(AssertUnwindSafe(open))
            .map_err(|_| self.damaged("it cannot be read"))?
            .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(self.name()),
            other => self.failed(&other.into()),
        })?;
        self.check_format(&database)?;
        Ok(database)
    }

    fn check_format(&self, database: &Database) -> Result<(), StoreError> {
        let work = || -> Result<Option<u32>, redb::Error> {
            let write = database.begin_write()?;
            let found = {
                let mut meta = write.open_table(META)?;
                let found = meta
                    .get("format")?
                    .map(|value| serde_json::from_slice(value.value()).unwrap_or(u32::MAX));
                if found.is_none() {
                    meta.insert("format", json(&FORMAT).as_slice())?;
                }
                write.open_table(USERS)?;
                write.open_table(TOKENS)?;
                write.open_table(GROUPS)?;
                write.open_table(MEMBERS)?;
                found
            };
            match found {
                None => write.commit()?,
                Some(_) => write.abort()?,
            }
            Ok(found)
        };
        match self.guarded(work)? {
            None => Ok(()),
            Some(FORMAT) => Ok(()),
            Some(format) => Err(StoreError::TooNew { path: self.name(), format }),
        }
    }

    /// Does `work`; what it fails of becomes one clear sentence.
    fn guarded<R>(&self, work: impl FnOnce() -> Result<R, redb::Error>) -> Result<R, StoreError> {
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|_| self.damaged("it cannot be read"))?
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &redb::Error) -> StoreError {
        match error {
            redb::Error::Io(error)
                if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                StoreError::File { path: self.name(), reason: error.to_string() }
            }
            other => self.damaged(&other.to_string()),
        }
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::Damaged { path: self.name(), reason: reason.to_owned() }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

impl Store for RedbStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.database()?;
        let Some(database) = &self.database else { return Ok(Snapshot::default()) };
        let rows = || -> Result<_, redb::Error> {
            let read = database.begin_read()?;
            let users = rows(&read, USERS, Uid)?;
            let tokens = rows(&read, TOKENS, |id: &[u8; 32]| TokenId(*id))?;
            let groups = rows(&read, GROUPS, Gid)?;
            let members = rows(&read, MEMBERS, |(gid, uid)| (Gid(gid), Uid(uid)))?;
            let numbers = match read.open_table(META)?.get("numbers")? {
                Some(value) => parse(value.value())?,
                None => Default::default(),
            };
            Ok(Snapshot { users, tokens, groups, members, numbers })
        };
        self.guarded(rows)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.database()?;
        let Some(database) = self.database.take() else { return Ok(()) };
        let work = || write(&database, changes);
        self.guarded(work)?;
        self.database = Some(database);
        Ok(())
    }
}

fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        let mut users = write.open_table(USERS)?;
        let mut tokens = write.open_table(TOKENS)?;
        let mut groups = write.open_table(GROUPS)?;
        let mut members = write.open_table(MEMBERS)?;
        for change in changes {
            match change {
                Change::PutUser(uid, user) => drop(users.insert(uid.0, json(user).as_slice())?),
                Change::RemoveUser(uid) => drop(users.remove(uid.0)?),
                Change::PutToken(id, token) => drop(tokens.insert(&id.0, json(token).as_slice())?),
                Change::RemoveToken(id) => drop(tokens.remove(&id.0)?),
                Change::PutGroup(gid, group) => drop(groups.insert(gid.0, json(group).as_slice())?),
                Change::RemoveGroup(gid) => drop(groups.remove(gid.0)?),
                Change::PutMember(gid, uid, member) => {
                    drop(members.insert((gid.0, uid.0), json(member).as_slice())?);
                }
                Change::RemoveMember(gid, uid) => drop(members.remove((gid.0, uid.0))?),
                Change::Numbers(numbers) => drop(meta.insert("numbers", json(numbers).as_slice())?),
            }
        }
    }
    write.commit()?;
    Ok(())
}

/// All rows of a table, sorted by key as redb keeps them.
fn rows<K, T, V>(
    read: &ReadTransaction,
    table: TableDefinition<'_, K, Json>,
    key: impl Fn(K::SelfType<'_>) -> T,
) -> Result<Vec<(T, V)>, redb::Error>
where
    K: Key + 'static,
    V: DeserializeOwned,
{
    let table = read.open_table(table)?;
    let mut all = Vec::new();
    for row in table.iter()? {
        let (name, value) = row?;
        all.push((key(name.value()), parse(value.value())?));
    }
    Ok(all)
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structs of numbers, texts and lists: nothing in them can refuse.
    serde_json::to_vec(value).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}
