//! What was said: kept within bounds of number, bytes and age, so that whoever comes later can read it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Change, Directory, Message};
use crate::control::ids::{Gid, MessageId, Uid};
use crate::sorted::{Map, sort_by_key};

/// Messages kept of one group, the latest.
const MESSAGES: usize = 1_000;
/// Bytes kept of all groups together, with what a message costs beside its text.
const BYTES: usize = 64 * 1024 * 1024;
/// What a message costs beside its text.
const OVERHEAD: usize = 128;
/// How long a message is kept.
const AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// All that is kept of what was said. Numbers grow with time over all groups, so the first is the oldest.
#[derive(Debug, Default)]
pub(super) struct History {
    groups: HashMap<Gid, Map<MessageId, Message>>,
    order: Map<MessageId, Gid>,
    bytes: usize,
}

impl History {
    pub(super) fn insert(&mut self, gid: Gid, id: MessageId, message: Message) {
        self.bytes += cost(&message);
        self.order.insert(id, gid);
        self.groups.entry(gid).or_default().insert(id, message);
    }

    fn remove(&mut self, gid: Gid, id: MessageId) -> Option<Message> {
        let messages = self.groups.get_mut(&gid)?;
        let removed = messages.remove(&id);
        if let Some(message) = &removed {
            self.bytes -= cost(message);
            self.order.remove(&id);
        }
        if messages.is_empty() {
            self.groups.remove(&gid);
        }
        removed
    }

    /// What must go, if anything.
    fn surplus(&self, now: Duration, grown: Gid) -> Option<(Gid, MessageId)> {
        let (oldest, of) = self.order.first()?;
        if self.bytes > BYTES || oldest.at() + AGE < now {
            return Some((*of, *oldest));
        }
        let messages = self.groups.get(&grown).filter(|messages| messages.len() > MESSAGES)?;
        messages.first().map(|(id, _)| (grown, *id))
    }

    pub(super) fn all(&self) -> Vec<((Gid, MessageId), Message)> {
        let mut all: Vec<_> = self
            .groups
            .iter()
            .flat_map(|(gid, messages)| messages.iter().map(|(id, message)| ((*gid, *id), message.clone())))
            .collect();
        sort_by_key(&mut all, |(key, _)| *key);
        all
    }
}

fn cost(message: &Message) -> usize {
    let file = message.file.as_ref().map_or(0, |file| OVERHEAD + file.name.len() + file.kind.len());
    OVERHEAD + message.text.len() + message.name.len() + file
}

impl Directory {
    /// Keeps a message, and lets go of what is too old or too much.
    pub fn keep_message(&mut self, now: Duration, gid: Gid, message: Message) -> MessageId {
        let last = self.history.order.last().map_or(0, |(id, _)| id.0);
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let id = MessageId(micros.max(last.saturating_add(1)));
        self.changes.push(Change::PutMessage(gid, id, message.clone()));
        if let Some(file) = &message.file {
            self.files.said(message.from, gid, id, file);
        }
        self.history.insert(gid, id, message);
        while let Some((of, oldest)) = self.history.surplus(now, gid) {
            self.remove_message(of, oldest);
        }
        id
    }

    /// The latest messages of a group before `before`, at most `count` of those that `wanted` takes, the oldest first;
    /// and whether there are more.
    pub fn messages(
        &self,
        now: Duration,
        gid: Gid,
        before: Option<MessageId>,
        count: usize,
        wanted: impl Fn(&Message) -> bool,
    ) -> (Vec<(MessageId, &Message)>, bool) {
        let Some(messages) = self.history.groups.get(&gid) else { return (Vec::new(), false) };
        let end = before.unwrap_or(MessageId(u64::MAX));
        let kept = messages.range(..end).rev().take_while(|(id, _)| id.at() + AGE >= now);
        let mut wanted = kept.filter(|(_, message)| wanted(message)).map(|(id, message)| (*id, message));
        let mut page: Vec<_> = wanted.by_ref().take(count).collect();
        page.reverse();
        (page, wanted.next().is_some())
    }

    /// The latest message of a group.
    pub fn last_message(&self, gid: Gid) -> MessageId {
        let messages = self.history.groups.get(&gid);
        messages.and_then(Map::last).map(|(id, _)| *id).unwrap_or_default()
    }

