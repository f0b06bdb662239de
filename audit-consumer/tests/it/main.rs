//! The consumer against a real database and a real broker.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong should end it")]

mod consuming;
mod events;
mod partitions;
mod recording;
mod trail;
mod views;
