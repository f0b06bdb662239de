//! SimpleJWT's settings about what is in a token, how long it is good and how it is sent.

use std::time::Duration;

use axum::http::HeaderName;
use shared::config::{Reader, Setting};

use super::keys;
use super::spellings::{
    audience, check_claims, claim_names, header_name, header_types, token_classes, user_id_as_number,
    user_id_field,
};
use crate::tokens::keys::KeysConfig;
use crate::tokens::{Audience, ClaimNames, TokenKind};

const ACCESS_TOKEN_LIFETIME: Setting = Setting::new(
    "ACCESS_TOKEN_LIFETIME",
    "5m",
    "How long an access token is good: seconds, `5m`, `1d` or `PT5M`.",
);
const REFRESH_TOKEN_LIFETIME: Setting =
    Setting::new("REFRESH_TOKEN_LIFETIME", "1d", "How long a refresh token is good.");
const SLIDING_TOKEN_LIFETIME: Setting = Setting::new(
    "SLIDING_TOKEN_LIFETIME",
    "5m",
    "How long a sliding token is good before it must be refreshed.",
);
const SLIDING_TOKEN_REFRESH_LIFETIME: Setting = Setting::new(
    "SLIDING_TOKEN_REFRESH_LIFETIME",
    "1d",
    "How long after the login a sliding token can be refreshed.",
);
const LEEWAY: Setting = Setting::new(
    "LEEWAY",
    "0",
    "How far clocks may differ: tokens are good so much before and after their times.",
);
const ROTATE_REFRESH_TOKENS: Setting =
    Setting::new("ROTATE_REFRESH_TOKENS", "false", "Whether a refresh gives a new refresh token, too.");
const BLACKLIST_AFTER_ROTATION: Setting = Setting::new(
    "BLACKLIST_AFTER_ROTATION",
    "false",
    "Whether the refresh token that was exchanged is blacklisted; also makes the verify endpoint look at the blacklist.",
);
const UPDATE_LAST_LOGIN: Setting =
    Setting::new("UPDATE_LAST_LOGIN", "false", "Whether a login writes `users.last_login`.");
pub(super) const AUDIENCE: Setting = Setting::optional(
    "AUDIENCE",
    "The `aud` claim, a text or a JSON list of texts: written to every token, and one of it is asked of every token.",
);
const ISSUER: Setting = Setting::optional("ISSUER", "The `iss` claim, written to and asked of every token.");
pub(super) const AUTH_HEADER_TYPES: Setting = Setting::new(
    "AUTH_HEADER_TYPES",
    "Bearer",
    "The scheme words before a token, separated by commas or as a JSON list; the first is the challenge.",
);
pub(super) const AUTH_HEADER_NAME: Setting = Setting::new(
    "AUTH_HEADER_NAME",
    "HTTP_AUTHORIZATION",
    "The header that holds the token, as Django spells it (`HTTP_X_TOKEN`) or plain (`X-Token`).",
);
pub(super) const AUTH_TOKEN_CLASSES: Setting = Setting::new(
    "AUTH_TOKEN_CLASSES",
    "AccessToken",
    "Which tokens open protected routes, in order: `AccessToken`, `SlidingToken`, also with SimpleJWT's module path.",
);
pub(super) const USER_ID_FIELD: Setting =
    Setting::new("USER_ID_FIELD", "id", "Which of a user's fields stands in tokens: `id` or `username`.");
pub(super) const USER_ID_CLAIM: Setting =
    Setting::new("USER_ID_CLAIM", "user_id", "The claim that holds it.");
pub(super) const USER_ID_CLAIM_TYPE: Setting = Setting::new(
    "USER_ID_CLAIM_TYPE",
    "string",
    "How a numeric user id is written: `string` as SimpleJWT 5.5.1 does, or `number` as those before. Both are read.",
);
pub(super) const TOKEN_TYPE_CLAIM: Setting =
    Setting::new("TOKEN_TYPE_CLAIM", "token_type", "The claim that tells what a token is for.");
pub(super) const JTI_CLAIM: Setting = Setting::new("JTI_CLAIM", "jti", "The claim that holds a token's id.");
pub(super) const SLIDING_TOKEN_REFRESH_EXP_CLAIM: Setting = Setting::new(
    "SLIDING_TOKEN_REFRESH_EXP_CLAIM",
    "refresh_exp",
    "The claim that tells until when a sliding token can be refreshed.",
);
const CHECK_REVOKE_TOKEN: Setting = Setting::new(
    "CHECK_REVOKE_TOKEN",
    "false",
    "Whether tokens carry a mark of the password and are refused once it has changed.",
);
pub(super) const REVOKE_TOKEN_CLAIM: Setting =
    Setting::new("REVOKE_TOKEN_CLAIM", "hash_password", "The claim that holds this mark.");
const CHECK_USER_IS_ACTIVE: Setting = Setting::new(
    "CHECK_USER_IS_ACTIVE",
    "true",
    "Whether tokens of inactive users are refused; logins always are.",
);

pub(super) const SETTINGS: &[&Setting] = &[
    &ACCESS_TOKEN_LIFETIME,
    &REFRESH_TOKEN_LIFETIME,
    &SLIDING_TOKEN_LIFETIME,
    &SLIDING_TOKEN_REFRESH_LIFETIME,
    &LEEWAY,
    &ROTATE_REFRESH_TOKENS,
    &BLACKLIST_AFTER_ROTATION,
    &UPDATE_LAST_LOGIN,
    &AUDIENCE,
    &ISSUER,
    &AUTH_HEADER_TYPES,
    &AUTH_HEADER_NAME,
    &AUTH_TOKEN_CLASSES,
    &USER_ID_FIELD,
    &USER_ID_CLAIM,
    &USER_ID_CLAIM_TYPE,
    &TOKEN_TYPE_CLAIM,
    &JTI_CLAIM,
    &SLIDING_TOKEN_REFRESH_EXP_CLAIM,
    &CHECK_REVOKE_TOKEN,
    &REVOKE_TOKEN_CLAIM,
    &CHECK_USER_IS_ACTIVE,
];

