//! The API over HTTP and a real database, in this process. RabbitMQ is needed by the tests of notices alone: no request
//! asks it.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

mod bad_input;
mod events;
mod harness;
mod import;
mod key_rotation;
mod keys;
mod outage;
mod registering;
mod rehashing;
mod sessions;
mod standing_notices;
mod standings;
mod tasks;
mod tokens;
