//! Problems of who calls: no token, a bad one, no account, no permission. SimpleJWT's texts, byte for byte: mind
//! which of them end in a full stop.

use super::{Kind, Problem, TokenMessage};

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

    /// 401 of a token in the Authorization header; `text` says why the access token was refused.
    pub fn access_token_refused(text: &str) -> Self {
        let message =
            TokenMessage { token_class: "AccessToken", token_type: "access", message: text.to_owned() };
        Self {
            messages: vec![message],
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
}
