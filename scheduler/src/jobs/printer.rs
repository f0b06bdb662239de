//! Standard output, through one writer: what two runs print at once does not mix.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The one writer. Clones share it.
#[derive(Clone)]
pub struct Printer(Arc<Mutex<dyn Write + Send>>);

impl Printer {
    /// Prints on standard output.
    pub fn stdout() -> Self {
        Self::to(io::stdout())
    }

    /// Prints on `writer`: a test's standard output.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Prints `text` whole. A closed standard output is logged and nothing more: what counts is kept as the run's
    /// output.
    pub async fn print(&self, text: String) {
        let writer = self.0.clone();
        // A full pipe blocks its writer, so never on a thread of the runtime.
        let printed = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.write_all(text.as_bytes())?;
            writer.flush()
        });
        match printed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "standard output takes nothing"),
            Err(error) => tracing::warn!(%error, "nothing was printed"),
        }
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Printer")
    }
}
