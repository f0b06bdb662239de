//! A row as a record of CSV (RFC 4180), for people with a spreadsheet.
//!
//! What strangers typed must not be a formula there: a text that begins like one gets a single quote before it, as OWASP
//! advises. Whoever needs exact values takes them from `body`, or takes JSON lines.

use std::fmt::Display;

use chrono::SecondsFormat;

use super::store::Row;

/// The names of the columns.
pub(super) const HEADER: &str = "event_id,type,occurred_at,recorded_at,sequence,user_id,username,session_id,jti,ip,\
    user_agent,outcome,reason,request_id,trace_id,body\r\n";
/// What a spreadsheet takes for the beginning of a formula.
const BEGINS_A_FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Appends the record.
pub(super) fn write(row: &Row, record: &mut Vec<u8>) {
    let instant = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let fields = [
        Some(row.event_id.to_string()),
        Some(harmless(&row.event_type)),
        Some(instant(row.occurred_at)),
        Some(instant(row.recorded_at)),
        shown(row.sequence),
        shown(row.user_id),
        row.username.as_deref().map(harmless),
        shown(row.session_id),
        row.jti.as_deref().map(harmless),
        shown(row.ip.map(|network| network.ip())),
        row.user_agent.as_deref().map(harmless),
        Some(row.outcome.clone()),
        row.reason.as_deref().map(harmless),
        shown(row.request_id),
        row.trace_id.as_deref().map(harmless),
        Some(row.body.clone()),
    ];
    for (place, field) in fields.iter().enumerate() {
        if place > 0 {
            record.push(b',');
        }
        if let Some(text) = field {
            quote(text, record);
        }
    }
    record.extend_from_slice(b"\r\n");
}

fn shown(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn harmless(text: &str) -> String {
    let quote = if text.starts_with(BEGINS_A_FORMULA) { "'" } else { "" };
    format!("{quote}{text}")
}

/// An empty text has quotes, nothing at all has none.
fn quote(text: &str, record: &mut Vec<u8>) {
    if !text.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        record.extend_from_slice(text.as_bytes());
        return;
    }
    record.push(b'"');
    record.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    record.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", "\"\""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("ünï 🐇", "ünï 🐇"),
        ] {
            let mut record = Vec::new();
            quote(text, &mut record);
            assert_eq!(String::from_utf8(record).unwrap(), expected);
        }
    }

    #[test]
    fn what_begins_like_a_formula_does_not() {
        for text in ["=1+1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("a=1"), "a=1");
    }
}
