//! The registry of a program's metrics, handed around like [`Health`](crate::lifecycle::Health).

use std::array::from_fn;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge;
use prometheus_client::registry::{Metric, Registry};

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::histogram::Histogram;

use super::format::Format;
use super::sampled::{Sample, Sampled};

/// Work that a user or a broker waits for, in seconds.
pub const DURATIONS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Work that nobody waits for, in seconds.
pub const LONG_DURATIONS: &[f64] = &[0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];
/// How late something is, in seconds.
pub const LAGS: &[f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0];
/// How many are done at once.
pub const BATCH_SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// A figure that goes up and down.
pub type Gauge = gauge::Gauge<f64, AtomicU64>;
/// A series' labels: names and values, all of them texts of the code.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];
/// Counters of one name.
pub type Counters<const N: usize> = Series<N, Counter>;
/// Gauges of one name.
pub type Gauges<const N: usize> = Series<N, Gauge>;
/// Histograms of one name.
pub type Histograms<const N: usize> = Series<N, Histogram, Buckets>;

/// The registry. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

/// Metrics of one name, told apart by the values of their labels.
#[derive(Clone)]
pub struct Series<const N: usize, M, C = fn() -> M> {
    names: [&'static str; N],
    family: Family<Labels<N>, M, C>,
}

/// The upper bounds of a histogram's buckets.
#[derive(Debug, Clone, Copy)]
pub struct Buckets(&'static [f64]);

impl Metrics {
    /// Something that is counted.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.register(name, help, counter.clone());
        counter
    }

    /// The same for each of `values`, the values of the labels called `names`.
    pub fn counters<const N: usize>(
        &self,
        (name, help): (&str, &str),
        names: [&'static str; N],
        values: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Counters<N> {
        self.series((name, help), Family::default(), names, values)
    }

    /// Something that goes up and down.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.register(name, help, gauge.clone());
        gauge
    }

    /// The same told apart by labels. None is there until it is set: nobody knows it before.
    pub fn gauges<const N: usize>(&self, name: &str, help: &str, names: [&'static str; N]) -> Gauges<N> {
        self.series((name, help), Family::default(), names, [])
    }

    /// How something is distributed.
    pub fn histogram(&self, name: &str, help: &str, buckets: &'static [f64]) -> Histogram {
        let histogram = Buckets(buckets).new_metric();
        self.register(name, help, histogram.clone());
        histogram
    }

    /// The same for each of `values`, the values of the labels called `names`.
    pub fn histograms<const N: usize>(
        &self,
        (name, help, buckets): (&str, &str, &'static [f64]),
        names: [&'static str; N],
        values: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Histograms<N> {
        self.series((name, help), Family::new_with_constructor(Buckets(buckets)), names, values)
    }

    /// Figures that are looked up when somebody asks.
    pub fn sampled<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = Sample<N>>,
    ) {
        self.collected(Sampled::gauges(name, help, samples));
    }

    /// Whatever `collector` tells.
    pub fn collected(&self, collector: impl Collector) {
        self.locked(|registry| registry.register_collector(Box::new(collector)));
    }

    /// All of it as text.
    pub(super) fn encode(&self, format: Format) -> Result<String, fmt::Error> {
        let mut encoded = String::new();
        self.locked(|registry| match format {
            Format::OpenMetrics => text::encode(&mut encoded, registry),
            Format::PrometheusText => prometheus_text::encode(&mut encoded, registry),
        })?;
        Ok(encoded)
    }

    fn series<const N: usize, M, C>(
        &self,
        (name, help): (&str, &str),
        family: Family<Labels<N>, M, C>,
        names: [&'static str; N],
        values: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Series<N, M, C>
    where
        M: Clone,
        C: MetricConstructor<M> + Clone,
        Family<Labels<N>, M, C>: Metric,
    {
        self.register(name, help, family.clone());
        let series = Series { names, family };
        for values in values {
            series.of(values);
        }
        series
    }

    fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.locked(|registry| registry.register(name, help, metric));
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Registry) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<const N: usize, M: Clone, C: MetricConstructor<M>> Series<N, M, C> {
    /// The one with these values.
    pub fn of(&self, values: [&'static str; N]) -> M {
        self.family.get_or_create_owned(&from_fn(|place| (self.names[place], values[place])))
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.family.clear();
    }
}

impl<const N: usize, M, C> fmt::Debug for Series<N, M, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Series").field("names", &self.names).finish_non_exhaustive()
    }
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_there_at_zero_and_figures_are_absent_until_they_are_known() {
        let metrics = Metrics::default();
        let told = metrics.counters(("tea_cups", "Cups"), ["kind"], [["green"], ["black"]]);
        let heat = metrics.gauges("tea_heat_celsius", "Heat", ["pot"]);
        let text = || metrics.encode(Format::PrometheusText).unwrap();
        assert!(text().contains("tea_cups_total{kind=\"green\"} 0\n"), "{}", text());
        assert!(!text().contains("tea_heat"));
        told.of(["black"]).inc_by(2);
        heat.of(["blue"]).set(80.0);
        assert!(text().contains("tea_cups_total{kind=\"black\"} 2\n"));
        assert!(text().contains("tea_heat_celsius{pot=\"blue\"} 80"));
        heat.clear();
        assert!(!text().contains("tea_heat"));
    }
}
