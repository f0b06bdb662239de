//! Filters in a query string.

use std::borrow::Cow;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};

const NO_NUL: &str = "Null characters are not allowed.";
const NO_INSTANT: &str = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm:ss[.uuuuuu](+HH:MM|-HH:MM|Z).";

/// A value, or what is wrong with its text.
pub type Read<T> = Result<T, &'static str>;

/// The filters among `names` that are given, each once: the last of several values counts. Other names are ignored.
pub fn last_values<'a>(query: Option<&'a str>, names: &[&'static str]) -> Vec<(&'static str, Cow<'a, str>)> {
    let given: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
    let last =
        |name| given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| (name, value.clone()));
    names.iter().copied().filter_map(last).collect()
}

/// Sets a filter, or tells what is wrong.
pub fn set<T>(filter: &mut Option<T>, read: Read<T>) -> Option<&'static str> {
    match read {
        Ok(value) => {
            *filter = Some(value);
            None
        }
        Err(words) => Some(words),
    }
}

/// Whatever can be read from a text; else `words`.
pub fn parsed<T: FromStr>(value: &str, words: &'static str) -> Read<T> {
    value.parse().map_err(|_| words)
}

/// A text that the database can hold.
pub fn text(value: &str) -> Read<String> {
    if value.contains('\0') { Err(NO_NUL) } else { Ok(value.to_owned()) }
}

/// A moment, as RFC 3339 writes it, in UTC, too.
pub fn instant(value: &str) -> Read<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(value).map_err(|_| NO_INSTANT)?.to_utc();
    if (1..=9999).contains(&at.year()) { Ok(at) } else { Err(NO_INSTANT) }
}
