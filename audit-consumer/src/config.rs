//! The consumer's settings.

use std::time::Duration;

use shared::config::{BrokerConfig, ConfigError, DatabaseConfig, ProcessConfig, Reader, Setting};

/// The program's name.
pub const PROGRAM: &str = "audit-consumer";
/// Where it listens unless told otherwise.
const DEFAULT_PORT: u16 = 8001;
/// The largest batch: twice this is in hand, and AMQP counts what is in hand in 16 bits.
const BATCH_LIMIT: u16 = 1_000;
/// The longest wait: a batch that fills does not hear that the program is to stop, and what is in hand for minutes looks lost.
const WAIT_LIMIT: Duration = Duration::from_secs(5);

const AUDIT_BATCH_MAX: Setting =
    Setting::new("AUDIT_BATCH_MAX", "500", "The most events written in one transaction, 1 to 1000.");
const AUDIT_BATCH_WAIT: Setting = Setting::new(
    "AUDIT_BATCH_WAIT",
    "5ms",
    "How long a batch waits to fill after its first event, up to 5s. Longer means fewer transactions and later rows.",
);

/// The settings of this program, beside those of `shared`.
pub const SETTINGS: &[&[&Setting]] = &[&[&AUDIT_BATCH_MAX, &AUDIT_BATCH_WAIT]];

/// The settings of `run`.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The process.
    pub process: ProcessConfig,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// RabbitMQ.
    pub broker: BrokerConfig,
    /// The most events in one transaction.
    pub batch_max: u16,
    /// How long a batch waits to fill.
    pub batch_wait: Duration,
}

impl RunConfig {
    /// Reads all of it, or says everything that is wrong.
    pub fn read(mut reader: Reader) -> Result<Self, ConfigError> {
        let config = Self {
            process: read_process(&mut reader),
            database: DatabaseConfig::read(&mut reader),
            broker: BrokerConfig::read(&mut reader),
            batch_max: read_batch_max(&mut reader),
            batch_wait: read_batch_wait(&mut reader),
        };
        reader.finish(config)
    }
}

/// The process section, for commands that need no more.
pub fn read_process(reader: &mut Reader) -> ProcessConfig {
    ProcessConfig::read(reader, PROGRAM, DEFAULT_PORT)
}

fn read_batch_max(reader: &mut Reader) -> u16 {
    let batch_max = reader.at_least(&AUDIT_BATCH_MAX, 1);
    if batch_max > BATCH_LIMIT {
        reader.problem(format!("AUDIT_BATCH_MAX: {batch_max} is above {BATCH_LIMIT}"));
    }
    batch_max
}

fn read_batch_wait(reader: &mut Reader) -> Duration {
    let batch_wait = reader.duration(&AUDIT_BATCH_WAIT);
    if batch_wait > WAIT_LIMIT {
        reader.problem(format!("AUDIT_BATCH_WAIT: {batch_wait:?} is above {WAIT_LIMIT:?}"));
    }
    batch_wait
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<RunConfig, String> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        RunConfig::read(Reader::from_values(values)).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let name = "a".repeat(201);
        let wrong = [("AUDIT_BATCH_MAX", "1001"), ("AUDIT_BATCH_WAIT", "0"), ("INSTANCE_NAME", &name)];
        let message = read(&wrong).unwrap_err();
        for part in
            ["DATABASE_URL", "AUDIT_BATCH_MAX: 1001 is above 1000", "AUDIT_BATCH_WAIT", "INSTANCE_NAME"]
        {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn a_batch_waits_for_seconds_at_the_most() {
        let message = read(&[("AUDIT_BATCH_WAIT", "1m")]).unwrap_err();
        assert!(message.contains("AUDIT_BATCH_WAIT: 60s is above 5s"), "{message}");
    }

    #[test]
    fn the_defaults_suffice_beside_a_database() {
        let config = read(&[("DATABASE_URL", "postgres://localhost/warren")]).unwrap();
        assert_eq!((config.batch_max, config.batch_wait), (500, Duration::from_millis(5)));
        assert_eq!(config.process.listen_address.port(), DEFAULT_PORT);
    }
}
