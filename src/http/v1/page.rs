//! Lists, page by page: `cursor` is what the page before gave as `next`.

use serde_json::{Value, json};

use super::shape::{Field, Kind, maybe, whole};
use super::{Call, Reply};

/// Most entries of a page, and how many there are unless another number is asked for.
pub(super) const MOST: u64 = 100;
const USUAL: usize = 50;

/// The parameters of a list.
pub(super) const CURSOR: Field =
    maybe("cursor", Kind::Digits(1, 20), "Where to go on: `next` of the page before.");
pub(super) const LIMIT: Field = maybe("limit", Kind::Whole(1, MOST), "How many at most; 50 unless told.");

impl Call {
    /// The key of the last entry of the page before, if this is not the first.
    pub(super) fn cursor(&self) -> Option<u64> {
        let text = self.query.get("cursor")?.as_str()?;
        Some(text.parse().unwrap_or(u64::MAX))
    }

    /// A page of what `all` lists in the order of its keys, beginning after the cursor.
    pub(super) fn page<T>(
        &self,
        all: impl Iterator<Item = (u64, T)>,
        mut show: impl FnMut(T) -> Value,
    ) -> Reply {
        let after = self.cursor();
        let most = self.query.get("limit").and_then(whole).and_then(|most| usize::try_from(most).ok());
        let most = most.unwrap_or(USUAL);
        let mut rest = all.filter(|(key, _)| after.is_none_or(|after| *key > after));
        let mut items = Vec::new();
        let mut last = None;
        for (key, entry) in rest.by_ref().take(most) {
            last = Some(key);
            items.push(show(entry));
        }
        let next = last.filter(|_| rest.next().is_some()).map(|key| key.to_string());
        Reply::ok(json!({ "items": items, "next": next }))
    }
}
