//! All that a program tells Prometheus: what it counts, and what is read when somebody asks.

use std::fmt;
use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::MutexGuard;

use super::database::{DatabaseFigures, Figures, State};
use super::format::Format;
use super::process;
use super::registry::Metrics;
use crate::clock::Clock;

/// What `/metrics` tells. Clones share it.
#[derive(Debug, Clone)]
pub struct Exposition {
    metrics: Metrics,
    figures: Arc<DatabaseFigures>,
}

/// Figures just read; they stay as they are until this is dropped.
#[derive(Debug)]
pub struct Fresh<'a> {
    metrics: &'a Metrics,
    _figures: MutexGuard<'a, State>,
}

impl Exposition {
    /// What `program` tells: its own `metrics`, `figures` from the database behind `pool`, and what every process has.
    pub fn new(
        program: &'static str,
        metrics: Metrics,
        pool: &PgPool,
        clock: &Clock,
        figures: Vec<Box<dyn Figures>>,
    ) -> Self {
        process::tell(&metrics, program, clock.now(), pool);
        let figures = Arc::new(DatabaseFigures::new(&metrics, pool, figures));
        Self { metrics, figures }
    }

    /// Where more may be registered.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Reads the database's figures, unless somebody just did. Takes about a second at most.
    pub async fn refreshed(&self) -> Fresh<'_> {
        Fresh { metrics: &self.metrics, _figures: self.figures.refreshed().await }
    }
}

impl Fresh<'_> {
    /// All of it as text.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        self.metrics.encode(format)
    }
}
