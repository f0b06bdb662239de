//! Figures that are read from the database when somebody asks.
//!
//! A scrape must not hurt the database, nor wait for it: all figures together have one second, over one connection that
//! is theirs alone (so that a busy pool hides nothing), read-only, with the same limit on the server's side. Whoever asks
//! again within three seconds gets the same figures. If anything fails all of them are forgotten: they are absent
//! then, and `database_figures_up` is 0.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use super::registry::{Gauge, Metrics};
use crate::telemetry::error_chain;

/// How long connecting and reading may take together.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long figures are told again without being read again.
const FRESH_FOR: Duration = Duration::from_secs(3);

/// Figures of one room.
pub trait Figures: fmt::Debug + Send + Sync {
    /// Reads them and sets their gauges.
    fn read<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// Nobody knows them: clears their gauges.
    fn forget(&self);
}

/// All figures of a program.
#[derive(Debug)]
pub(super) struct DatabaseFigures {
    options: PgConnectOptions,
    figures: Vec<Box<dyn Figures>>,
    up: Gauge,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    connection: Option<PgConnection>,
    read_at: Option<Instant>,
    is_failing: bool,
}

impl DatabaseFigures {
    pub(super) fn new(metrics: &Metrics, pool: &PgPool, figures: Vec<Box<dyn Figures>>) -> Self {
        let limit = format!("{}ms", DEADLINE.as_millis());
        let options = pool.connect_options().as_ref().clone();
        let options = options.options([
            ("statement_timeout", limit.as_str()),
            ("default_transaction_read_only", "on"),
            // Figures look at the head of an index. By old statistics a planner may sort a whole backlog for that.
            ("enable_sort", "off"),
            ("enable_bitmapscan", "off"),
            ("jit", "off"),
        ]);
        let up = metrics.gauge(
            "database_figures_up",
            "Whether the figures that are read from the database could be read; they are absent otherwise",
        );
        Self { options, figures, up, state: Mutex::default() }
    }

    /// Reads them unless they are fresh. They stay as they are while the guard is held.
    pub(super) async fn refreshed(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().await;
        if state.read_at.is_some_and(|read_at| read_at.elapsed() < FRESH_FOR) {
            return state;
        }
        let failed = match timeout(DEADLINE, self.read(&mut state.connection)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_) => Some(format!("no answer within {DEADLINE:?}")),
        };
        state.read_at = Some(Instant::now());
        self.up.set(if failed.is_some() { 0.0 } else { 1.0 });
        match failed {
            None => {
                if std::mem::take(&mut state.is_failing) {
                    tracing::info!("the database's figures can be read again");
                }
            }
            Some(error) => {
                self.figures.iter().for_each(|figures| figures.forget());
                if !std::mem::replace(&mut state.is_failing, true) {
                    tracing::warn!(error, "the database's figures can't be read");
                }
            }
        }
        state
    }

    async fn read(&self, kept: &mut Option<PgConnection>) -> Result<(), sqlx::Error> {
        // Taken out: after an error or a missed deadline it is dropped, its state unknown.
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        for figures in &self.figures {
            figures.read(&mut connection).await?;
        }
        *kept = Some(connection);
        Ok(())
    }
}
