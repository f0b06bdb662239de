//! The jobs of this build, by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::jobs::{Definition, Job};

/// The jobs by key. Clones share them.
#[derive(Debug, Clone)]
pub struct Registry(Arc<BTreeMap<&'static str, Job>>);

impl Registry {
    /// A registry of `jobs`; of two with the same key the later one counts.
    pub fn new(jobs: impl IntoIterator<Item = Job>) -> Self {
        Self(Arc::new(jobs.into_iter().map(|job| (job.definition.key, job)).collect()))
    }

    /// The job called `key`.
    pub fn get(&self, key: &str) -> Option<&Job> {
        self.0.get(key)
    }

    /// The keys of all jobs, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The definitions of the jobs that have a schedule, each with its timetable, in the order of their keys.
    pub fn scheduled(&self) -> impl Iterator<Item = (&Definition, &'static str)> {
        let definitions = self.0.values().map(|job| &job.definition);
        definitions.filter_map(|definition| Some((definition, definition.timetable?)))
    }
}
