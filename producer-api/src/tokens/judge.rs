//! Decodes a token and judges its signature and its times: a pure function of token, key and instant.
//!
//! The order is that of `PyJWT`: form, header, signature, `iat` and `nbf` not in the future, `exp` not past, `iss` and
//! `aud`, then the types of `sub` and `jti`. So a bad signature hides an expiry, and an expiry hides a wrong issuer.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use super::claims::{ClaimNames, Claims, LATEST_INSTANT, TokenFault, number, whole};
use crate::config::UserIdField;

/// Right padding is tolerated, bits that say nothing are not.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(false),
);

/// Who can tell whether a signature is right.
pub(super) trait Verifier {
    /// The one algorithm accepted, as the header writes it.
    fn algorithm(&self) -> &'static str;

    /// Whether `signature` (base64url) belongs to `message`; `kid` is the header's.
    fn verifies(&self, kid: Option<&str>, message: &[u8], signature: &str) -> bool;
}

/// The `aud` claim: as it is written, and what is accepted.
#[derive(Debug, Clone)]
pub struct Audience {
    /// One of these must be in a token's.
    pub accepted: Vec<String>,
    /// The claim's JSON.
    pub claim: Box<RawValue>,
}

/// What is asked of a token beside a right signature.
#[derive(Debug)]
pub(super) struct Rules {
    /// What the claims are called.
    pub(super) names: Arc<ClaimNames>,
    /// Which of a user's fields stands in tokens.
    pub(super) user_id_field: UserIdField,
    /// How far clocks may differ, in seconds.
    pub(super) leeway: f64,
    /// The audience asked for.
    pub(super) audience: Option<Audience>,
    /// The issuer asked for.
    pub(super) issuer: Option<String>,
}

/// The claims of `token`, if it is well formed, rightly signed, within its times at `now`, and meant for us.
pub(super) fn judge(
    token: &str,
    verifier: &impl Verifier,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<Claims, TokenFault> {
    let members = decode(token, verifier).ok_or(TokenFault::Invalid)?;
    let claims = Claims { members, names: Arc::clone(&rules.names), user_id_field: rules.user_id_field };
    check_times(&claims, rules.leeway, now)?;
    let meant_for_us = issuer_is_right(&claims, rules) && audience_is_right(&claims, rules);
    let texts = ["sub", "jti", &rules.names.jti];
    let are_texts = texts.iter().all(|name| claims.raw(name).is_none_or(|raw| raw.starts_with('"')));
    if meant_for_us && are_texts { Ok(claims) } else { Err(TokenFault::Invalid) }
}

fn decode(token: &str, verifier: &impl Verifier) -> Option<BTreeMap<String, Box<RawValue>>> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    if payload.contains('.') {
        return None;
    }
    let header = object(header)?;
    if !header_is_ours(&header, verifier.algorithm()) {
        return None;
    }
    // The library decodes the signature more leniently than the contract; the form is checked here.
    let signature = BASE64URL.encode(BASE64URL.decode(signature).ok()?);
    if !verifier.verifies(text(&header, "kid").as_deref(), message.as_bytes(), &signature) {
        return None;
    }
    object(payload)
}

/// The header and the claims of what may be a token. Nothing of them is proven.
pub fn decode_unproven(token: &str) -> Option<(Value, Value)> {
    let mut parts = token.split('.');
    let mut part = || serde_json::from_slice(&BASE64URL.decode(parts.next()?).ok()?).ok();
    Some((part()?, part()?))
}

fn issuer_is_right(claims: &Claims, rules: &Rules) -> bool {
    let Some(expected) = &rules.issuer else { return true };
    let issuer = claims.raw("iss").and_then(|raw| serde_json::from_str::<String>(raw).ok());
    issuer.as_ref() == Some(expected)
}

fn audience_is_right(claims: &Claims, rules: &Rules) -> bool {
    let Some(Audience { accepted, .. }) = &rules.audience else { return true };
    let raw = claims.raw("aud").unwrap_or_default();
    let audiences = if raw.starts_with('[') {
        serde_json::from_str::<Vec<String>>(raw)
    } else {
        serde_json::from_str::<String>(raw).map(|audience| vec![audience])
    };
    audiences.is_ok_and(|audiences| audiences.iter().any(|audience| accepted.contains(audience)))
}

fn header_is_ours(header: &BTreeMap<String, Box<RawValue>>, algorithm: &str) -> bool {
    let raw = |name: &str| header.get(name).map(|value| value.get());
    let kid_is_text = raw("kid").is_none() || text(header, "kid").is_some();
    // We understand no critical extension, and an unencoded payload is one.
    let nothing_critical = raw("crit").is_none() && raw("b64") != Some("false");
    kid_is_text && nothing_critical && text(header, "alg").as_deref() == Some(algorithm)
}

fn text(members: &BTreeMap<String, Box<RawValue>>, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

fn object(part: &str) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_slice(&BASE64URL.decode(part).ok()?).ok()
}

