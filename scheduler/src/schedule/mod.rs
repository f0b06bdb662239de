//! The ticker, and the catalogue that keeps `job_schedules` in step with the jobs of this build.
//!
//! The rules of what is due when, and the rows that answer each instant, are in [`shared::schedules`]: operators have
//! schedules answered, too.

pub mod catalogue;
mod declaration;
mod metrics;
mod store;
mod ticker;
pub mod watermark;

pub use metrics::{ScheduleFigures, TickerMetrics};
pub use ticker::{Last, Ticker};
