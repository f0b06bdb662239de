//! Decodes a token and judges its signature and its times: a pure function of token, key and instant.
//!
//! The order is that of `PyJWT`: form, header, signature, `iat` and `nbf` not in the future, `exp` not past, then the types of
//! `sub` and `jti`. So a bad signature hides an expiry, and an expiry hides a `jti` of the wrong type.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::claims::{Claims, TokenFault, number, whole};

/// Right padding is tolerated, bits that say nothing are not.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(false),
);

/// The end of the year 9999: no calendar of the clients we replace goes further.
const LATEST_EXPIRY: f64 = 253_402_300_799.0;

/// Who can tell whether a signature is right.
pub(super) trait Verifier {
    /// The one algorithm accepted, as the header writes it.
    fn algorithm(&self) -> &'static str;

    /// Whether `signature` (base64url) belongs to `message`.
    fn verifies(&self, message: &[u8], signature: &str) -> bool;
}

/// The claims of `token`, if it is well formed, rightly signed and within its times at `now`.
pub(super) fn judge(token: &str, verifier: &impl Verifier, now: DateTime<Utc>) -> Result<Claims, TokenFault> {
    let claims = decode(token, verifier).ok_or(TokenFault::Invalid)?;
    check_times(&claims, now)?;
    for name in ["sub", "jti"] {
        if claims.raw(name).is_some_and(|raw| !raw.starts_with('"')) {
            return Err(TokenFault::Invalid);
        }
    }
    Ok(claims)
}

fn decode(token: &str, verifier: &impl Verifier) -> Option<Claims> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    if payload.contains('.') || !header_is_ours(header, verifier.algorithm()) {
        return None;
    }
    // The library decodes the signature more leniently than the contract; the form is checked here.
    let signature = BASE64URL.encode(BASE64URL.decode(signature).ok()?);
    if !verifier.verifies(message.as_bytes(), &signature) {
        return None;
    }
    object(payload).map(Claims)
}

fn header_is_ours(header: &str, algorithm: &str) -> bool {
    let Some(header) = object(header) else { return false };
    let raw = |name: &str| header.get(name).map(|value| value.get());
    let text = |name: &str| raw(name).and_then(|raw| serde_json::from_str::<String>(raw).ok());
    let kid_is_text = raw("kid").is_none() || text("kid").is_some();
    // We understand no critical extension, and an unencoded payload is one.
    let nothing_critical = raw("crit").is_none() && raw("b64") != Some("false");
    kid_is_text && nothing_critical && text("alg").as_deref() == Some(algorithm)
}

fn object(part: &str) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_slice(&BASE64URL.decode(part).ok()?).ok()
}

fn check_times(claims: &Claims, now: DateTime<Utc>) -> Result<(), TokenFault> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 fit a double until the year 2255"
    )]
    let now = now.timestamp_micros() as f64 / 1_000_000.0;
    for name in ["iat", "nbf"] {
        if let Some(raw) = claims.raw(name) {
            let at = number(raw).ok_or(TokenFault::Invalid)?;
            if at.trunc() > now {
                return Err(TokenFault::Invalid);
            }
        }
    }
    if let Some(raw) = claims.raw("exp") {
        let at = number(raw).ok_or(TokenFault::Invalid)?;
        #[expect(clippy::cast_precision_loss, reason = "whole seconds up to the year 9999 are exact")]
        if whole(at) as f64 <= now {
            return Err(TokenFault::Expired);
        }
        if at > LATEST_EXPIRY {
            return Err(TokenFault::Invalid);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A verifier for whom the signature "sign" (base64url) is right.
    struct Sig;

    impl Verifier for Sig {
        fn algorithm(&self) -> &'static str {
            "HS256"
        }

        fn verifies(&self, _: &[u8], signature: &str) -> bool {
            signature == BASE64URL.encode("sign")
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_000, 500_000_000).unwrap()
    }

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload), BASE64URL.encode("sign"))
    }

    fn verdict(payload: &str) -> Result<(), TokenFault> {
        judge(&token(r#"{"alg":"HS256","typ":"JWT"}"#, payload), &Sig, now()).map(|_| ())
    }

    #[test]
    fn times_are_judged_to_the_second_and_in_order() {
        for (payload, expected) in [
            (r#"{"exp":1001}"#, Ok(())),
            (r#"{"exp":1000}"#, Err(TokenFault::Expired)),
            (r#"{"exp":1000.9}"#, Err(TokenFault::Expired)),
            (r#"{"exp":1001.9}"#, Ok(())),
            (r#"{"exp":true}"#, Err(TokenFault::Expired)),
            (r#"{"exp":-5}"#, Err(TokenFault::Expired)),
            (r#"{"exp":"1001"}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":null}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":[1]}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":1e400}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":1e30}"#, Err(TokenFault::Invalid)),
            (r#"{"iat":1000,"exp":1001}"#, Ok(())),
            (r#"{"iat":1001,"exp":5}"#, Err(TokenFault::Invalid)),
            (r#"{"nbf":1001,"exp":5}"#, Err(TokenFault::Invalid)),
            (r#"{"iat":"1","exp":1001}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":5,"jti":7}"#, Err(TokenFault::Expired)),
            (r#"{"exp":1001,"jti":7}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":1001,"sub":7}"#, Err(TokenFault::Invalid)),
            ("{}", Ok(())),
            ("[]", Err(TokenFault::Invalid)),
            ("null", Err(TokenFault::Invalid)),
        ] {
            assert_eq!(verdict(payload), expected, "{payload}");
        }
    }

    #[test]
    fn only_our_algorithm_in_its_exact_spelling_and_nothing_critical_is_accepted() {
        let accepted = |header: &str| judge(&token(header, "{}"), &Sig, now()).is_ok();
        assert!(accepted(r#"{"alg":"HS256"}"#));
        assert!(accepted(r#"{"alg":"HS256","typ":"anything","jku":"http://elsewhere","kid":"a"}"#));
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":["HS256"]}"#,
            "{}",
            "[]",
            r#"{"alg":"HS256","kid":7}"#,
            r#"{"alg":"HS256","crit":["x"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","b64":false}"#,
        ] {
            assert!(!accepted(header), "{header}");
        }
    }

    #[test]
    fn the_form_is_three_canonical_base64url_parts() {
        let good = token(r#"{"alg":"HS256"}"#, "{}");
        assert!(judge(&good, &Sig, now()).is_ok());
        assert!(judge(&format!("{good}=="), &Sig, now()).is_ok(), "right padding is tolerated");
        for bad in [
            format!("{good}."),
            format!(".{good}"),
            format!("{good}.x"),
            good.replace('.', ""),
            format!(" {good}"),
            format!("{good}!"),
            String::new(),
            "..".to_owned(),
        ] {
            assert_eq!(judge(&bad, &Sig, now()).map(|_| ()), Err(TokenFault::Invalid), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_whatever_upsets_the_judge(text in ".{0,200}") {
            prop_assert!(judge(&text, &Sig, now()).is_err());
        }

        #[test]
        fn no_payload_whatever_upsets_the_judge(payload: Vec<u8>) {
            let token = format!("{}.{}.{}", BASE64URL.encode(r#"{"alg":"HS256"}"#), BASE64URL.encode(payload), BASE64URL.encode("sign"));
            let _ = judge(&token, &Sig, now());
        }
    }
}
