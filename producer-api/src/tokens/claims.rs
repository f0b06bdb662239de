//! The claims of a token whose signature is right, and what is asked of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use shared::ids::{SessionId, UserId};

use crate::config::UserIdField;

/// Longer token ids can't be recorded.
const JTI_CHARACTERS_MAX: usize = 255;
/// No username is longer.
const NAME_CHARACTERS_MAX: usize = 150;
/// The end of the year 9999: no calendar of the clients we replace goes further.
pub(super) const LATEST_INSTANT: f64 = 253_402_300_799.0;
/// The session's claim, which SimpleJWT doesn't have.
pub(super) const SESSION_CLAIM: &str = "sid";

/// What is wrong with a token, in SimpleJWT's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// A sliding token that doesn't say until when it can be refreshed; the claim's name.
    #[error("Token has no '{0}' claim")]
    NoRefreshExpiry(String),
    /// A sliding token that can't be refreshed any more; the claim's name.
    #[error("Token '{0}' claim has expired")]
    RefreshExpired(String),
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Opens protected routes.
    Access,
    /// Is exchanged for access tokens.
    Refresh,
    /// Is both.
    Sliding,
}

impl TokenKind {
    /// As the type claim writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Sliding => "sliding",
        }
    }

    /// SimpleJWT's class of it.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Access => "AccessToken",
            Self::Refresh => "RefreshToken",
            Self::Sliding => "SlidingToken",
        }
    }
}

/// What the claims are called whose names can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Whose it is.
    pub user_id: String,
    /// What it is for.
    pub token_type: String,
    /// Its id.
    pub jti: String,
    /// Until when a sliding token can be refreshed.
    pub refresh_exp: String,
    /// The mark of the user's password.
    pub revoke: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            user_id: "user_id".to_owned(),
            token_type: "token_type".to_owned(),
            jti: "jti".to_owned(),
            refresh_exp: "refresh_exp".to_owned(),
            revoke: "hash_password".to_owned(),
        }
    }
}

/// What the user id claim says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserClaim {
    /// There is none.
    Absent,
    /// It is `null`.
    Null,
    /// A user id, written as a number or as decimal digits.
    Id(UserId),
    /// A username, where names stand in tokens.
    Name(String),
    /// Anything else: no user can have it.
    Unusable,
}

/// The claims of a token, each as its exact JSON text, so that what is copied survives to the digit.
#[derive(Debug, Clone)]
pub struct Claims {
    pub(super) members: BTreeMap<String, Box<RawValue>>,
    pub(super) names: Arc<ClaimNames>,
    pub(super) user_id_field: UserIdField,
}

impl Claims {
    /// The JSON text of a claim.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.members.get(name).map(|value| value.get())
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// The token's id, if it has one that can be recorded.
    ///
    /// # Errors
    /// When it has one that can't be: too long, or with a NUL inside.
    pub fn jti(&self) -> Result<Option<String>, TokenFault> {
        match self.raw(&self.names.jti) {
            None => Ok(None),
            Some(_) => {
                self.text(&self.names.jti).filter(|jti| recordable(jti)).map(Some).ok_or(TokenFault::Invalid)
            }
        }
    }

    /// When it runs out, in whole seconds since 1970; 0 without the claim.
    pub fn expires_at(&self) -> i64 {
        self.seconds("exp").unwrap_or(0)
    }

    /// When it was issued, in whole seconds since 1970, if it says so.
    pub fn issued_at(&self) -> Option<i64> {
        self.seconds("iat")
    }

    fn seconds(&self, name: &str) -> Option<i64> {
        self.raw(name).and_then(number).map(whole)
    }

    /// Until when a sliding token can be refreshed.
    ///
    /// # Errors
    /// When it doesn't say so, or says no time.
    pub fn refreshable_until(&self) -> Result<i64, TokenFault> {
        let name = &self.names.refresh_exp;
        let raw = self.raw(name).ok_or_else(|| TokenFault::NoRefreshExpiry(name.clone()))?;
        number(raw).filter(|at| *at <= LATEST_INSTANT).map(whole).ok_or(TokenFault::Invalid)
    }

    /// Whether it can be signed anew: whatever is copied must be what a token may hold.
    pub fn require_copyable(&self) -> Result<(), TokenFault> {
        let issuer_is_text = self.raw("iss").is_none_or(|raw| raw.starts_with('"'));
        if issuer_is_text { Ok(()) } else { Err(TokenFault::Invalid) }
    }

