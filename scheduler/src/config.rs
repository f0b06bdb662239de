//! The scheduler's settings.

use std::time::Duration;

use shared::config::{BrokerConfig, ConfigError, DatabaseConfig, ProcessConfig, Reader, Setting};

use crate::jobs::{MailConfig, mail_config, smtp_config};

/// The program's name in logs, on the broker and in the database.
pub const PROGRAM: &str = "scheduler";

const DEFAULT_PORT: u16 = 8002;
/// A longer pause would make instants late by itself.
const TICK_INTERVAL_MAX: Duration = Duration::from_secs(10);

const WORKER_SLOTS: Setting =
    Setting::new("WORKER_SLOTS", "4", "How many runs `scheduler work` executes at once, beside mails.");
const MAIL_WORKER_SLOTS: Setting = Setting::new(
    "MAIL_WORKER_SLOTS",
    "4",
    "How many mails `scheduler work` sends at once. They have slots of their own, so that a mail server that hangs holds no \
     other job.",
);
const TICK_INTERVAL: Setting = Setting::new(
    "TICK_INTERVAL",
    "1s",
    "How often `scheduler tick` looks for what has become due; at most 10s.",
);

/// The scheduler's own settings, beside the sections all programs share.
pub const SETTINGS: &[&[&Setting]] =
    &[&[&WORKER_SLOTS, &MAIL_WORKER_SLOTS, &TICK_INTERVAL], mail_config::SETTINGS, smtp_config::SETTINGS];

/// Everything the scheduler is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The process itself.
    pub process: ProcessConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// The broker.
    pub broker: BrokerConfig,
    /// How many runs are executed at once, beside mails.
    pub worker_slots: usize,
    /// How many mails are sent at once.
    pub mail_worker_slots: usize,
    /// How often to look for what has become due.
    pub tick_interval: Duration,
    /// How mails leave.
    pub mail: MailConfig,
}

impl Config {
    /// Reads all sections; every mistake is in the error.
    pub fn read(mut reader: Reader) -> Result<Self, ConfigError> {
        let config = Self {
            process: read_process(&mut reader),
            database: DatabaseConfig::read(&mut reader),
            broker: BrokerConfig::read(&mut reader),
            worker_slots: reader.at_least(&WORKER_SLOTS, 1),
            mail_worker_slots: reader.at_least(&MAIL_WORKER_SLOTS, 1),
            tick_interval: reader.duration(&TICK_INTERVAL),
            mail: MailConfig::read(&mut reader),
        };
        if config.tick_interval > TICK_INTERVAL_MAX {
            reader.problem("TICK_INTERVAL: at most 10s");
        }
        reader.finish(config)
    }
}

/// Reads the process section alone, for commands that need nothing else.
pub fn read_process(reader: &mut Reader) -> ProcessConfig {
    ProcessConfig::read(reader, PROGRAM, DEFAULT_PORT)
}

#[cfg(test)]
mod tests {
    use shared::config::effective_values;

    use super::*;

    fn reader(values: &[(&str, &str)]) -> Reader {
        Reader::from_values(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn every_mistake_is_listed_at_once() {
        let error = Config::read(reader(&[
            ("WORKER_SLOTS", "0"),
            ("MAIL_WORKER_SLOTS", "0"),
            ("TICK_INTERVAL", "1m"),
        ]))
        .unwrap_err();
        let message = error.to_string();
        for name in ["DATABASE_URL", "- WORKER_SLOTS", "MAIL_WORKER_SLOTS", "TICK_INTERVAL"] {
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn the_effective_values_show_the_defaults_and_hide_the_secrets() {
        let shown =
            effective_values(&reader(&[("DATABASE_URL", "postgres://user:hidden@host/warren")]), SETTINGS);
        assert!(shown.contains("WORKER_SLOTS=4\n") && shown.contains("TICK_INTERVAL=1s\n"), "{shown}");
        assert!(shown.contains("DATABASE_URL=********\n") && !shown.contains("hidden"), "{shown}");
    }
}
