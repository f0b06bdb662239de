//! The API over HTTP and a real database, in this process; RabbitMQ is not needed, since no request asks it.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

mod bad_input;
mod events;
mod harness;
mod outage;
mod registering;
mod sessions;
mod tasks;
mod tokens;
