//! What `/metrics` tells, read as a test needs it.

use std::collections::BTreeSet;

use shared::metrics::{Exposition, Format};

use crate::api::Client;

/// The answer of `/metrics` in Prometheus' own text.
#[derive(Debug, Clone)]
pub struct Scrape(String);

impl Scrape {
    /// Asks a program.
    pub async fn of(client: &Client) -> Self {
        let answer = client.get("/metrics").await.expect(200);
        assert_eq!(answer.header("content-type"), Format::PrometheusText.content_type());
        Self(answer.body.as_str().expect("the metrics are a text").to_owned())
    }

    /// Asks without a program.
    pub async fn from(exposition: &Exposition) -> Self {
        Self(exposition.refreshed().await.text(Format::PrometheusText).expect("the metrics are a text"))
    }

    /// The figure of a series, written as in the text: `outbox_rows{exchange="auth.events"}`.
    pub fn figure(&self, series: &str) -> Option<f64> {
        let mut samples = self.samples();
        samples.find(|(name, _)| *name == series).map(|(_, figure)| figure.parse().expect("a figure"))
    }

    /// How many something is, which must be there.
    ///
    /// # Panics
    ///
    /// If the series is absent, or no count.
    #[track_caller]
    pub fn count(&self, series: &str) -> u64 {
        let found = self.samples().find(|(name, _)| *name == series);
        let (_, figure) = found.unwrap_or_else(|| panic!("{series} is absent from\n{}", self.0));
        let whole = figure.strip_suffix(".0").unwrap_or(figure);
        whole.parse().unwrap_or_else(|_| panic!("{series} is {figure}, which is no count"))
    }

    /// All series whose name is `name`.
    pub fn series_of(&self, name: &str) -> BTreeSet<&str> {
        let is_meant = |series: &&str| series.split('{').next() == Some(name);
        self.samples().map(|(series, _)| series).filter(is_meant).collect()
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn samples(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '))
    }
}
