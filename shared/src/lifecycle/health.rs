//! What a program knows of its own parts, for `/readyz`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// What it means for readiness when a part is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The program can't do its work without it: not ready.
    Required,
    /// The program does its work, late: ready, and degraded.
    Supporting,
}

/// The parts of a program, each up, or down for a reason. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, State>>>);

#[derive(Debug, Clone)]
struct State {
    standing: Standing,
    down: Option<String>,
    /// Whether it has ever been up.
    proven: bool,
    /// How often it went from up to down.
    failures: u64,
}

/// One part, which reports about itself.
#[derive(Debug, Clone)]
pub struct Component {
    health: Health,
    name: &'static str,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// `ready`, `degraded` or `not ready`.
    pub status: &'static str,
    /// Each part: `up`, or why it is not.
    pub checks: BTreeMap<&'static str, String>,
}

impl Health {
    /// Adds a part, which is down until it says otherwise.
    pub fn component(&self, name: &'static str, standing: Standing) -> Component {
        let component = Component { health: self.clone(), name };
        self.set(name, State { standing, down: Some("starting".to_owned()), proven: false, failures: 0 });
        component
    }

    fn set(&self, name: &'static str, state: State) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, state);
    }

    /// Each part's name, whether it is up, and how often it broke down.
    pub(super) fn parts(&self) -> Vec<(&'static str, bool, u64)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(name, part)| (*name, part.down.is_none(), part.failures)).collect()
    }

    /// The state of all parts together.
    pub fn readiness(&self) -> Readiness {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let down = |standing| parts.values().any(|part| part.down.is_some() && part.standing == standing);
        let status = if down(Standing::Required) {
            "not ready"
        } else if down(Standing::Supporting) {
            "degraded"
        } else {
            "ready"
        };
        let checks = parts
            .iter()
            .map(|(name, part)| (*name, part.down.clone().unwrap_or_else(|| "up".to_owned())))
            .collect();
        Readiness { status, checks }
    }
}

impl Readiness {
    /// Whether the program does its work.
    pub fn is_ready(&self) -> bool {
        self.status != "not ready"
    }
}

impl Component {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it has ever worked in this life of the program.
    pub(super) fn has_worked(&self) -> bool {
        let parts = self.health.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get(self.name).is_some_and(|state| state.proven)
    }

    /// It works.
    pub fn up(&self) {
        self.report(None);
    }

    /// It doesn't, and why.
    pub fn down(&self, reason: impl Into<String>) {
        self.report(Some(reason.into()));
    }

    fn report(&self, down: Option<String>) {
        let mut parts = self.health.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = parts.get_mut(self.name) {
            state.proven |= down.is_none();
            state.failures += u64::from(state.down.is_none() && down.is_some());
            state.down = down;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_part_decides_readiness_and_a_supporting_one_only_degrades() {
        let health = Health::default();
        let database = health.component("database", Standing::Required);
        let relay = health.component("relay", Standing::Supporting);
        assert!(!health.readiness().is_ready());
        database.up();
        assert_eq!(health.readiness().status, "degraded");
        relay.up();
        assert_eq!(health.readiness().status, "ready");
        relay.down("connection refused");
        assert_eq!(health.readiness().checks["relay"], "connection refused");
        assert!(health.readiness().is_ready());
    }
}
