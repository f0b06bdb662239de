//! Problems of the request itself, whoever sent it.

use super::{FieldErrors, Kind, NON_FIELD_ERRORS, Problem};

/// The detail of a problem document about fields; DRF's body has none.
const FIELDS_DETAIL: &str = "Some fields are not valid.";

impl Problem {
    /// 400: `{"<field>": ["<text>", …], …}`.
    pub fn field_errors(fields: FieldErrors) -> Self {
        Self { fields, ..Self::new(Kind::Invalid, FIELDS_DETAIL) }
    }

    /// 400: `{"non_field_errors": ["<text>"]}`, about the body as a whole.
    pub fn non_field_error(text: &str) -> Self {
        let mut fields = FieldErrors::new();
        fields.add(NON_FIELD_ERRORS, text);
        Self { fields, ..Self::new(Kind::Invalid, text.to_owned()) }
    }

    /// 400: the body can't be read. `reason` is the whole text: `JSON parse error - …`, `Multipart form parse
    /// error - …`.
    pub fn parse_error(reason: impl Into<String>) -> Self {
        Self::new(Kind::ParseError, reason.into())
    }

    /// 404: no such path, or no such object for this user.
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "Not found.")
    }

    /// 405. `method` as it was sent.
    pub fn method_not_allowed(method: &str) -> Self {
        Self::new(Kind::MethodNotAllowed, format!("Method \"{method}\" not allowed."))
    }

    /// 406.
    pub fn not_acceptable() -> Self {
        Self::new(Kind::NotAcceptable, "Could not satisfy the request Accept header.")
    }

    /// 409: the present state forbids it.
    pub fn conflict(detail: &str) -> Self {
        Self::new(Kind::Conflict, detail.to_owned())
    }

    /// 422: the `Idempotency-Key` was used for something else.
    pub fn idempotency_key_reused() -> Self {
        Self::new(
            Kind::IdempotencyKeyReused,
            "This Idempotency-Key was used for another request. Use a new one.",
        )
    }

    /// 408: the body did not come in time.
    pub fn request_timeout() -> Self {
        Self::new(Kind::RequestTimeout, "The request body did not arrive in time.")
    }

    /// 413: the body is over `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(Kind::TooLarge, format!("Request body is too large: the limit is {limit} bytes."))
    }

    /// 415. `raw` is the Content-Type as it was sent, parameters included; empty if there was none.
    pub fn unsupported_media_type(raw: &str) -> Self {
        Self::new(Kind::UnsupportedMediaType, format!("Unsupported media type \"{raw}\" in request."))
    }

    /// 426: a path that is spoken to by WebSocket alone; `detail` says how.
    pub fn upgrade_required(detail: &'static str) -> Self {
        Self::new(Kind::UpgradeRequired, detail)
    }

    /// 429 with `Retry-After`, if the wait is known.
    pub fn throttled(wait_seconds: Option<u64>) -> Self {
        let detail = match wait_seconds {
            Some(1) => "Request was throttled. Expected available in 1 second.".to_owned(),
            Some(wait) => format!("Request was throttled. Expected available in {wait} seconds."),
            None => "Request was throttled.".to_owned(),
        };
        Self { retry_after_seconds: wait_seconds, ..Self::new(Kind::Throttled, detail) }
    }
}
