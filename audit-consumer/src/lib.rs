//! Persists every event as one row of the audit trail, and keeps what it can't read in quarantine.
//!
//! Arrows point down: [`cli`] wires, [`quarantine`] and [`dead_letters`] are what operators do about messages that came to
//! nothing, [`deliveries`] judges what comes from the broker, [`audit`] writes, [`export`] reads. Nothing here knows the other
//! programs; it knows their events by the envelope in `shared`.

pub mod audit;
pub mod cli;
pub mod config;
pub mod dead_letters;
pub mod deliveries;
pub mod export;
mod headers;
pub mod quarantine;
