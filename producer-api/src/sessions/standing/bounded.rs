//! A map that never holds more than it may: what was not asked for longest goes first, roughly.
//!
//! Two generations: what is used moves into the young one; when that is full it becomes the old one, and the old one is
//! forgotten. Every operation is one or two of a hash map's, and no line of it needs unsafe code.

use std::collections::HashMap;
use std::hash::Hash;

/// At most `max` entries, of which at least the half used last are there.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (max / 2).max(1) }
    }

    /// The value, which is now among those used last.
    pub(super) fn get(&mut self, key: K) -> Option<&V> {
        if !self.young.contains_key(&key)
            && let Some(value) = self.old.remove(&key)
        {
            self.insert(key, value);
        }
        self.young.get(&key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: K) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    /// Keeps only the entries whose value `is_kept`.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&V) -> bool) {
        self.young.retain(|_, value| is_kept(value));
        self.old.retain(|_, value| is_kept(value));
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_it_may_and_keeps_what_is_used() {
        let mut map = Bounded::new(10);
        map.insert(0, "kept");
        for key in 1..1_000 {
            map.insert(key, "passing");
            assert!(map.len() <= 10, "{} entries", map.len());
            assert_eq!(map.get(0), Some(&"kept"));
        }
        assert_eq!(map.get(1), None);
        assert_eq!(map.get(999), Some(&"passing"));
    }

    #[test]
    fn an_entry_is_one_whichever_generation_it_is_in() {
        let mut map = Bounded::new(4);
        for key in [1, 2, 3] {
            map.insert(key, "before");
        }
        map.insert(1, "after");
        assert_eq!(map.get(1), Some(&"after"));
        assert_eq!(map.len(), 3);
        map.remove(2);
        map.remove(1);
        assert_eq!(map.get(1), None);
        assert_eq!(map.get(2), None);
        assert_eq!(map.get(3), Some(&"before"));
    }
}