fn check_times(claims: &Claims, leeway: f64, now: DateTime<Utc>) -> Result<(), TokenFault> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 fit a double until the year 2255"
    )]
    let now = now.timestamp_micros() as f64 / 1_000_000.0;
    for name in ["iat", "nbf"] {
        if let Some(raw) = claims.raw(name) {
            let at = number(raw).ok_or(TokenFault::Invalid)?;
            if at.trunc() > now + leeway {
                return Err(TokenFault::Invalid);
            }
        }
    }
    if let Some(raw) = claims.raw("exp") {
        let at = number(raw).ok_or(TokenFault::Invalid)?;
        #[expect(clippy::cast_precision_loss, reason = "whole seconds up to the year 9999 are exact")]
        if whole(at) as f64 <= now - leeway {
            return Err(TokenFault::Expired);
        }
        if at > LATEST_INSTANT {
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

        fn verifies(&self, _: Option<&str>, _: &[u8], signature: &str) -> bool {
            signature == BASE64URL.encode("sign")
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_000, 500_000_000).unwrap()
    }

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload), BASE64URL.encode("sign"))
    }

    fn rules() -> Rules {
        let names = Arc::default();
        Rules { names, user_id_field: UserIdField::Id, leeway: 0.0, audience: None, issuer: None }
    }

    fn verdict_by(rules: &Rules, payload: &str) -> Result<(), TokenFault> {
        judge(&token(r#"{"alg":"HS256","typ":"JWT"}"#, payload), &Sig, rules, now()).map(|_| ())
    }

    fn verdict(payload: &str) -> Result<(), TokenFault> {
        verdict_by(&rules(), payload)
    }

    #[test]
    fn leeway_stretches_expiry_and_issue_on_both_sides() {
        let rules = Rules { leeway: 10.0, ..rules() };
        for (payload, expected) in [
            (r#"{"exp":991}"#, Ok(())),
            (r#"{"exp":990}"#, Err(TokenFault::Expired)),
            (r#"{"exp":2000,"iat":1010}"#, Ok(())),
            (r#"{"exp":2000,"iat":1011}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"nbf":1010}"#, Ok(())),
            (r#"{"exp":2000,"nbf":1011}"#, Err(TokenFault::Invalid)),
        ] {
            assert_eq!(verdict_by(&rules, payload), expected, "{payload}");
        }
    }

    #[test]
    fn issuer_and_audience_are_asked_for_when_they_are_set_and_after_the_expiry() {
        let claim = serde_json::value::to_raw_value("web").unwrap();
        let audience = Audience { accepted: vec!["web".to_owned(), "app".to_owned()], claim };
        let rules = Rules { audience: Some(audience), issuer: Some("us".to_owned()), ..rules() };
        for (payload, expected) in [
            (r#"{"exp":2000,"iss":"us","aud":"web"}"#, Ok(())),
            (r#"{"exp":2000,"iss":"us","aud":["other","app"]}"#, Ok(())),
            (r#"{"exp":2000,"iss":"us","aud":["other"]}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"iss":"us","aud":[]}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"iss":"us","aud":["app",7]}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"iss":"us","aud":7}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"iss":"us"}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"iss":["us"],"aud":"web"}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"iss":"them","aud":"web"}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":2000,"aud":"web"}"#, Err(TokenFault::Invalid)),
            (r#"{"exp":5}"#, Err(TokenFault::Expired)),
        ] {
            assert_eq!(verdict_by(&rules, payload), expected, "{payload}");
        }
    }

    #[test]
    fn a_renamed_token_id_is_a_text_like_the_plain_one() {
        let names = ClaimNames { jti: "id".to_owned(), ..ClaimNames::default() };
        let rules = Rules { names: Arc::new(names), ..rules() };
        assert_eq!(verdict_by(&rules, r#"{"id":7}"#), Err(TokenFault::Invalid));
        assert_eq!(verdict_by(&rules, r#"{"id":"a","jti":7}"#), Err(TokenFault::Invalid));
        assert_eq!(verdict_by(&rules, r#"{"id":"a"}"#), Ok(()));
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
        let accepted = |header: &str| judge(&token(header, "{}"), &Sig, &rules(), now()).is_ok();
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
        assert!(judge(&good, &Sig, &rules(), now()).is_ok());
        assert!(judge(&format!("{good}=="), &Sig, &rules(), now()).is_ok(), "right padding is tolerated");
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
            assert_eq!(judge(&bad, &Sig, &rules(), now()).map(|_| ()), Err(TokenFault::Invalid), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_whatever_upsets_the_judge(text in ".{0,200}") {
            prop_assert!(judge(&text, &Sig, &rules(), now()).is_err());
        }

        #[test]
        fn no_payload_whatever_upsets_the_judge(payload: Vec<u8>) {
            let token = format!("{}.{}.{}", BASE64URL.encode(r#"{"alg":"HS256"}"#), BASE64URL.encode(payload), BASE64URL.encode("sign"));
            let _ = judge(&token, &Sig, &rules(), now());
        }
    }
}
