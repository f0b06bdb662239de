//! Warren's HTTP API: accounts, sessions, tokens and tasks, SimpleJWT's clients' wire.
//!
//! Each domain has three layers: `http` parses and renders, a use case (a file with a verb for its name) owns the
//! transaction, `store` is SQL. Every fact a use case commits leaves an event in the outbox, in the same transaction.
//! [`router`] has every route on one page.

pub mod accounts;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod event_documents;
pub mod extract;
pub mod fault;
pub mod jobs;
pub mod limits;
pub mod metrics;
pub mod middleware;
pub mod openapi;
pub mod problem;
pub mod realtime;
pub mod router;
pub mod sessions;
pub mod state;
pub mod tallies;
pub mod tasks;
pub mod tokens;
pub mod topology;
pub mod trail;
