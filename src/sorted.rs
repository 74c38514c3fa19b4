//! Maps and sets in the order of their keys, for the control plane.
//!
//! The standard library's are B-trees: five kilobytes of code for every kind of key and value that is put in one and taken
//! out. These are runs of entries side by side: under one kilobyte, as fast for some hundred thousand entries, and no larger
//! for the handful that most of them hold.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};
use std::{slice, vec};

use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most entries of a run: what lies behind a new entry moves, so that a run is short.
const RUN: usize = 64;

/// Values by key, in the order of the keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Map<K, V> {
    /// None is empty.
    runs: Vec<Vec<(K, V)>>,
    len: usize,
}

/// A run, and a place in it.
type Place = (usize, usize);

impl<K, V> Map<K, V> {
    /// An empty one, which takes no memory.
    pub const fn new() -> Self {
        Self { runs: Vec::new(), len: 0 }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { runs: self.runs.iter(), front: [].iter(), back: [].iter() }
    }

    /// All keys.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.runs.iter_mut().flatten().map(|(_, value)| value)
    }

    /// The entry with the least key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The entry with the greatest key.
    pub fn last(&self) -> Option<(&K, &V)> {
        self.iter().next_back()
    }

    /// Keeps the entries that are wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&K, &mut V) -> bool) {
        for run in &mut self.runs {
            run.retain_mut(|(key, value)| wanted(key, value));
        }
        self.runs.retain(|run| !run.is_empty());
        self.len = self.runs.iter().map(Vec::len).sum();
    }

    /// The place before the first entry that is not `ahead` of what is looked for.
    fn place(&self, mut ahead: impl FnMut(&K) -> bool) -> Place {
        let begun = self.runs.partition_point(|run| run.first().is_some_and(|(key, _)| ahead(key)));
        let run = begun.saturating_sub(1);
        (run, self.runs.get(run).map_or(0, |run| run.partition_point(|(key, _)| ahead(key))))
    }

    fn put(&mut self, (run, at): Place, key: K, value: V) {
        self.len += 1;
        let last = run + 1 >= self.runs.len();
        let Some(entries) = self.runs.get_mut(run) else { return self.runs.push(vec![(key, value)]) };
        if entries.len() < RUN {
            return entries.insert(at, (key, value));
        }
        // What comes in order fills its runs.
        let mut behind = entries.split_off(if last && at == RUN { RUN } else { RUN / 2 });
        match at.checked_sub(entries.len()) {
            Some(at) => behind.insert(at, (key, value)),
            None => entries.insert(at, (key, value)),
        }
        self.runs.insert(run + 1, behind);
    }

    fn take(&mut self, (run, at): Place) -> Option<(K, V)> {
        let entries = self.runs.get_mut(run)?;
        let taken = entries.remove(at);
        self.len -= 1;
        if entries.is_empty() {
            self.runs.remove(run);
            return Some(taken);
        }
        // Neighbours that are nearly empty become one.
        let both = |runs: &[Vec<_>], first: usize| matches!(runs.get(first..first + 2), Some([a, b]) if a.len() + b.len() <= RUN / 2);
        for first in [run, run.wrapping_sub(1)] {
            if first < self.runs.len() && both(&self.runs, first) {
                let behind = self.runs.remove(first + 1);
                self.runs[first].extend(behind);
            }
        }
        Some(taken)
    }
}

