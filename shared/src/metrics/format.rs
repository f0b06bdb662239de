//! In which of the two texts metrics are told: the one that the client prefers. Pure.

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// What Prometheus has always read, and every tool reads.
    PrometheusText,
}

impl Format {
    /// The one that an `Accept` header prefers; Prometheus' own text if it says nothing of either.
    pub fn preferred(accept: Option<&str>) -> Self {
        let accept = accept.unwrap_or_default();
        let openmetrics = quality(accept, &["application/openmetrics-text"]);
        let plain = quality(accept, &["text/plain", "text/*"]);
        if openmetrics > 0.0 && openmetrics >= plain { Self::OpenMetrics } else { Self::PrometheusText }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The highest quality that any of `media_types` is given; 0 if none is named.
fn quality(accept: &str, media_types: &[&str]) -> f64 {
    let named = accept.split(',').filter_map(|range| {
        let (media_type, parameters) = range.split_once(';').unwrap_or((range, ""));
        let is_meant = media_types.iter().any(|meant| media_type.trim().eq_ignore_ascii_case(meant));
        let given = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
        is_meant.then(|| given.map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0)))
    });
    named.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_text_it_prefers() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (None, Format::PrometheusText),
            (Some("*/*"), Format::PrometheusText),
            (Some("text/html, text/*;q=0.5"), Format::PrometheusText),
            (Some(prometheus_2), Format::OpenMetrics),
            (Some("Application/OpenMetrics-Text"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=0.2, text/plain;q=0.9"), Format::PrometheusText),
            (Some("application/openmetrics-text;q=0"), Format::PrometheusText),
            (Some("application/openmetrics-text;q=much"), Format::PrometheusText),
        ] {
            assert_eq!(Format::preferred(accept), format, "{accept:?}");
        }
    }
}
