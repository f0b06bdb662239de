//! Everything that can go wrong for a client, in one shape: a [`Problem`] of one of the [`Kind`]s.
//!
//! A problem renders itself as DRF's body, byte for byte (`drf_body`), and travels along in the response's extensions,
//! so that the middleware `problem_documents` can send an RFC 9457 document (`document`) to a client that asked for
//! one. Domain errors know nothing of this room; each domain's `http` files map them to problems. The constructors
//! are sorted by whose affair it is: `of_requests`, `of_callers`, `of_ourselves`.

mod document;
mod drf_body;
mod field_errors;
pub mod kinds;
mod of_callers;
mod of_ourselves;
mod of_requests;

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::Serialize;

pub use document::CONTENT_TYPE as PROBLEM_CONTENT_TYPE;
pub use field_errors::{FieldErrors, NON_FIELD_ERRORS};
pub use kinds::Kind;

/// An answer that says what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    fields: FieldErrors,
    messages: Vec<TokenMessage>,
    retry_after_seconds: Option<u64>,
}

/// Why a token class refused a token: one entry of the `messages` list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct TokenMessage {
    token_class: &'static str,
    token_type: &'static str,
    message: String,
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            fields: FieldErrors::new(),
            messages: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// What sort of problem it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// What went wrong, in one sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}
