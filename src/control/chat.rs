//! What a signalling session says and reads: the rooms know who is here, the directory keeps what was said.

use super::directory::{FileId, Message};
use super::ids::{Gid, MessageId, Uid};
use super::requests::SignedIn;
use super::rights::Receivers;
use super::rooms::LinkId;
use super::{Now, State};
use crate::signal::message::{Answer, HistoryAsk, Mark, MarkOf, Page, Refusal, Said, Say};
use crate::sorted::Set;

/// The longest text, in bytes.
const TEXT: usize = 4096;
/// Messages of one page, at most and unless another number is asked for.
const PAGE: u32 = 50;

impl State {
    /// Says something to a group, or to one person in it.
    pub(super) fn say(&mut self, now: Now, link: LinkId, ask: &Say) -> Result<Answer, Refusal> {
        let gid = ask.gid;
        let speaker = self.rooms.speaker(link, gid)?;
        if let Some(said) = self.rooms.said_before(gid, speaker.uid, ask.key) {
            return Ok(sent(said));
        }
        let file = ask.file.map(|id| {
            let sent = self.directory.unsaid_file(id, speaker.uid, gid);
            sent.ok_or_else(|| Refusal::new("NOFILE", "There is no such file of yours: upload it first."))
        });
        let file = file.transpose()?;
        let text = tidy(&ask.text, file.is_some())?;
        self.rooms.pay_for_saying(now.instant, gid, speaker.uid)?;
        let to = self.receiver(now, gid, speaker.uid, ask.to)?;
        let message = Message { from: speaker.uid, name: speaker.name, to, text, file };
        let id = self.directory.keep_message(now.unix, gid, message.clone());
        let said = said(id, &message);
        let answer = sent(&said);
        self.rooms.deliver(gid, link, said, ask.key);
        Ok(answer)
    }

    /// Says something in somebody's name who need not be here: to the group, or to one person in it.
    pub fn announce(
        &mut self,
        now: Now,
        gid: Gid,
        from: Uid,
        to: Option<Uid>,
        text: &str,
    ) -> Result<(MessageId, Message), Refusal> {
        let text = tidy(text, false)?;
        let name = self.directory.user(from).map(|user| user.name.clone());
        let name = name.ok_or_else(|| Refusal::new("NOTALLOWED", "There is no such user."))?;
        let to = self.receiver(now, gid, from, to)?;
        let message = Message { from, name, to, text, file: None };
        let id = self.directory.keep_message(now.unix, gid, message.clone());
        self.rooms.deliver(gid, LinkId::NONE, said(id, &message), None);
        Ok((id, message))
    }

    /// To whom it goes; to all where it is `None`.
    fn receiver(&mut self, now: Now, gid: Gid, from: Uid, to: Option<Uid>) -> Result<Option<Uid>, Refusal> {
        let nobody = || Refusal::new("NORECEIVER", "There is nobody here who may receive this.");
        if let Some(to) = to {
            let may =
                self.directory.user(to).is_some() && self.directory.rights_of(now.unix, to, gid).receive;
            return if may && to != from { Ok(Some(to)) } else { Err(nobody()) };
        }
        let in_turn = self.directory.group(gid).is_some_and(|g| g.choices.receive == Receivers::RoundRobin);
        if !in_turn {
            return Ok(None);
        }
        self.rooms.next_in_turn(gid, from).map(Some).ok_or_else(nobody)
    }

    /// Where a file is, for who may have it.
    pub(super) fn file_link(&self, now: Now, who: &SignedIn, id: FileId) -> Result<Answer, Refusal> {
        let link = self.directory.file_link(now.unix, who.asker.uid, id);
        let link = link.ok_or_else(|| Refusal::new("NOFILE", "There is no such file, or not for you."))?;
        Ok(Answer::File { url: format!("files/{id}?link={link}") })
    }

    /// What was said before.
    pub(super) fn history(&self, now: Now, link: LinkId, ask: &HistoryAsk) -> Result<Page, Refusal> {
        let reader = self.rooms.reader(link, ask.gid)?;
        let wanted = |message: &Message| {
            message.concerns(reader)
                && ask.with.is_none_or(|with| message.to.is_some() && message.concerns(with))
        };
        let count = ask.count.unwrap_or(PAGE).clamp(1, PAGE) as usize;
        let (page, more) = self.directory.messages(now.unix, ask.gid, ask.before, count, wanted);
        let messages = page.into_iter().map(|(id, message)| said(id, message)).collect();
        let (read, marks) = self.rooms.marks(ask.gid, reader);
        Ok(Page { messages, more, read, marks })
    }

    /// How far one got and read; who said it is told.
    pub(super) fn receipt(&mut self, link: LinkId, gid: Gid, mark: Mark) -> Result<(), Refusal> {
        let uid = self.rooms.reader(link, gid)?;
        // Nobody has read what is not said yet.
        let last = self.directory.last_message(gid);
        let mark = Mark { delivered: mark.delivered.min(last), read: mark.read.min(last) };
        let (before, mark) = self.rooms.mark(gid, uid, mark);
        if before == mark {
            return Ok(());
        }
        let from = if before.read < mark.read { before.read } else { before.delivered };
        let news = MessageId(from.0.saturating_add(1))..=mark.delivered;
        let to_all = self.rooms.tells_marks(gid);
        let told = |message: &&Message| message.from != uid && message.concerns(uid);
        let messages = self.directory.messages_in(gid, news).map(|(_, message)| message).filter(told);
        let authors: Set<_> = messages.filter(|m| to_all || m.to.is_some()).map(|m| m.from).collect();
        self.rooms.tell_mark(gid, &authors, MarkOf { uid, mark });
        Ok(())
    }
}

fn said(id: MessageId, message: &Message) -> Said {
    let Message { from, name, to, text, file } = message.clone();
    Said { id, at: id.at().as_millis() as u64, uid: from, name, to, text, file }
}

fn sent(said: &Said) -> Answer {
    Answer::Sent { id: said.id, at: said.at, to: said.to }
}

/// A text without control characters but line feeds and tabs, and without outer blanks.
fn tidy(text: &str, may_be_empty: bool) -> Result<String, Refusal> {
    if text.len() > TEXT {
        return Err(Refusal::new("TOOLONG", format!("A message has at most {TEXT} bytes.")));
    }
    let text: String =
        text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect::<String>();
    match text.trim() {
        "" if !may_be_empty => Err(Refusal::new("BADARG", "There is nothing in this message.")),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