impl<K: Ord, V> Map<K, V> {
    fn find<Q>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (run, at) = self.place(|other| other.borrow() < key);
        match self.runs.get(run).and_then(|run| run.get(at)) {
            Some((found, _)) if found.borrow() == key => Ok((run, at)),
            // All of this run may be less, and the next begin with it.
            None => match self.runs.get(run + 1).and_then(|run| run.first()) {
                Some((found, _)) if found.borrow() == key => Ok((run + 1, 0)),
                _ => Err((run, at)),
            },
            Some(_) => Err((run, at)),
        }
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (run, at) = self.find(key).ok()?;
        self.runs.get(run)?.get(at).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (run, at) = self.find(key).ok()?;
        self.runs.get_mut(run)?.get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is an entry with a key.
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.find(key).is_ok()
    }

    /// Gives a key its value, and returns that which it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok((run, at)) => Some(std::mem::replace(&mut self.runs[run][at].1, value)),
            Err(place) => {
                self.put(place, key, value);
                None
            }
        }
    }

    /// The value of a key, which is given the usual one first if it has none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        K: Copy,
        V: Default,
    {
        if let Err(place) = self.find(&key) {
            self.put(place, key, V::default());
        }
        let (Ok((run, at)) | Err((run, at))) = self.find(&key);
        &mut self.runs[run][at].1
    }

    /// Takes the entry of a key out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let place = self.find(key).ok()?;
        self.take(place).map(|(_, value)| value)
    }

    /// The entries between two keys.
    pub fn range(&self, keys: impl RangeBounds<K>) -> Iter<'_, K, V> {
        let (from, at) = match keys.start_bound() {
            Bound::Included(key) => self.place(|other| other < key),
            Bound::Excluded(key) => self.place(|other| other <= key),
            Bound::Unbounded => (0, 0),
        };
        let (to, end) = match keys.end_bound() {
            Bound::Included(key) => self.place(|other| other <= key),
            Bound::Excluded(key) => self.place(|other| other < key),
            Bound::Unbounded => (self.runs.len(), 0),
        };
        let run = |nth: usize| self.runs.get(nth).map_or(&[][..], Vec::as_slice);
        let (front, back) = match from == to {
            true => (run(from).get(at..end), None),
            false => (run(from).get(at..), run(to).get(..end).filter(|_| from < to)),
        };
        Iter {
            runs: self.runs.get(from + 1..to).unwrap_or_default().iter(),
            front: front.filter(|_| from <= to).unwrap_or_default().iter(),
            back: back.unwrap_or_default().iter(),
        }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

/// As a list of its entries.
impl<K: Serialize, V: Serialize> Serialize for Map<K, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.len))?;
        self.iter().try_for_each(|entry| list.serialize_element(&entry))?;
        list.end()
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Map<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from_iter)
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        IntoIter { runs: self.runs.into_iter(), front: Vec::new().into_iter() }
    }
}

/// Entries one after the other, from both ends.
pub struct Iter<'a, K, V> {
    front: slice::Iter<'a, (K, V)>,
    runs: slice::Iter<'a, Vec<(K, V)>>,
    back: slice::Iter<'a, (K, V)>,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { front: self.front.clone(), runs: self.runs.clone(), back: self.back.clone() }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.front.next() {
                return Some((key, value));
            }
            match self.runs.next() {
                Some(run) => self.front = run.iter(),
                None => return self.back.next().map(|(key, value)| (key, value)),
            }
        }
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.back.next_back() {
                return Some((key, value));
            }
            match self.runs.next_back() {
                Some(run) => self.back = run.iter(),
                None => return self.front.next_back().map(|(key, value)| (key, value)),
            }
        }
    }
}

impl<K, V> FusedIterator for Iter<'_, K, V> {}

/// All entries, taken out.
pub struct IntoIter<K, V> {
    runs: vec::IntoIter<Vec<(K, V)>>,
    front: vec::IntoIter<(K, V)>,
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.front.next() {
                return Some(entry);
            }
            self.front = self.runs.next()?.into_iter();
        }
    }
}

/// Keys in their order, each once.
#[derive(Clone, PartialEq, Eq)]
pub struct Set<K>(Map<K, ()>);

impl<K> Set<K> {
    /// An empty one, which takes no memory.
    pub const fn new() -> Self {
        Self(Map::new())
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> Keys<'_, K> {
        Keys(self.0.iter())
    }

    /// The least.
    pub fn first(&self) -> Option<&K> {
        self.iter().next()
    }

    /// Keeps those that are wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&K) -> bool) {
        self.0.retain(|key, ()| wanted(key));
    }
}

impl<K: Ord> Set<K> {
    /// Whether this one is in it.
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Puts one in, and tells whether it is new.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Takes one out, and tells whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    /// Those between two keys.
    pub fn range(&self, keys: impl RangeBounds<K>) -> Keys<'_, K> {
        Keys(self.0.range(keys))
    }
}

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug> fmt::Debug for Set<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Ord> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = Self::new();
        set.extend(keys);
        set
    }
}

impl<K: Ord> Extend<K> for Set<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        for key in keys {
            self.insert(key);
        }
    }
}

impl<K: Ord, const N: usize> From<[K; N]> for Set<K> {
    fn from(keys: [K; N]) -> Self {
        keys.into_iter().collect()
    }
}

impl<K: Serialize> Serialize for Set<K> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|key| list.serialize_element(key))?;
        list.end()
    }
}

impl<'de, K: Ord + Deserialize<'de>> Deserialize<'de> for Set<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from_iter)
    }
}

impl<'a, K> IntoIterator for &'a Set<K> {
    type Item = &'a K;
    type IntoIter = Keys<'a, K>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K> IntoIterator for Set<K> {
    type Item = K;
    type IntoIter = IntoKeys<K>;

