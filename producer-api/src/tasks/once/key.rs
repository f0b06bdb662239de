//! The key of a request, and what the request asks for: of both nothing is kept but a digest.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};

use crate::tasks::NewTask;

const CHARACTERS_MAX: usize = 255;

/// A client's key. Shown without it: some clients derive it from what is nobody's business.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Why a text is no key. The text tells the client what to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Send one key of 1 to {CHARACTERS_MAX} visible ASCII characters, such as a UUID, with or without quotes."
)]
pub struct BadKey;

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdempotencyKey(********)")
    }
}

impl FromStr for IdempotencyKey {
    type Err = BadKey;

    /// The draft wants a quoted string, many clients send a bare word: both are the same key. What several headers become
    /// on their way, words with a comma and a space between them, is none.
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let key = unquoted.unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
        let fits = (1..=CHARACTERS_MAX).contains(&key.len()) && key.bytes().all(plain);
        if fits { Ok(Self(key.to_owned())) } else { Err(BadKey) }
    }
}

impl IdempotencyKey {
    pub(super) fn digest(&self) -> Vec<u8> {
        digest(&SHA256, self.0.as_bytes()).as_ref().to_vec()
    }
}

/// A digest of what is asked for, not of how it is written. No title has a NUL.
pub(super) fn digest_of(task: &NewTask) -> Vec<u8> {
    let meaning = format!("{}\0{}", task.duration.microseconds(), task.title.as_str());
    digest(&SHA256, meaning.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_with_and_without_quotes_and_anything_odd_is_none() {
        let read = |text: &str| text.parse::<IdempotencyKey>();
        assert_eq!(read("\"8e03978e-40d5\""), read("8e03978e-40d5"));
        assert!(read(&"x".repeat(255)).is_ok());
        let long = "x".repeat(256);
        for text in
            ["", "\"\"", "\"", "a b", "\"a", "a\"", "a, b", "a,b", "\"a\",\"b\"", "a\\b", "é", "a\tb", &long]
        {
            assert_eq!(read(text), Err(BadKey), "{text}");
        }
        assert_eq!(format!("{:?}", read("secret").unwrap()), "IdempotencyKey(********)");
    }
}
