//! The text of a JSON string, lone surrogates included, which Python reads and Rust's strings can't hold.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// A decoded JSON string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonText {
    /// The text; U+FFFD stands for what is not a character.
    pub(super) text: String,
    /// The first lone surrogate.
    pub(super) lone_surrogate: Option<u16>,
}

impl JsonText {
    /// A text that was never in a JSON string.
    pub(super) fn plain(text: String) -> Self {
        Self { text, lone_surrogate: None }
    }
}

/// Decodes a JSON string out of a document that was read before.
pub(super) fn decode(raw: &str) -> Result<JsonText, serde_json::Error> {
    // Into bytes, serde_json decodes a lone surrogate as WTF-8 where it would refuse it in a string.
    let bytes = serde_json::Deserializer::from_str(raw).deserialize_bytes(BytesVisitor)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => JsonText::plain(text),
        Err(error) => JsonText {
            text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            lone_surrogate: first_surrogate(error.as_bytes()),
        },
    })
}

/// WTF-8 has a surrogate as `ED A0..BF xx`; no valid character has a second byte over 9F after ED.
fn first_surrogate(bytes: &[u8]) -> Option<u16> {
    bytes.windows(3).find_map(|window| match *window {
        [0xed, second @ 0xa0..=0xbf, third] => {
            Some(0xd000 | (u16::from(second & 0x3f) << 6) | u16::from(third & 0x3f))
        }
        _ => None,
    })
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_decoded_and_its_first_lone_surrogate_is_told() {
        for (raw, text, lone_surrogate) in [
            (r#""a""#, "a", None),
            (r#""\u00e9é\n\/""#, "éé\n/", None),
            (r#""\ud83d\ude00""#, "😀", None),
            (r#""a\ud800b""#, "a\u{fffd}\u{fffd}\u{fffd}b", Some(0xd800)),
            (r#""\udfff\ud800""#, "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}", Some(0xdfff)),
        ] {
            assert_eq!(decode(raw).unwrap(), JsonText { text: text.to_owned(), lone_surrogate }, "{raw}");
        }
        assert!(decode("1").is_err());
    }
}
