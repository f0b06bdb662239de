//! What every process needs to know of itself.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use super::setting::Setting;

const LISTEN_ADDRESS: Setting = Setting::optional(
    "LISTEN_ADDRESS",
    "Address and port of the HTTP listener. Without it producer-api listens on 127.0.0.1:8000, audit-consumer on \
     127.0.0.1:8001, scheduler on 127.0.0.1:8002 (health probes and metrics only).",
);
const INSTANCE_NAME: Setting = Setting::optional(
    "INSTANCE_NAME",
    "This replica's name in logs and on broker connections, up to 200 bytes; the program's if not set.",
);
/// It is part of queues' names, which have 255 bytes at the most.
const INSTANCE_MAX: usize = 200;
const LOG_FORMAT: Setting = Setting::new(
    "LOG_FORMAT",
    "auto",
    "`text` (readable lines), `json`, or `auto`: text on a terminal, JSON otherwise.",
);
const RUST_LOG: Setting = Setting::new(
    "RUST_LOG",
    "info,lapin=off",
    "Which log lines are kept, as tracing's filter directives. What lapin says of a lost connection we say ourselves.",
);
const SHUTDOWN_TIMEOUT: Setting =
    Setting::new("SHUTDOWN_TIMEOUT", "20s", "How long work in hand may go on after SIGTERM.");

pub(super) const SETTINGS: &[&Setting] =
    &[&LISTEN_ADDRESS, &INSTANCE_NAME, &LOG_FORMAT, &RUST_LOG, &SHUTDOWN_TIMEOUT];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Readable lines.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// The process itself.
#[derive(Debug, Clone)]
pub struct ProcessConfig {
    /// The program's name, such as `producer-api`.
    pub program: &'static str,
    /// This replica's name.
    pub instance: String,
    /// Where the HTTP listener binds.
    pub listen_address: SocketAddr,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are kept.
    pub log_filter: String,
    /// How long work in hand may go on after SIGTERM.
    pub shutdown_timeout: Duration,
}

impl ProcessConfig {
    /// Reads the section for `program`, which listens on `default_port` unless told otherwise.
    pub fn read(reader: &mut Reader, program: &'static str, default_port: u16) -> Self {
        let default_address = SocketAddr::from(([127, 0, 0, 1], default_port));
        let listen_address = match reader.optional(&LISTEN_ADDRESS) {
            None => default_address,
            Some(text) => text.parse().unwrap_or_else(|_| {
                reader.problem(format!("LISTEN_ADDRESS: {text:?} is not an address such as 127.0.0.1:8000"));
                default_address
            }),
        };
        let log_filter = reader.required(&RUST_LOG);
        if EnvFilter::try_new(&log_filter).is_err() {
            reader.problem(format!(
                "RUST_LOG: {log_filter:?} is not a list of filters such as info,lapin=warn"
            ));
        }
        let instance = reader.optional(&INSTANCE_NAME).unwrap_or_else(|| program.to_owned());
        if instance.len() > INSTANCE_MAX {
            reader.problem(format!("INSTANCE_NAME: it has more than {INSTANCE_MAX} bytes"));
        }
        Self {
            program,
            instance,
            listen_address,
            log_format: reader.parsed(&LOG_FORMAT, "auto, text or json"),
            log_filter,
            shutdown_timeout: reader.duration(&SHUTDOWN_TIMEOUT),
        }
    }
}
