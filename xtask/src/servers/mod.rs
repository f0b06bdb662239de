//! Private servers for development and tests: a PostgreSQL cluster and a RabbitMQ node, each with its data, secrets
//! and log in one folder, on free loopback ports.
//!
//! A folder remembers its server's ports and secrets, so that a server started there again is the same one with the
//! same data. Dropping a server kills it, unless it was [`detached`](postgres::PostgresServer::detach).

mod binaries;
mod folder;
pub mod install;
mod ports;
pub mod postgres;
pub mod rabbitmq;
mod random;

pub use folder::{reachable_folder, scratch_folder, server_in};
pub use install::ensure_installed;
pub use ports::{free_port, is_free, prefer_port};
pub use postgres::{PostgresOptions, PostgresServer};
pub use rabbitmq::{RabbitmqOptions, RabbitmqServer};
pub use random::secret;
