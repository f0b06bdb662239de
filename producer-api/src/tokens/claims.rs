//! The claims of a token whose signature is right, and what is asked of them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use shared::ids::{SessionId, UserId};

/// Claims that a new token never takes over from an old one.
pub(super) const NOT_COPIED: [&str; 4] = ["token_type", "exp", "iat", "jti"];

/// Longer token ids can't be recorded.
const JTI_CHARACTERS_MAX: usize = 255;

/// What is wrong with a token, in SimpleJWT's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Anything but expiry that decoding finds.
    #[error("Token is invalid")]
    Invalid,
    /// Its time is over.
    #[error("Token is expired")]
    Expired,
    /// It would never run out.
    #[error("Token has no 'exp' claim")]
    NoExpiry,
    /// It has no jti.
    #[error("Token has no id")]
    NoId,
    /// It doesn't say what it is for.
    #[error("Token has no type")]
    NoType,
    /// It is for something else.
    #[error("Token has wrong type")]
    WrongType,
    /// It, or its session, was ended.
    #[error("Token is blacklisted")]
    Blacklisted,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Opens protected routes.
    Access,
    /// Is exchanged for access tokens.
    Refresh,
}

impl TokenKind {
    /// As the `token_type` claim writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// What the user id claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserClaim {
    /// There is none.
    Absent,
    /// It is `null`.
    Null,
    /// A user id, written as a number or as decimal digits.
    Id(UserId),
    /// Anything else: no user can have it.
    Unusable,
}

/// The claims of a token, each as its exact JSON text, so that what is copied survives to the digit.
#[derive(Debug, Clone)]
pub struct Claims(pub(super) BTreeMap<String, Box<RawValue>>);

impl Claims {
    /// The JSON text of a claim.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.get())
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// The token's id, if it has one that can be recorded.
    ///
    /// # Errors
    /// When it has one that can't be: too long, or with a NUL inside.
    pub fn jti(&self) -> Result<Option<String>, TokenFault> {
        match self.text("jti") {
            None => Ok(None),
            Some(jti) if jti.is_empty() || jti.contains('\0') || jti.chars().count() > JTI_CHARACTERS_MAX => {
                Err(TokenFault::Invalid)
            }
            Some(jti) => Ok(Some(jti)),
        }
    }

    /// When it runs out, in whole seconds since 1970; 0 without the claim.
    pub fn expires_at(&self) -> i64 {
        self.raw("exp").and_then(number).map_or(0, whole)
    }

    /// When it was issued, in whole seconds since 1970, if it says so.
    pub fn issued_at(&self) -> Option<i64> {
        self.raw("iat").and_then(number).map(whole)
    }

    /// Whose it is.
    pub fn user(&self) -> UserClaim {
        let Some(raw) = self.raw("user_id") else { return UserClaim::Absent };
        let digits = match raw.as_bytes().first() {
            Some(b'n') => return UserClaim::Null,
            Some(b'"') => self.text("user_id").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())),
            _ => Some(raw.to_owned()),
        };
        let id = digits.and_then(|digits| digits.parse().ok()).filter(|id| *id > 0);
        id.map_or(UserClaim::Unusable, |id| UserClaim::Id(UserId(id)))
    }

    /// Its session. A token minted elsewhere with the shared key has none.
    ///
    /// # Errors
    /// When the claim is there and is no session id.
    pub fn session(&self) -> Result<Option<SessionId>, TokenFault> {
        match self.raw("sid") {
            None => Ok(None),
            Some(_) => self.text("sid").and_then(|sid| sid.parse().ok()).map(Some).ok_or(TokenFault::Invalid),
        }
    }

    /// Checks what every token must have whatever it is for: an expiry and an id.
    pub fn require_expiry_and_id(&self) -> Result<(), TokenFault> {
        if self.raw("exp").is_none() {
            return Err(TokenFault::NoExpiry);
        }
        if self.raw("jti").is_none() {
            return Err(TokenFault::NoId);
        }
        Ok(())
    }

    /// Checks that it is for `kind`, after expiry and id.
    pub fn require(&self, kind: TokenKind) -> Result<(), TokenFault> {
        self.require_expiry_and_id()?;
        match self.raw("token_type") {
            None => Err(TokenFault::NoType),
            Some(_) if self.text("token_type").as_deref() == Some(kind.as_str()) => Ok(()),
            Some(_) => Err(TokenFault::WrongType),
        }
    }
}

/// A JSON number, or a boolean as Python counts it. `None` for anything else, infinity included.
pub(super) fn number(raw: &str) -> Option<f64> {
    match raw {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            raw.parse().ok().filter(|number: &f64| number.is_finite())
        }
        _ => None,
    }
}

/// A number cut down to whole seconds.
pub(super) fn whole(number: f64) -> i64 {
    // Saturates at the ends of i64, where no clock will ever be.
    #[expect(clippy::cast_possible_truncation, reason = "cutting the fraction is the contract")]
    let whole = number as i64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Claims {
        Claims(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_user_id_is_a_number_or_decimal_digits_and_nothing_else() {
        for (json, user) in [
            ("{}", UserClaim::Absent),
            (r#"{"user_id":null}"#, UserClaim::Null),
            (r#"{"user_id":7}"#, UserClaim::Id(UserId(7))),
            (r#"{"user_id":"7"}"#, UserClaim::Id(UserId(7))),
            (r#"{"user_id":true}"#, UserClaim::Unusable),
            (r#"{"user_id":1.9}"#, UserClaim::Unusable),
            (r#"{"user_id":" 7 "}"#, UserClaim::Unusable),
            (r#"{"user_id":"1_0"}"#, UserClaim::Unusable),
            (r#"{"user_id":""}"#, UserClaim::Unusable),
            (r#"{"user_id":[1]}"#, UserClaim::Unusable),
            (r#"{"user_id":0}"#, UserClaim::Unusable),
            (r#"{"user_id":-1}"#, UserClaim::Unusable),
            (r#"{"user_id":99999999999999999999}"#, UserClaim::Unusable),
        ] {
            assert_eq!(claims(json).user(), user, "{json}");
        }
    }

    #[test]
    fn expiry_goes_before_id_and_id_before_type() {
        let fault = |json| claims(json).require(TokenKind::Refresh).unwrap_err();
        assert_eq!(fault("{}"), TokenFault::NoExpiry);
        assert_eq!(fault(r#"{"exp":1}"#), TokenFault::NoId);
        assert_eq!(fault(r#"{"exp":1,"jti":"a"}"#), TokenFault::NoType);
        assert_eq!(fault(r#"{"exp":1,"jti":"a","token_type":"access"}"#), TokenFault::WrongType);
        assert_eq!(fault(r#"{"exp":1,"jti":"a","token_type":["refresh"]}"#), TokenFault::WrongType);
        assert!(claims(r#"{"exp":1,"jti":"a","token_type":"refresh"}"#).require(TokenKind::Refresh).is_ok());
    }

    #[test]
    fn an_id_that_cannot_be_recorded_is_invalid() {
        let long = format!(r#"{{"jti":"{}"}}"#, "x".repeat(256));
        for json in [r#"{"jti":"a\u0000b"}"#, r#"{"jti":""}"#, &long] {
            assert_eq!(claims(json).jti(), Err(TokenFault::Invalid), "{json}");
        }
        assert_eq!(claims(r#"{"jti":"a"}"#).jti(), Ok(Some("a".to_owned())));
        assert_eq!(claims("{}").jti(), Ok(None));
    }
}
