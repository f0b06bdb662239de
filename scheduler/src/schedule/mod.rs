//! What is due and when: schedules, the instants they name, and the rows that answer each instant.
//!
//! Every instant has an answer, a row in `job_runs` or a range in `job_gaps`, written with the schedule's new watermark
//! in one transaction by whoever locks the schedule first. There is no leader to lose. The database's clock is the only
//! one asked; the arithmetic takes it as an argument.

pub mod catalogue;
pub mod cron_time;
mod declaration;
pub mod due;
mod gaps_store;
pub(crate) mod jitter;
mod metrics;
pub mod publish_tick;
pub mod store;
mod ticker;
pub mod timetable;
mod wall_clock;
pub mod watermark;

pub use metrics::{ScheduleFigures, TickerMetrics};
pub use ticker::Ticker;
