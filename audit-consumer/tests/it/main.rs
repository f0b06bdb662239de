//! The consumer against a real database and a real broker.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong should end it")]

mod commands;
mod consuming;
mod dead_letters;
mod events;
mod metrics;
mod partitions;
mod quarantine;
mod recording;
mod trail;
mod views;
