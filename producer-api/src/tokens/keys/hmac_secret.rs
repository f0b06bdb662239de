//! What an HMAC secret must not be: short, known to everybody, or a key of another sort.

/// `HS256` is as strong as its secret up to this many bytes.
pub(super) const BYTES_MIN: usize = 32;

/// Fewer different characters than this come from no random source: a random secret of 32 hex digits has so few once
/// in 10^13 times.
const DIFFERENT_CHARACTERS_MIN: usize = 6;

/// How a known secret is recognised. Letters and digits alone are compared, in lower case, so that `CHANGE_ME…` and
/// `change-me…` are one.
enum Known {
    /// The secret is this.
    Is(&'static str),
    /// The secret begins so. None of these can begin a random hex secret.
    Begins(&'static str),
}

/// Secrets that stand in public, each with where.
const KNOWN: [(Known, &str); 25] = [
    (Known::Begins("djangoinsecure"), "Django's startproject makes such keys and marks them as insecure"),
    (Known::Begins("changeme"), "it is a placeholder"),
    (Known::Begins("changethis"), "it is a placeholder"),
    (Known::Begins("pleasechange"), "it is a placeholder"),
    (Known::Begins("replaceme"), "it is a placeholder"),
    (Known::Begins("replacethis"), "it is a placeholder"),
    (Known::Begins("replacewith"), "it is a placeholder"),
    (Known::Begins("yoursecret"), "it is a placeholder"),
    (Known::Begins("yoursupersecret"), "it is a placeholder, Supabase's among them"),
    (Known::Begins("yourjwtsecret"), "it is a placeholder"),
    (Known::Begins("your256bit"), "it is jwt.io's example"),
    (Known::Begins("your384bit"), "it is jwt.io's example"),
    (Known::Begins("your512bit"), "it is jwt.io's example"),
    (Known::Begins("astringsecretatleast"), "it is jwt.io's example"),
    (Known::Begins("avalidstringsecret"), "it is jwt.io's example"),
    (Known::Begins("supersecret"), "it is a placeholder, Supabase's among them"),
    (Known::Begins("thisisasecret"), "it is a placeholder"),
    (Known::Begins("01234567890123456789"), "it only counts"),
    (Known::Begins("12345678901234567890"), "it only counts"),
    (Known::Begins("abcdefghijklmnopqrstuvwxyz"), "it is the alphabet"),
    (Known::Begins("reallyreallyreallyreallyverysafe"), "it is the example of PostgREST's tutorial"),
    (
        Known::Is("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"),
        "it is the example of FastAPI's tutorial",
    ),
    (
        Known::Is("192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf"),
        "it is the example of Flask's manual",
    ),
    (
        Known::Is("404e635266556a586e3272357538782f413f4428472b4b6250645367566b5970"),
        "it is the example of many Spring tutorials",
    ),
    (
        Known::Is("3ek6fdo0c7tzbnvfjpmkndi2yaraakzqlk8o2ikoxqu4nf7edah8s3twphwrdwt6r"),
        "it is the example of Hasura's manual",
    ),
];

/// How other keys begin; as a secret they would be known to whoever knows the public key, or to nobody's surprise.
const OTHER_KEYS: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];

/// What is wrong with a secret, as the end of a sentence that begins with its setting's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// It can be guessed.
    #[error("{0} bytes are too few; give at least 32, such as the output of `openssl rand -hex 32`")]
    Short(usize),
    /// It stands in public.
    #[error("this secret is known to everybody ({0}); take the output of `openssl rand -hex 32`")]
    Known(&'static str),
    /// It is no secret but a key.
    #[error(
        "this is a PEM, SSH or JWK key and no secret; set ALGORITHM to the one it is for, or take the output of \
         `openssl rand -hex 32`"
    )]
    AnotherKey,
}

