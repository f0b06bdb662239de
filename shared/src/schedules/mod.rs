//! What is due and when: schedules, the instants they name, and the rows that answer each instant.
//!
//! Every instant has an answer, a row in `job_runs` or a range in `job_gaps`, written with the schedule's new watermark
//! in one transaction by whoever locks the schedule first. There is no leader to lose. The database's clock is the only
//! one asked; the arithmetic takes it as an argument.
//!
//! The scheduler's ticker does so for whatever is due; operators have single schedules answered ([`crate::control`]).

mod close;
pub mod cron_time;
pub mod due;
pub mod gaps_store;
pub mod jitter;
mod overlap;
pub mod publish_tick;
mod runs_store;
mod settle;
pub mod store;
pub mod timetable;
mod wall_clock;

pub use close::close;
pub use overlap::Overlap;
pub use runs_store::share;
pub use settle::settle;