    /// The messages of a group that have these numbers.
    pub fn messages_in(
        &self,
        gid: Gid,
        ids: RangeInclusive<MessageId>,
    ) -> impl Iterator<Item = (MessageId, &Message)> {
        let messages = self.history.groups.get(&gid).filter(|_| !ids.is_empty());
        messages.into_iter().flat_map(move |messages| messages.range(ids.clone())).map(|(id, m)| (*id, m))
    }

    /// Forgets all that was said in a group.
    pub(super) fn forget_messages(&mut self, gid: Gid) {
        let ids = self.history.groups.get(&gid).map(|messages| messages.keys().copied().collect::<Vec<_>>());
        for id in ids.unwrap_or_default() {
            self.remove_message(gid, id);
        }
    }

    fn remove_message(&mut self, gid: Gid, id: MessageId) {
        if let Some(Message { from, file: Some(file), .. }) = self.history.remove(gid, id) {
            self.files.forget(from, gid, &file);
        }
        self.changes.push(Change::RemoveMessage(gid, id));
    }
}

impl Message {
    /// Whether somebody may read it: what is said to one person is between two.
    pub fn concerns(&self, uid: Uid) -> bool {
        self.to.is_none_or(|to| to == uid || self.from == uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::directory::{Snapshot, SystemEntropy};

    const ROOM: Gid = Gid(1000);
    const NOW: Duration = Duration::from_secs(1_000_000_000);

    fn directory() -> Directory {
        Directory::new(Snapshot::default(), Box::new(SystemEntropy::default()))
    }

    fn said(text: &str) -> Message {
        Message { from: Uid(1), name: "Ann".to_owned(), to: None, text: text.to_owned(), file: None }
    }

    #[test]
    fn the_latest_messages_are_read_page_by_page_the_oldest_first() {
        let mut directory = directory();
        for n in 0..5 {
            // All in one microsecond: their numbers differ and keep their order all the same.
            directory.keep_message(NOW, ROOM, said(&n.to_string()));
        }
        let (page, more) = directory.messages(NOW, ROOM, None, 2, |_| true);
        let texts: Vec<_> = page.iter().map(|(_, message)| message.text.as_str()).collect();
        assert_eq!((texts, more), (vec!["3", "4"], true));
        let before = page.first().map(|(id, _)| *id);
        let (page, more) = directory.messages(NOW, ROOM, before, 3, |_| true);
        let texts: Vec<_> = page.iter().map(|(_, message)| message.text.as_str()).collect();
        assert_eq!((texts, more), (vec!["0", "1", "2"], false));
    }

    #[test]
    fn a_group_keeps_its_latest_thousand() {
        let mut directory = directory();
        for n in 0..=MESSAGES {
            directory.keep_message(NOW, ROOM, said(&n.to_string()));
        }
        let (all, more) = directory.messages(NOW, ROOM, None, 2 * MESSAGES, |_| true);
        assert_eq!((all.len(), more), (MESSAGES, false));
        assert_eq!(all[0].1.text, "1");
        let removed = directory.take_changes().into_iter().filter(|c| matches!(c, Change::RemoveMessage(..)));
        assert_eq!(removed.count(), 1);
    }

    #[test]
    fn what_is_too_old_is_not_read_and_goes_with_the_next_message_anywhere() {
        let mut directory = directory();
        directory.keep_message(NOW, ROOM, said("old"));
        let later = NOW + AGE + Duration::from_secs(1);
        assert!(directory.messages(later, ROOM, None, 10, |_| true).0.is_empty());
        directory.take_changes();
        directory.keep_message(later, Gid(1001), said("new"));
        assert!(
            directory.take_changes().iter().any(|change| matches!(change, Change::RemoveMessage(ROOM, _)))
        );
    }

    #[test]
    fn all_groups_together_keep_so_many_bytes() {
        let mut directory = directory();
        let long = "x".repeat(1024 * 1024);
        for n in 0..70 {
            directory.keep_message(NOW, Gid(1000 + n), said(&long));
        }
        assert!(directory.history.bytes <= BYTES);
        assert!(directory.messages(NOW, ROOM, None, 1, |_| true).0.is_empty());
        assert_eq!(directory.messages(NOW, Gid(1069), None, 1, |_| true).0.len(), 1);
    }
}
