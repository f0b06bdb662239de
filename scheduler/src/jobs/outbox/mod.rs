//! Jobs about the outbox.

pub mod purge_parked_ticks;
mod store;