    fn into_iter(self) -> Self::IntoIter {
        IntoKeys(self.0.into_iter())
    }
}

/// Keys one after the other, from both ends.
pub struct Keys<'a, K>(Iter<'a, K, ()>);

impl<K> Clone for Keys<'_, K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K> Iterator for Keys<'a, K> {
    type Item = &'a K;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, ())| key)
    }
}

impl<K> DoubleEndedIterator for Keys<'_, K> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(key, ())| key)
    }
}

impl<K> FusedIterator for Keys<'_, K> {}

/// All keys, taken out.
pub struct IntoKeys<K>(IntoIter<K, ()>);

impl<K> Iterator for IntoKeys<K> {
    type Item = K;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, ())| key)
    }
}

/// Sorts by a key; equals stay as they were. Slower by a little than the standard library's, which has several kilobytes of code
/// for every type it sorts.
pub fn sort_by_key<T, K: Ord>(values: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(values, |a, b| key(a).cmp(&key(b)));
}

/// The same, by a comparison.
pub fn sort_by<T>(values: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order = order(values.len(), &|a, b| compare(&values[a], &values[b]));
    // What belongs to a place is swapped into it, and what was there into the place that it came from, round and round.
    for first in 0..order.len() {
        let mut to = first;
        loop {
            let from = std::mem::replace(&mut order[to], to);
            if from == first {
                break;
            }
            values.swap(to, from);
            to = from;
        }
    }
}

/// In which order numbers below `count` are sorted: by heapsort, which is short.
fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let before = |a: usize, b: usize| compare(a, b).then(a.cmp(&b)).is_lt();
    // At first the greatest goes to the front, then one after the other from there to the end.
    for step in (0..count + count / 2).rev() {
        let (mut at, end) = match step.checked_sub(count) {
            Some(at) => (at, count),
            None => {
                order.swap(0, step);
                (0, step)
            }
        };
        while let Some(mut child) = Some(2 * at + 1).filter(|child| *child < end) {
            if child + 1 < end && before(order[child], order[child + 1]) {
                child += 1;
            }
            if !before(order[at], order[child]) {
                break;
            }
            order.swap(at, child);
            at = child;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_the_librarys_map_is(
            steps in prop::collection::vec((any::<bool>(), 0..400_u16, any::<u8>()), 0..1500),
            (a, b) in (0..450_u16, 0..450_u16),
        ) {
            let (mut ours, mut theirs) = (Map::new(), BTreeMap::new());
            for (put, key, value) in steps {
                if put || value < 64 {
                    prop_assert_eq!(ours.insert(key, value), theirs.insert(key, value));
                } else {
                    prop_assert_eq!(ours.remove(&key), theirs.remove(&key));
                }
                prop_assert_eq!(ours.get(&key), theirs.get(&key));
            }
            prop_assert_eq!(ours.len(), theirs.len());
            prop_assert!(ours.iter().eq(theirs.iter()));
            prop_assert!(ours.iter().rev().eq(theirs.iter().rev()));
            let (from, to) = (a.min(b), a.max(b));
            prop_assert!(ours.range(from..to).eq(theirs.range(from..to)));
            prop_assert!(ours.range(from..=to).rev().eq(theirs.range(from..=to).rev()));
            prop_assert!(ours.range(from..).eq(theirs.range(from..)));
            prop_assert!(ours.range(..to).eq(theirs.range(..to)));
            *ours.get_or_default(a) += 1;
            *theirs.entry(a).or_default() += 1;
            ours.retain(|key, _| key % 3 == 0);
            theirs.retain(|key, _| key % 3 == 0);
            prop_assert_eq!(ours.last(), theirs.last_key_value());
            prop_assert!(ours.into_iter().eq(theirs));
        }
    }

    proptest! {
        #[test]
        fn what_is_sorted_is_as_the_library_sorts_it(values in prop::collection::vec((0..20_u8, any::<u16>()), 0..300)) {
            let (mut ours, mut theirs) = (values.clone(), values);
            sort_by_key(&mut ours, |(key, _)| *key);
            theirs.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_runs_and_what_goes_leaves_none_empty() {
        let mut set: Set<usize> = (0..10 * RUN).collect();
        assert_eq!(set.0.runs.len(), 10);
        (0..10 * RUN).filter(|n| n % RUN != 0).for_each(|n| assert!(set.remove(&n)));
        assert!(set.0.runs.len() <= 2, "{}", set.0.runs.len());
        assert!(set.iter().eq(&[0, 64, 128, 192, 256, 320, 384, 448, 512, 576]));
    }
}
