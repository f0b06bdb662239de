//! Settings: read once at start from the environment, every mistake reported together.
//!
//! A [`Setting`] is data (name, default, explanation), so that the reference page `docs/CONFIG.md` is printed from
//! the same table that is read. A secret may also stand in a file, named by the setting's name with `_FILE` behind
//! it. `--set NAME=VALUE` on the command line goes before the environment.

mod broker;
mod database;
mod duration;
mod process;
mod reader;
mod secret;
mod setting;

pub use broker::{BrokerConfig, TopologyAtStart};
pub use database::DatabaseConfig;
pub use duration::parse_duration;
pub use process::{LogFormat, ProcessConfig};
pub use reader::{ConfigError, Reader};
pub use secret::Secret;
pub use setting::{Setting, effective_values, reference, shared_reference};

/// The settings that all three programs read, by section.
pub const SECTIONS: &[(&str, &[&Setting])] =
    &[("Process", process::SETTINGS), ("Database", database::SETTINGS), ("Broker", broker::SETTINGS)];
