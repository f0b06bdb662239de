//! Durations as operators write them.

use std::time::Duration;

/// Reads `300` or `0.5` (seconds), `5m`, `1h30m`, `250ms`, `1d`, or ISO 8601 such as `PT5M` and `P1D`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let units = match text.strip_prefix('P') {
        Some(iso) => {
            let (days, time) = iso.split_once('T').unwrap_or((iso, ""));
            sum(days, &[("D", 86_400.0)])? + sum(time, &[("H", 3_600.0), ("M", 60.0), ("S", 1.0)])?
        }
        None => sum(text, &[("d", 86_400.0), ("h", 3_600.0), ("ms", 0.001), ("m", 60.0), ("s", 1.0)])?,
    };
    let empty = !text.contains(|character: char| character.is_ascii_digit());
    if empty { None } else { Duration::try_from_secs_f64(units).ok() }
}

/// Adds up `<number><unit>` pairs; `None` for anything else.
fn sum(mut text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let mut seconds = 0.0;
    while !text.is_empty() {
        let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let amount: f64 = text[..digits].parse().ok()?;
        let rest = &text[digits..];
        let (unit, factor) = units.iter().find(|(unit, _)| rest.starts_with(unit))?;
        seconds += amount * factor;
        text = &rest[unit.len()..];
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_units_and_iso_8601_are_read() {
        for (text, millis) in [
            ("300", 300_000),
            ("0.5", 500),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("250ms", 250),
            ("20s", 20_000),
            ("PT5M", 300_000),
            ("P1D", 86_400_000),
            ("P1DT2H", 93_600_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "m", "5 minutes", "-1", "P", "PT", "1x", "5m3", "inf", "NaN"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
