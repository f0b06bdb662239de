//! The local stack: both servers and the three programs on this machine, with one command and nothing set up.
//!
//! ```text
//! up      lock ─ servers ┬ cargo build ─ roles ─ migrate ─ programs ─ demo accounts ─ panel ─ (follow until Ctrl-C)
//! down    lock ─ programs, RabbitMQ, PostgreSQL: in this order, each with its time to finish
//! ```
//!
//! What runs is written to `target/stack/state.json` the moment it starts, so that any later command finds it, and so
//! that nothing depends on the command that started it. Two parts of it live on different terms: the *stack* (secrets
//! that belong to the data) lasts until `--fresh`, the *session* (the caller's settings, programs, ports) from the first
//! `up` to `down`. A process is recognised by number and start, see [`crate::process::ProcessIdentity`].

mod build;
mod database;
mod demo;
mod down;
mod follow;
mod given;
mod layout;
mod lock;
mod logs;
mod panel;
mod programs;
mod servers;
mod settings;
mod state;
mod status;
mod topology;
mod up;

pub use down::down;
pub use logs::{LogsArguments, logs};
pub use status::{StatusArguments, status};
pub use up::{UpArguments, up};
