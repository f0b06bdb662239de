//! The scheduler: `tick` writes everything that becomes due, `work` runs the jobs, `run` does both.
//!
//! Any number of replicas run side by side and none leads. What keeps them apart is in the database: a tick is a row
//! with a unique key, a run is claimed under a lease and a fencing attempt number. Arrows point down:
//!
//! ```text
//! cli -> schedule -> worker -> jobs -> shared
//! ```
//!
//! `schedule` knows of `worker` only the table of runs and the rescue of those that got stuck.

pub mod cli;
pub mod config;
pub mod jobs;
pub mod schedule;
pub mod worker;
