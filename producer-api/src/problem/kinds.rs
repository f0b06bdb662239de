//! The only list of what can go wrong for a client: status, title, `type` URI and code of each kind.
//!
//! The texts a client reads stand with the constructors of [`Problem`](super::Problem); a kind is what machines
//! tell apart. Clients rely on every word here: a kind may be added, never renamed.

use axum::http::StatusCode;

/// What sort of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A field, or the body as a whole, breaks a rule.
    Invalid,
    /// The body can't be read as what its Content-Type says.
    ParseError,
    /// No usable Authorization header.
    NotAuthenticated,
    /// An Authorization header of the right scheme that is not two words.
    BadAuthorizationHeader,
    /// A token that is not, or no longer, good.
    TokenNotValid,
    /// The token's user does not exist.
    UserNotFound,
    /// The token's user is switched off.
    UserInactive,
    /// The token was given for another password.
    PasswordChanged,
    /// The same at a refresh: one problem to a reader, but DRF's body has no code there.
    PasswordChangedAtRefresh,
    /// Credentials or a refresh token without an active account behind them.
    NoActiveAccount,
    /// A known user without the right.
    PermissionDenied,
    /// No such path, or no such object for this user.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The client accepts nothing that we can send.
    NotAcceptable,
    /// The present state forbids it.
    Conflict,
    /// A key that stands for another request.
    IdempotencyKeyReused,
    /// The body did not come in time.
    RequestTimeout,
    /// The body is over the limit.
    TooLarge,
    /// A Content-Type, or a charset, that we can't read.
    UnsupportedMediaType,
    /// The path speaks another protocol than HTTP alone.
    UpgradeRequired,
    /// Too many requests.
    Throttled,
    /// A fault of ours.
    Internal,
    /// Something that we need is away or overloaded; it is worth trying again.
    Unavailable,
}

impl Kind {
    /// Every kind that is told from the others by its code.
    pub const ALL: [Self; 22] = [
        Self::Invalid,
        Self::ParseError,
        Self::NotAuthenticated,
        Self::BadAuthorizationHeader,
        Self::TokenNotValid,
        Self::UserNotFound,
        Self::UserInactive,
        Self::PasswordChanged,
        Self::NoActiveAccount,
        Self::PermissionDenied,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Conflict,
        Self::IdempotencyKeyReused,
        Self::RequestTimeout,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::UpgradeRequired,
        Self::Throttled,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::ParseError => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated
            | Self::BadAuthorizationHeader
            | Self::TokenNotValid
            | Self::UserNotFound
            | Self::UserInactive
            | Self::PasswordChanged
            | Self::PasswordChangedAtRefresh
            | Self::NoActiveAccount => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The title of a problem document: the same for every problem of the kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::Invalid => "The request breaks a rule",
            Self::ParseError => "The body can't be read",
            Self::NotAuthenticated => "Not authenticated",
            Self::BadAuthorizationHeader => "The Authorization header can't be read",
            Self::TokenNotValid => "The token is not valid",
            Self::UserNotFound => "The token's user does not exist",
            Self::UserInactive => "The token's user is inactive",
            Self::PasswordChanged | Self::PasswordChangedAtRefresh => "The password has been changed",
            Self::NoActiveAccount => "No active account",
            Self::PermissionDenied => "Permission denied",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotAcceptable => "Nothing acceptable to send",
            Self::Conflict => "Conflict with the present state",
            Self::IdempotencyKeyReused => "The idempotency key stands for another request",
            Self::RequestTimeout => "The body came too slowly",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::UpgradeRequired => "Another protocol is spoken here",
            Self::Throttled => "Too many requests",
            Self::Internal => "A server error",
            Self::Unavailable => "Unavailable for now",
        }
    }

    /// The `type` of a problem document: a stable URI reference on this service.
    pub fn type_uri(self) -> String {
        format!("/problems/{}", self.code().replace('_', "-"))
    }

    /// The `code` of a problem document. Where DRF sends no code these are its internal words, and never
    /// `token_not_valid`: clients start a refresh when they read that, and then log out.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::ParseError => "parse_error",
            Self::NotAuthenticated => "not_authenticated",
            Self::BadAuthorizationHeader => "bad_authorization_header",
            Self::TokenNotValid => "token_not_valid",
            Self::UserNotFound => "user_not_found",
            Self::UserInactive => "user_inactive",
            Self::PasswordChanged | Self::PasswordChangedAtRefresh => "password_changed",
            Self::NoActiveAccount => "no_active_account",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::Conflict => "conflict",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::RequestTimeout => "request_timeout",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UpgradeRequired => "upgrade_required",
            Self::Throttled => "throttled",
            Self::Internal => "error",
            Self::Unavailable => "unavailable",
        }
    }

    /// The `code` of DRF's body: only five kinds have one.
    pub fn code_in_drf_body(self) -> Option<&'static str> {
        match self {
            Self::BadAuthorizationHeader
            | Self::TokenNotValid
            | Self::UserNotFound
            | Self::UserInactive
            | Self::PasswordChanged => Some(self.code()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_kinds_share_a_code_or_a_type() {
        assert_eq!(Kind::ALL.map(Kind::code).iter().collect::<HashSet<_>>().len(), Kind::ALL.len());
        assert_eq!(Kind::ALL.map(Kind::type_uri).iter().collect::<HashSet<_>>().len(), Kind::ALL.len());
    }

    #[test]
    fn a_code_in_a_body_belongs_to_a_401_alone() {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.code_in_drf_body().is_some()) {
            assert_eq!(kind.status(), StatusCode::UNAUTHORIZED, "{kind:?}");
        }
    }

    #[test]
    fn a_type_is_a_path_made_of_the_code() {
        assert_eq!(Kind::TokenNotValid.type_uri(), "/problems/token-not-valid");
    }
}
