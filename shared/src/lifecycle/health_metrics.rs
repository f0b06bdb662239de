//! A program's parts for Prometheus: which are up, and how often each broke down.

use std::fmt;

use super::health::Health;
use crate::metrics::{Collector, ConstCounter, ConstGauge, DescriptorEncoder, EncodeMetric, MetricType};

/// Tells of the parts as `/readyz` does.
#[derive(Debug)]
pub(super) struct HealthMetrics(pub(super) Health);

impl Collector for HealthMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let parts = self.0.parts();
        let help = "Whether a part of the program is up, as /readyz tells with its reason.";
        let mut up = encoder.encode_descriptor("component_up", help, None, MetricType::Gauge)?;
        for (name, is_up, _) in &parts {
            let labels = [("component", *name)];
            ConstGauge::new(i64::from(*is_up)).encode(up.encode_family(&labels)?)?;
        }
        let help = "How often a part of the program broke down after it was up.";
        let mut failures =
            encoder.encode_descriptor("component_failures", help, None, MetricType::Counter)?;
        for (name, _, count) in &parts {
            let labels = [("component", *name)];
            ConstCounter::new(*count).encode(failures.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
