//! The API over HTTP and a real database, in this process; RabbitMQ is not needed, since no request asks it.

mod bad_input;
mod events;
mod harness;
mod outage;
mod registering;
mod sessions;
mod tasks;
mod tokens;
