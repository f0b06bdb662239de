//! Problems of who calls: no token, a bad one, no account, no permission. SimpleJWT's texts, byte for byte: mind
//! which of them end in a full stop.

use super::{Kind, Problem, TokenMessage};
use crate::tokens::TokenKind;

impl Problem {
    /// 401: no usable Authorization header.
    pub fn not_authenticated() -> Self {
        Self::new(Kind::NotAuthenticated, "Authentication credentials were not provided.")
    }

    /// 401: the right scheme, and not exactly one word after it.
    pub fn bad_authorization_header() -> Self {
        Self::new(
            Kind::BadAuthorizationHeader,
            "Authorization header must contain two space-delimited values",
        )
    }

    /// 401 of a token in a body: `{"detail": <text>, "code": "token_not_valid"}`.
    pub fn token_not_valid(text: &str) -> Self {
        Self::new(Kind::TokenNotValid, text.to_owned())
    }

    /// 401 of a token in the header; of each class that opens routes, in order, why it is none.
    pub fn token_refused(messages: impl IntoIterator<Item = (TokenKind, String)>) -> Self {
        let message = |(kind, message): (TokenKind, String)| TokenMessage {
            token_class: kind.class(),
            token_type: kind.as_str(),
            message,
        };
        Self {
            messages: messages.into_iter().map(message).collect(),
            ..Self::new(Kind::TokenNotValid, "Given token not valid for any token type")
        }
    }

    /// 401: a good access token without the user id's claim.
    pub fn no_user_identification() -> Self {
        Self::new(Kind::TokenNotValid, "Token contained no recognizable user identification")
    }

    /// 401: the access token's user does not exist.
    pub fn user_not_found() -> Self {
        Self::new(Kind::UserNotFound, "User not found")
    }

    /// 401: the access token's user is switched off.
    pub fn user_inactive() -> Self {
        Self::new(Kind::UserInactive, "User is inactive")
    }

    /// 401: the token was given for a password that is not its user's any more.
    pub fn password_changed() -> Self {
        Self::new(Kind::PasswordChanged, "The user's password has been changed.")
    }

    /// The same at a refresh, where SimpleJWT sends no code.
    pub fn password_changed_at_refresh() -> Self {
        Self::new(Kind::PasswordChangedAtRefresh, "The user's password has been changed.")
    }

    /// 409 of a login: the policy lets the session that is there go first.
    pub fn session_active() -> Self {
        Self::new(Kind::Conflict, "This user has an active session. End it first.")
    }

    /// 401 of a login: one answer for an unknown user, a wrong password and an inactive user.
    pub fn no_active_account_credentials() -> Self {
        Self::new(Kind::NoActiveAccount, "No active account found with the given credentials")
    }

    /// 401 of a refresh: the token is good, its user is gone or switched off.
    pub fn no_active_account_token() -> Self {
        Self::new(Kind::NoActiveAccount, "No active account found for the given token.")
    }

    /// 403: a known user without the right.
    pub fn permission_denied() -> Self {
        Self::new(Kind::PermissionDenied, "You do not have permission to perform this action.")
    }

    /// 403: a page of another origin would have changed something.
    pub fn foreign_origin() -> Self {
        Self::new(
            Kind::PermissionDenied,
            "Cross-origin request refused: this origin is not in CORS_ALLOWED_ORIGINS.",
        )
    }

    /// 403: a session in a cookie is for the page that it was made for.
    pub fn not_of_own_page() -> Self {
        Self::new(Kind::PermissionDenied, "Only the page /real_data of this very origin may do this.")
    }
}
