//! What all three programs need: the contracts of their messages, the broker, the outbox, the database, settings,
//! logs, metrics, and an orderly start and stop.
//!
//! Arrows between the rooms point down only (see `docs/ARCHITECTURE.md`): the outbox knows the broker, the database
//! and the contracts; contracts know ids and nothing else; ids, clock and entropy know nothing of ours.

pub mod broker;
pub mod clock;
pub mod config;
pub mod contracts;
pub mod control;
pub mod database;
pub mod entropy;
pub mod event_documents;
pub mod ids;
pub mod lifecycle;
pub mod metrics;
pub mod operator;
pub mod outbox;
pub mod retention;
pub mod role;
pub mod runs;
pub mod schedules;
pub mod task_duration;
pub mod telemetry;
