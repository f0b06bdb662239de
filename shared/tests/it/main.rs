//! The rooms of `shared` against a real database and a real broker.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong should end it")]

mod bench;
mod broker_facts;
mod clocks;
mod confirmed;
mod croniter;
mod definitions;
mod event_documents;
mod indexes;
mod lapin_facts;
mod metrics;
mod migrations;
mod outbox;
mod partitions;
mod pool;
mod receiving;
mod relay;
mod relay_faults;
mod roles;
mod topology;