    /// The fault of a sliding token that can't be refreshed any more.
    pub fn refresh_expired(&self) -> TokenFault {
        TokenFault::RefreshExpired(self.names.refresh_exp.clone())
    }

    /// Whose it is.
    pub fn user(&self) -> UserClaim {
        let name = &self.names.user_id;
        let Some(raw) = self.raw(name) else { return UserClaim::Absent };
        let text = match raw.as_bytes().first() {
            Some(b'n') => return UserClaim::Null,
            Some(b'"') => self.text(name),
            _ => Some(raw.to_owned()).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())),
        };
        let user = match self.user_id_field {
            UserIdField::Id => text.as_deref().and_then(user_id).map(UserClaim::Id),
            UserIdField::Username => text.filter(|name| can_be_a_name(name)).map(UserClaim::Name),
        };
        user.unwrap_or(UserClaim::Unusable)
    }

    /// Its session. A token minted elsewhere with the shared key has none.
    ///
    /// # Errors
    /// When the claim is there and is no session id.
    pub fn session(&self) -> Result<Option<SessionId>, TokenFault> {
        match self.raw(SESSION_CLAIM) {
            None => Ok(None),
            Some(_) => {
                self.text(SESSION_CLAIM).and_then(|sid| sid.parse().ok()).map(Some).ok_or(TokenFault::Invalid)
            }
        }
    }

    /// The mark of its user's password, if it carries one.
    pub fn password_mark(&self) -> Option<String> {
        self.text(&self.names.revoke)
    }

    /// Checks what every token must have whatever it is for: an expiry and an id.
    pub fn require_expiry_and_id(&self) -> Result<(), TokenFault> {
        if self.raw("exp").is_none() {
            return Err(TokenFault::NoExpiry);
        }
        if self.raw(&self.names.jti).is_none() {
            return Err(TokenFault::NoId);
        }
        Ok(())
    }

    /// Checks that it is for `kind`, after expiry and id.
    pub fn require(&self, kind: TokenKind) -> Result<(), TokenFault> {
        self.require_expiry_and_id()?;
        let name = &self.names.token_type;
        match self.raw(name) {
            None => Err(TokenFault::NoType),
            Some(_) if self.text(name).as_deref() == Some(kind.as_str()) => Ok(()),
            Some(_) => Err(TokenFault::WrongType),
        }
    }
}

fn recordable(jti: &str) -> bool {
    !jti.is_empty() && !jti.contains('\0') && jti.chars().count() <= JTI_CHARACTERS_MAX
}

fn user_id(text: &str) -> Option<UserId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|id| *id > 0).map(UserId)
}

fn can_be_a_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('\0') && name.chars().count() <= NAME_CHARACTERS_MAX
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
        let members = serde_json::from_str(json).unwrap();
        Claims { members, names: Arc::default(), user_id_field: UserIdField::Id }
    }

    #[test]
    fn a_username_stands_in_tokens_where_the_settings_say_so() {
        let user = |json| Claims { user_id_field: UserIdField::Username, ..claims(json) }.user();
        assert_eq!(user(r#"{"user_id":"froggly"}"#), UserClaim::Name("froggly".to_owned()));
        assert_eq!(user(r#"{"user_id":7}"#), UserClaim::Name("7".to_owned()));
        for json in
            [r#"{"user_id":""}"#, r#"{"user_id":"a\u0000b"}"#, r#"{"user_id":true}"#, r#"{"user_id":["a"]}"#]
        {
            assert_eq!(user(json), UserClaim::Unusable, "{json}");
        }
    }

    #[test]
    fn renamed_claims_are_read_under_their_names() {
        let names = ClaimNames { user_id: "sub".to_owned(), jti: "id".to_owned(), ..ClaimNames::default() };
        let claims = Claims { names: Arc::new(names), ..claims(r#"{"sub":"7","id":"a","jti":"b","exp":1}"#) };
        assert_eq!(claims.user(), UserClaim::Id(UserId(7)));
        assert_eq!(claims.jti(), Ok(Some("a".to_owned())));
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
            (r#"{"user_id":1e2}"#, UserClaim::Unusable),
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
