//! Figures that somebody else keeps, looked up when Prometheus asks: the idle connections of a pool, the free slots of
//! a worker.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::registry::Labels;

/// One series, and where its figure is found.
pub struct Sample<const N: usize> {
    labels: Labels<N>,
    look: Box<dyn Fn() -> Option<f64> + Send + Sync>,
}

/// Series of one name.
pub(super) struct Sampled<const N: usize> {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<Sample<N>>,
}

impl<const N: usize> Sample<N> {
    /// The series with these labels; absent while `look` finds none.
    pub fn new(labels: Labels<N>, look: impl Fn() -> Option<f64> + Send + Sync + 'static) -> Self {
        Self { labels, look: Box::new(look) }
    }
}

impl<const N: usize> Sampled<N> {
    pub(super) fn gauges(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = Sample<N>>,
    ) -> Self {
        Self { name, help, kind: MetricType::Gauge, samples: samples.into_iter().collect() }
    }

    /// Figures that only grow.
    pub(super) fn counters(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = Sample<N>>,
    ) -> Self {
        Self { kind: MetricType::Counter, ..Self::gauges(name, help, samples) }
    }
}

impl<const N: usize> Collector for Sampled<N> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let found: Vec<_> =
            self.samples.iter().filter_map(|sample| Some((&sample.labels, (sample.look)()?))).collect();
        if found.is_empty() {
            return Ok(());
        }
        let help = format!("{}.", self.help);
        let mut encoder = encoder.encode_descriptor(self.name, &help, None, self.kind)?;
        for (labels, value) in found {
            let encoder = encoder.encode_family(labels)?;
            match self.kind {
                MetricType::Counter => ConstCounter::new(value).encode(encoder)?,
                _ => ConstGauge::new(value).encode(encoder)?,
            }
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Sampled<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sampled").field("name", &self.name).finish_non_exhaustive()
    }
}
