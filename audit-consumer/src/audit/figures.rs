//! What should be empty: read when somebody asks.

use shared::lifecycle::Component;
use shared::metrics::{BoxFuture, Figures, Gauges, Metrics};
use sqlx::PgConnection;

use super::store;

/// Rows are counted up to so many: looking at a million would hurt when it hurts most.
const COUNTED_MAX: i64 = 10_000;

/// The trail's figures.
#[derive(Debug)]
pub struct TrailFigures {
    quarantine: Gauges<0>,
    default_partition: Gauges<0>,
    partitions: Component,
}

impl TrailFigures {
    /// Registers them. `partitions` is told when rows lie in the partition of no month.
    pub fn new(metrics: &Metrics, partitions: Component) -> Self {
        Self {
            quarantine: metrics.gauges(
                "audit_quarantine_rows",
                "Messages in audit.quarantine, which nobody could read, counted up to 10000",
                [],
            ),
            default_partition: metrics.gauges(
                "audit_default_partition_rows",
                "Rows of the trail whose month had no partition when they came, counted up to 10000",
                [],
            ),
            partitions,
        }
    }
}

impl Figures for TrailFigures {
    #[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
    fn read<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            let (quarantined, misplaced) = store::count_what_should_be_empty(connection, COUNTED_MAX).await?;
            self.quarantine.of([]).set(quarantined as f64);
            self.default_partition.of([]).set(misplaced as f64);
            match misplaced {
                0 => self.partitions.up(),
                rows => self.partitions.down(format!(
                    "audit.events_default holds {rows} row(s): a partition was missing when they came"
                )),
            }
            Ok(())
        })
    }

    fn forget(&self) {
        self.quarantine.clear();
        self.default_partition.clear();
        self.partitions.down("the database can't be asked");
    }
}
