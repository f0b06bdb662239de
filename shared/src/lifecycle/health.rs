//! What a program knows of its own parts, for `/readyz`.

use std::collections::BTreeMap;
use std::fmt;
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
    /// Its branches; if it has none, itself under the empty name.
    branches: BTreeMap<&'static str, Branch>,
    /// How often it went from up to down.
    failures: u64,
}

#[derive(Debug, Clone)]
struct Branch {
    down: Option<String>,
    /// How often it went from down to up.
    ups: u64,
}

/// One part, or a branch of one, which reports about itself.
#[derive(Debug, Clone)]
pub struct Component {
    health: Health,
    name: &'static str,
    branch: &'static str,
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
        let state = State { standing, branches: BTreeMap::new(), failures: 0 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, state);
        Component { health: self.clone(), name, branch: "" }.starting()
    }

    /// Each part's name, whether it is up, and how often it broke down.
    pub(super) fn parts(&self) -> Vec<(&'static str, bool, u64)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(name, part)| (*name, part.is_up(), part.failures)).collect()
    }

    /// The state of all parts together.
    pub fn readiness(&self) -> Readiness {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let down = |standing| parts.values().any(|part| !part.is_up() && part.standing == standing);
        let status = if down(Standing::Required) {
            "not ready"
        } else if down(Standing::Supporting) {
            "degraded"
        } else {
            "ready"
        };
        let checks = parts
            .iter()
            .map(|(name, part)| (*name, if part.is_up() { "up".to_owned() } else { part.reasons() }))
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

impl State {
    fn is_up(&self) -> bool {
        self.branches.values().all(|branch| branch.down.is_none())
    }

    /// Each reason once, with the branches that it holds up unless it is all of them.
    fn reasons(&self) -> String {
        let mut held_up: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (branch, Branch { down, .. }) in &self.branches {
            if let Some(reason) = down {
                held_up.entry(reason).or_default().push(branch);
            }
        }
        let all = self.branches.len();
        let told = held_up.into_iter().map(|(reason, branches)| {
            if branches.len() == all {
                reason.to_owned()
            } else {
                format!("{}: {reason}", branches.join(", "))
            }
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

impl Component {
    /// A branch of it, which reports for itself: one that has branches is up when all of them are.
    #[must_use]
    pub fn branch(&self, branch: &'static str) -> Self {
        Self { branch, ..self.clone() }.starting()
    }

    fn starting(self) -> Self {
        let mut parts = self.health.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = parts.get_mut(self.name) {
            state.branches.remove("");
            state.branches.insert(self.branch, Branch { down: Some("starting".to_owned()), ups: 0 });
        }
        drop(parts);
        self
    }

    /// How often it has begun to work in this life of the program.
    pub(super) fn ups(&self) -> u64 {
        let parts = self.health.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get(self.name).and_then(|state| state.branches.get(self.branch)).map_or(0, |branch| branch.ups)
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
            let was_up = state.is_up();
            if let Some(branch) = state.branches.get_mut(self.branch) {
                branch.ups += u64::from(branch.down.is_some() && down.is_none());
                branch.down = down;
            }
            state.failures += u64::from(was_up && !state.is_up());
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.branch {
            "" => formatter.write_str(self.name),
            branch => write!(formatter, "{} ({branch})", self.name),
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

    #[test]
    fn a_part_is_up_when_all_its_branches_are_and_says_each_reason_once() {
        let health = Health::default();
        let relay = health.component("relay", Standing::Supporting);
        let [auth, task, ticks] = ["auth", "task", "ticks"].map(|branch| relay.branch(branch));
        let said = || health.readiness().checks["relay"].clone();
        assert_eq!(said(), "starting");
        auth.up();
        auth.up();
        task.up();
        assert_eq!(said(), "ticks: starting");
        assert_eq!((auth.ups(), ticks.ups()), (1, 0));
        ticks.up();
        assert_eq!(said(), "up");
        auth.down("refused");
        ticks.down("refused");
        assert_eq!(said(), "auth, ticks: refused");
        task.down("blocked");
        assert_eq!(said(), "task: blocked; auth, ticks: refused");
        task.down("refused");
        assert_eq!(said(), "refused");
        assert_eq!(health.parts(), [("relay", false, 1)], "it broke down once");
        assert_eq!(auth.to_string(), "relay (auth)");
    }
}