/// A hundred years: sums of instants stay within every calendar.
const LIFETIME_MAX: Duration = Duration::from_hours(100 * 365 * 24);
/// The most that clocks may differ.
const LEEWAY_MAX: Duration = Duration::from_hours(1);

/// Which of a user's fields stands in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserIdField {
    /// His id.
    #[default]
    Id,
    /// His name.
    Username,
}

/// What is in a token, how long it is good, how it is sent.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of SimpleJWT")]
pub struct TokensConfig {
    /// The keys.
    pub keys: KeysConfig,
    /// How long an access token is good.
    pub access_lifetime: Duration,
    /// How long a refresh token is good.
    pub refresh_lifetime: Duration,
    /// How long a sliding token is good.
    pub sliding_lifetime: Duration,
    /// How long a sliding token can be refreshed.
    pub sliding_refresh_lifetime: Duration,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Whether a refresh gives a new refresh token.
    pub rotate_refresh_tokens: bool,
    /// Whether the one before is blacklisted.
    pub blacklist_after_rotation: bool,
    /// Whether a login writes `last_login`.
    pub update_last_login: bool,
    /// The `aud` claim.
    pub audience: Option<Audience>,
    /// The `iss` claim.
    pub issuer: Option<String>,
    /// The scheme words; never empty.
    pub auth_header_types: Vec<String>,
    /// The header with the token.
    pub auth_header_name: HeaderName,
    /// What opens protected routes, in order; never empty.
    pub auth_token_classes: Vec<TokenKind>,
    /// Which field of a user stands in tokens.
    pub user_id_field: UserIdField,
    /// Whether a numeric user id is written as a number.
    pub user_id_as_number: bool,
    /// What the claims are called.
    pub claims: ClaimNames,
    /// Whether tokens carry a mark of the password.
    pub check_revoke_token: bool,
    /// Whether tokens of inactive users are refused.
    pub check_user_is_active: bool,
}

impl TokensConfig {
    /// SimpleJWT's defaults over these keys.
    pub fn with_keys(keys: KeysConfig) -> Self {
        Self {
            keys,
            access_lifetime: Duration::from_mins(5),
            refresh_lifetime: Duration::from_hours(24),
            sliding_lifetime: Duration::from_mins(5),
            sliding_refresh_lifetime: Duration::from_hours(24),
            leeway: Duration::ZERO,
            rotate_refresh_tokens: false,
            blacklist_after_rotation: false,
            update_last_login: false,
            audience: None,
            issuer: None,
            auth_header_types: vec!["Bearer".to_owned()],
            auth_header_name: axum::http::header::AUTHORIZATION,
            auth_token_classes: vec![TokenKind::Access],
            user_id_field: UserIdField::Id,
            user_id_as_number: false,
            claims: ClaimNames::default(),
            check_revoke_token: false,
            check_user_is_active: true,
        }
    }

    /// Reads the section.
    pub(super) fn read(reader: &mut Reader) -> Self {
        let access_lifetime = lifetime(reader, &ACCESS_TOKEN_LIFETIME);
        let refresh_lifetime = lifetime(reader, &REFRESH_TOKEN_LIFETIME);
        let sliding_lifetime = lifetime(reader, &SLIDING_TOKEN_LIFETIME);
        let sliding_refresh_lifetime = lifetime(reader, &SLIDING_TOKEN_REFRESH_LIFETIME);
        let leeway = reader.duration_or_zero(&LEEWAY);
        if leeway > LEEWAY_MAX {
            reader.problem(
                "LEEWAY: clocks that differ by more than an hour are to be mended, not to be forgiven",
            );
        }
        let longest = [access_lifetime, refresh_lifetime, sliding_lifetime, sliding_refresh_lifetime];
        let longest = longest.into_iter().max().unwrap_or_default().saturating_add(leeway);
        let user_id_field = user_id_field(reader);
        let user_id_as_number = user_id_as_number(reader);
        let claims = claim_names(reader);
        check_claims(reader, &claims, user_id_field == UserIdField::Id && user_id_as_number);
        Self {
            keys: keys::read(reader, longest),
            access_lifetime,
            refresh_lifetime,
            sliding_lifetime,
            sliding_refresh_lifetime,
            leeway,
            rotate_refresh_tokens: reader.boolean(&ROTATE_REFRESH_TOKENS),
            blacklist_after_rotation: reader.boolean(&BLACKLIST_AFTER_ROTATION),
            update_last_login: reader.boolean(&UPDATE_LAST_LOGIN),
            audience: audience(reader),
            issuer: reader.optional(&ISSUER),
            auth_header_types: header_types(reader),
            auth_header_name: header_name(reader),
            auth_token_classes: token_classes(reader),
            user_id_field,
            user_id_as_number,
            claims,
            check_revoke_token: reader.boolean(&CHECK_REVOKE_TOKEN),
            check_user_is_active: reader.boolean(&CHECK_USER_IS_ACTIVE),
        }
    }
}

/// A lifetime that the calendar can hold.
fn lifetime(reader: &mut Reader, setting: &Setting) -> Duration {
    let lifetime = reader.duration(setting);
    if lifetime > LIFETIME_MAX {
        reader.problem(format!("{}: no token lives longer than a hundred years", setting.name));
        return LIFETIME_MAX;
    }
    lifetime
}