/// Refuses a secret that is too short, publicly known, or a key of another sort.
pub(super) fn check(secret: &str) -> Result<(), SecretFault> {
    if is_another_key(secret) {
        return Err(SecretFault::AnotherKey);
    }
    if secret.len() < BYTES_MIN {
        return Err(SecretFault::Short(secret.len()));
    }
    let letters: String = secret.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    let known = KNOWN.iter().find(|(known, _)| match known {
        Known::Is(text) => letters == *text,
        Known::Begins(text) => letters.starts_with(text),
    });
    if let Some((_, reason)) = known {
        return Err(SecretFault::Known(reason));
    }
    if is_repetition(secret.as_bytes()) {
        return Err(SecretFault::Known("it says the same again and again"));
    }
    let mut characters: Vec<char> = secret.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    if characters.len() < DIFFERENT_CHARACTERS_MIN {
        return Err(SecretFault::Known("it has hardly any different characters"));
    }
    Ok(())
}

/// Whether a piece of it, repeated at least three times, is all there is.
fn is_repetition(secret: &[u8]) -> bool {
    (1..=secret.len() / 3).any(|period| secret[period..] == secret[..secret.len() - period])
}

fn is_another_key(secret: &str) -> bool {
    let start = secret.trim_start();
    secret.contains("-----BEGIN ")
        || OTHER_KEYS.iter().any(|prefix| start.starts_with(prefix))
        || (start.starts_with('{') && start.contains("\"kty\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_known_and_foreign_secrets_are_refused() {
        use SecretFault::{AnotherKey, Known, Short};
        for (secret, fault) in [
            ("", Short(0)),
            ("0123456789abcdef0123456789abcde", Short(31)),
            ("django-insecure-x7$k2m!q9w@e4r#t6y^u8i&o0p", Known("")),
            ("a-string-secret-at-least-256-bits-long", Known("")),
            ("your-256-bit-secret-which-is-longer-now", Known("")),
            ("CHANGE_ME CHANGE_ME CHANGE_ME CHANGE_ME", Known("")),
            ("changemechangemechangemechangeme", Known("")),
            ("super-secret-jwt-token-with-at-least-32-characters-long", Known("")),
            ("your-super-secret-jwt-token-with-at-least-32-characters-long", Known("")),
            ("reallyreallyreallyreallyverysafe", Known("")),
            ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", Known("")),
            ("3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R", Known("")),
            ("12345678901234567890123456789012", Known("")),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Known("")),
            ("secret secret secret secret secret", Known("")),
            ("aabbaabaabbbabababababbabababbabab", Known("")),
            ("abcabcabcabcabcabcabcabcabcabcabcabc", Known("")),
            ("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", AnotherKey),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lsh", AnotherKey),
            (r#"{"kty":"oct","k":"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"}"#, AnotherKey),
        ] {
            let found = check(secret);
            let same_sort = matches!(
                (&found, &fault),
                (Err(Known(_)), Known(_)) | (Err(AnotherKey), AnotherKey) | (Err(Short(_)), Short(_))
            );
            assert!(same_sort, "{secret}: {found:?}");
        }
    }

    #[test]
    fn a_secret_of_ones_own_is_accepted() {
        for secret in [
            "a secret for tests of at least 32 bytes",
            "a key that signs the tokens of tests and of nothing else",
            "ýýý ünïcödé counts in bytes äöü",
            "3b2f0e6a9d5c41879e0f2d7c6b8a1534",
        ] {
            assert_eq!(check(secret), Ok(()), "{secret}");
        }
    }

    #[test]
    fn no_message_repeats_the_secret() {
        let message = check("changeme-but-with-my-real-password").unwrap_err().to_string();
        assert!(!message.contains("real-password"), "{message}");
    }

    proptest! {
        #[test]
        fn no_random_secret_is_refused(hex in "[0-9a-f]{64}", base64 in "[0-9A-Za-z+/]{43}=") {
            // The generator likes short repetitions; a random source has none.
            for secret in [hex, base64] {
                let different = secret.chars().collect::<std::collections::BTreeSet<_>>().len();
                prop_assume!(different > DIFFERENT_CHARACTERS_MIN);
                prop_assert_eq!(check(&secret), Ok(()));
            }
        }
    }
}
