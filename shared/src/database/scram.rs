//! What PostgreSQL keeps of a password (SCRAM-SHA-256, RFC 5802 and 7677), computed here, so that the password itself never
//! reaches the server or its log. A pure room.

use std::borrow::Cow;
use std::num::NonZeroU32;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// As many as PostgreSQL itself takes (`scram_iterations`).
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
const SALT_BYTES: usize = 16;
const SHA256_BYTES: usize = 32;

/// The verifier, in the form of `pg_authid.rolpassword`.
pub(super) fn verifier(password: &str, salt: &[u8; SALT_BYTES]) -> String {
    let mut salted = [0; SHA256_BYTES];
    derive(PBKDF2_HMAC_SHA256, ITERATIONS, salt, prepared(password).as_bytes(), &mut salted);
    let key = Key::new(HMAC_SHA256, &salted);
    let stored_key = digest(&SHA256, sign(&key, b"Client Key").as_ref());
    let server_key = sign(&key, b"Server Key");
    let [salt, stored_key, server_key] =
        [salt.as_slice(), stored_key.as_ref(), server_key.as_ref()].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored_key}:{server_key}")
}

/// As clients prepare what they are given: by `SASLprep`. What that can't prepare PostgreSQL takes as it is.
fn prepared(password: &str) -> Cow<'_, str> {
    match stringprep::saslprep(password) {
        Ok(prepared) if !prepared.is_empty() => prepared,
        _ => Cow::Borrowed(password),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3.
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

    #[test]
    fn the_rfcs_example_has_the_rfcs_keys() {
        let salt = STANDARD.decode(SALT).unwrap().try_into().unwrap();
        let expected = format!(
            "SCRAM-SHA-256$4096:{SALT}$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        assert_eq!(verifier("pencil", &salt), expected);
    }

    #[test]
    fn a_password_is_prepared_as_clients_do_and_taken_as_it_is_where_they_can_not() {
        // The examples of RFC 4013, then plain ASCII, then what it prohibits.
        for (given, taken) in [
            ("I\u{ad}X", "IX"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("it's a secret", "it's a secret"),
            ("a\u{7}b", "a\u{7}b"),
            ("\u{ad}", "\u{ad}"),
        ] {
            assert_eq!(prepared(given), taken, "{given:?}");
        }
    }
}
