//! Starts the log: readable lines on a terminal, JSON otherwise, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, ProcessConfig};

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG: {0:?} is not a list of filter directives such as info,lapin=warn")]
    Filter(String),
    /// Something else has taken the process's log already.
    #[error("the log is already started")]
    AlreadyStarted,
}

/// Starts the process's log. To be called once, first of all.
pub fn init(process: &ProcessConfig) -> Result<(), LogError> {
    let filter =
        EnvFilter::try_new(&process.log_filter).map_err(|_| LogError::Filter(process.log_filter.clone()))?;
    let terminal = std::io::stderr().is_terminal();
    let registry = tracing_subscriber::registry().with(filter);
    let text = match process.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if text {
        registry.with(lines.with_ansi(terminal).with_target(false)).try_init()
    } else {
        registry
            .with(lines.json().flatten_event(true).with_current_span(true).with_span_list(false))
            .try_init()
    };
    started.map_err(|_| LogError::AlreadyStarted)
}
