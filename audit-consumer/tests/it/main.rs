//! The consumer against a real database and a real broker.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong should end it")]

mod append_only;
mod commands;
mod consuming;
mod dead_letters;
mod events;
mod export;
mod export_command;
mod metrics;
mod partitions;
mod quarantine;
mod recording;
mod trail;
mod views;
