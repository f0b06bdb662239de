//! Jobs about what is remembered of schedules and runs.

pub mod purge_runs;
mod store;
