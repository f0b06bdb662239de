//! The fault suite: Warren under steady load while everything around it breaks, and an account of what came of it.
//!
//! `docs/FAULTS.md` says what is promised, what is injected and how to read the report. The rooms, from the bottom up:
//!
//! - [`account`] (Jepsen's counts), [`fault`] (the words), [`targets`] (what faults hit), [`plan`] (which fault when, from a seed) and
//!   [`invariants`] (the verdict) are pure and have tests of their own: a checker with a fault is worse than none.
//! - [`stage`] is what a run is played on, [`load`] what goes on there (with `newcomers`), [`inject`] and [`messages`] what goes wrong.
//! - [`committed`], [`witness`], [`watch`] and [`notes`] see it, each on its own; [`told`] holds the tables against the trail;
//!   [`evidence`] and [`requests`] bring it together.
//! - [`play`] plays a plan, [`run`] is all of it, [`report`] tells of it, and [`controls`] are broken on purpose: the suite must see
//!   it.
//! - [`schedules`] is another play on the same stage: schedulers alone, and every instant, run and attempt of theirs.

pub mod account;
pub mod committed;
pub mod controls;
pub mod evidence;
pub mod fault;
pub mod inject;
pub mod invariants;
pub mod load;
pub mod messages;
mod newcomers;
pub mod notes;
pub mod plan;
mod play;
pub mod report;
pub mod requests;
pub mod run;
pub mod schedules;
pub mod stage;
pub mod targets;
pub mod told;
pub mod watch;
pub mod witness;
