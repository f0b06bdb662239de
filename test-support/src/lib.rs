//! What tests stand on: a database and a virtual host of their own, the real programs as processes, servers that can
//! be stopped and killed, a client that speaks the user's language, and waiting for signals instead of for time.
//!
//! Only tests link this crate, so it panics with a sentence where a program would return an error. Everything it makes
//! goes away when it is dropped, also when the test fails. The servers come from `cargo xtask test`; see
//! [`environment`].

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    reason = "only tests link this crate: what goes wrong here should fail the test, at once and in words"
)]

pub mod api;
pub mod broker;
pub mod browser;
pub mod database;
pub mod distribution;
mod documented;
pub mod environment;
pub mod fault_suite;
pub mod faults;
pub mod live;
pub mod machine;
pub mod mail_server;
pub mod metrics;
pub mod network;
pub mod programs;
pub mod signals;
pub mod simplejwt;
pub mod world;

pub use broker::TestBroker;
pub use database::TestDatabase;
pub use mail_server::MailServer;
/// Of a question to the [management API](TestBroker::manage).
pub use reqwest::Method;
pub use signals::{assert_same_ids, eventually, settled};
