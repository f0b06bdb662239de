//! What a program counts and measures, for Prometheus.
//!
//! A room that does something has a struct of handles (`RelayMetrics`), made of [`Metrics`] where the program is wired
//! together, and counts with it in one place. `/metrics` of every program tells all of it ([`Exposition`]).
//!
//! Rules of this room:
//! - A name is area, thing, unit: `outbox_oldest_age_seconds`. A counter is named without `_total`, which is added.
//! - A label's value is a text of this program's code ([`Labels`]), so nobody outside can make a series.
//! - Every series is there from the start, at zero: a rate has a beginning, and an alert can tell "none" from "unknown".
//! - What lies in the database is read when somebody asks ([`Figures`]), not counted. What can't be read is absent,
//!   never an old figure and never a zero.

mod database;
mod exposition;
mod format;
mod process;
mod registry;
mod sampled;

pub use database::Figures;
pub use exposition::{Exposition, Fresh};
pub use format::Format;
pub use futures_util::future::BoxFuture;
pub use prometheus_client::collector::Collector;
pub use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
pub use prometheus_client::metrics::MetricType;
pub use prometheus_client::metrics::counter::ConstCounter;
pub use prometheus_client::metrics::gauge::ConstGauge;
pub use registry::{
    BATCH_SIZES, Buckets, Counter, Counters, DURATIONS, Gauge, Gauges, Histogram, Histograms, LAGS,
    LONG_DURATIONS, Labels, Metrics, Series,
};
pub use sampled::Sample;
