//! The pool of connections to PostgreSQL, the schema, and the roles of programs and operators.

mod command;
mod deadline;
mod migrate;
mod pool;
mod roles;
mod scram;
mod unavailable;

pub use command::{CommandError, connect_before_migrating, connect_for_command, connect_for_long_command};
pub use deadline::within;
pub use migrate::{MigrateError, check_schema_at_start, migrate, require_schema};
pub use pool::{connect, ping, reach};
pub use roles::{RolesError, create_roles};
pub use unavailable::{is_locked, is_unavailable};

pub use crate::role::Role;
