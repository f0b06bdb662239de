//! An orderly start and stop: what runs, how it is restarted, how it ends, and who may know.
//!
//! A program spawns its loops through [`Shutdown`], which tracks every one of them. The first SIGTERM or SIGINT asks
//! them to finish, the second ends the process at once; a loop that ends by itself takes the program down with an
//! exit code that says so. A loop that talks to a server runs under [`supervise()`]. A command whose work takes long does
//! it in [`run_to_end`].

mod backoff;
mod exit;
mod health;
mod health_metrics;
mod http_connection;
mod http_server;
mod probes;
mod shutdown;
mod stacks;
mod supervise;

pub use backoff::Backoff;
pub use exit::{UsageError, healthcheck, report};
pub use health::{Component, Health, Readiness, Standing};
pub use http_server::{HttpLimits, serve as serve_http, serve_on as serve_http_on};
pub use probes::{Probes, router as probe_router};
pub use shutdown::{Shutdown, StopError, run_to_end};
pub use stacks::with_deep_stacks;
pub use supervise::{Interruption, supervise};
