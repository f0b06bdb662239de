//! Schedules under faults: three real schedulers for ten minutes, and an account of every instant, run and attempt.
//!
//! Their jobs are the suite's own ([`trial`]), which take long, fail, panic and overrun, and write what they do into a file
//! ([`diary`]), so that it is known even where no database is reached. The database notes each change of a run ([`history`]). The
//! checkers are pure, and each has a test that shows it what it must see: [`instants`], [`ends`], [`overlap`], [`leases`];
//! [`verdict`] brings them together. [`run`] plays, [`figures`] count, [`report`] tells.

pub mod diary;
pub mod ends;
pub mod figures;
pub mod history;
pub mod instants;
pub mod leases;
pub mod overlap;
pub mod report;
pub mod run;
pub mod trial;
pub mod verdict;
