//! Tables that hand out names: an index that is used again, and a generation that tells its uses apart.

use serde::{Deserialize, Serialize};

/// A name in a [`Table`].
pub(super) trait Handle: Copy + Eq {
    /// The name of the `generation`th use of place `index`.
    fn new(index: u32, generation: u32) -> Self;
    /// The place.
    fn index(self) -> u32;
    /// Which of its uses.
    fn generation(self) -> u32;
}

macro_rules! handle {
    ($name:ty) => {
        impl Handle for $name {
            fn new(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }
            fn index(self) -> u32 {
                self.index
            }
            fn generation(self) -> u32 {
                self.generation
            }
        }
    };
}

handle!(crate::router::id::SessionId);
handle!(crate::router::id::TrackId);
handle!(super::LinkId);

#[derive(Debug, Serialize, Deserialize)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by [`Handle`]. A name of a value that is gone finds nothing, also when its place is in use again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table<H, T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    limit: usize,
    #[serde(skip)]
    names: std::marker::PhantomData<H>,
}

impl<H: Handle, T> Table<H, T> {
    /// An empty table for at most `limit` values.
    pub(super) const fn new(limit: usize) -> Self {
        Self { places: Vec::new(), free: Vec::new(), limit, names: std::marker::PhantomData }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// All names, in the order of their places.
    pub(super) fn names(&self) -> Vec<H> {
        let used = self.places.iter().enumerate().filter(|(_, place)| place.value.is_some());
        used.map(|(index, place)| H::new(index as u32, place.generation)).collect()
    }

    /// Adds a value; `None` when the table is full.
    pub(super) fn insert(&mut self, value: T) -> Option<H> {
        if let Some(index) = self.free.pop() {
            let place = self.places.get_mut(index as usize)?;
            place.value = Some(value);
            return Some(H::new(index, place.generation));
        }
        if self.places.len() >= self.limit {
            return None;
        }
        let index = u32::try_from(self.places.len()).ok()?;
        self.places.push(Place { generation: 0, value: Some(value) });
        Some(H::new(index, 0))
    }

    /// Looks a value up.
    pub(super) fn get(&self, name: H) -> Option<&T> {
        let place = self.places.get(name.index() as usize)?;
        place.value.as_ref().filter(|_| place.generation == name.generation())
    }

    /// Looks a value up.
    pub(super) fn get_mut(&mut self, name: H) -> Option<&mut T> {
        let place = self.places.get_mut(name.index() as usize)?;
        place.value.as_mut().filter(|_| place.generation == name.generation())
    }

    /// Takes a value out; its name is never given again.
    pub(super) fn remove(&mut self, name: H) -> Option<T> {
        let place = self.places.get_mut(name.index() as usize)?;
        if place.generation != name.generation() {
            return None;
        }
        let value = place.value.take()?;
        // A place that was used 2^32 times retires.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(name.index());
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::id::TrackId;

    #[test]
    fn a_place_is_used_again_under_another_name() {
        let mut table = Table::<TrackId, &str>::new(2);
        let first = table.insert("first").expect("room");
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second").expect("room");
        assert_eq!((second.index, second.generation), (0, 1));
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&"second"));
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let mut table = Table::<TrackId, u8>::new(1);
        assert!(table.insert(1).is_some() && table.insert(2).is_none());
        assert_eq!(table.len(), 1);
    }
}
