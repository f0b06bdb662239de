//! Media types as DRF compares them: case-insensitive, wildcards on either side of the slash, parameters apart.

use axum::http::HeaderValue;

/// A media type out of a Content-Type or an Accept header. Any text is one; not every one matches something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads `type/subtype; name=value; …`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut pieces = split_outside_quotes(text, ';').into_iter();
        let full = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        let (kind, subtype) = full.split_once('/').unwrap_or((&full, ""));
        let parameters = pieces.filter_map(|piece| piece.split_once('=')).map(parameter).collect();
        Self { kind: kind.to_owned(), subtype: subtype.to_owned(), parameters }
    }

    /// Whether this is `kind/subtype`, or a wildcard that includes it.
    pub(crate) fn covers(&self, kind: &str, subtype: &str) -> bool {
        (self.kind == kind || self.kind == "*") && (self.subtype == subtype || self.subtype == "*")
    }

    /// Whether this is `kind/subtype`, in so many words.
    pub(crate) fn names(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    /// A parameter's value, without its quotes.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A header's value as text: each byte is a character, so that no value is unreadable.
pub(crate) fn latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().copied().map(char::from).collect()
}

fn parameter((name, value): (&str, &str)) -> (String, String) {
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let value =
        unquoted.map_or_else(|| value.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\"));
    (name.trim().to_ascii_lowercase(), value)
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |character| {
        let was_escaped = escaped;
        escaped = quoted && character == '\\' && !was_escaped;
        if character == '"' && !was_escaped {
            quoted = !quoted;
        }
        character == separator && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_read_with_its_parameters() {
        let media_type = MediaType::parse("Multipart/Form-Data; Boundary=\"a;\\\"b\"; charset = UTF-8;;x");
        assert!(media_type.names("multipart", "form-data"));
        assert_eq!(media_type.parameter("boundary"), Some("a;\"b"));
        assert_eq!(media_type.parameter("charset"), Some("UTF-8"));
        assert_eq!(media_type.parameter("x"), None);
    }

    #[test]
    fn a_wildcard_covers_on_either_side_and_names_nothing() {
        for (text, covers) in [
            ("application/json", true),
            ("application/*", true),
            ("*/*", true),
            ("*/json", true),
            ("*", false),
            ("", false),
            ("text/json", false),
            ("application/json-seq", false),
        ] {
            assert_eq!(MediaType::parse(text).covers("application", "json"), covers, "{text}");
        }
        assert!(!MediaType::parse("*/*").names("application", "json"));
    }
}
