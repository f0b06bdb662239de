//! A problem as an RFC 9457 document, for a client that asked for one.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use serde_json::Value;
use shared::ids::RequestId;

use super::{FieldErrors, Problem, TokenMessage};

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// No member is ever `null`: what does not apply is left out.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    type_uri: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "FieldErrors::is_empty")]
    errors: &'a FieldErrors,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    messages: &'a [TokenMessage],
}

impl Problem {
    /// The same answer with a problem document for its body; `request` is its `instance`.
    pub fn into_document(self, request: Option<RequestId>) -> Response {
        let body = Json(self.document(request)).into_response().into_body();
        let mut response = self.into_response();
        *response.body_mut() = body;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response
    }

    /// Both bodies as JSON, DRF's and the document: what the API's description shows of a problem.
    pub fn examples(&self, request: RequestId) -> (Value, Value) {
        let value = |body: Result<Value, serde_json::Error>| body.unwrap_or_default();
        (
            value(serde_json::to_value(self.drf_body())),
            value(serde_json::to_value(self.document(Some(request)))),
        )
    }

    fn document(&self, request: Option<RequestId>) -> Document<'_> {
        Document {
            type_uri: self.kind.type_uri(),
            title: self.kind.title(),
            status: self.status().as_u16(),
            detail: &self.detail,
            code: self.kind.code(),
            instance: request.map(|id| id.0.urn().to_string()),
            errors: &self.fields,
            messages: &self.messages,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use http_body_util::BodyExt;
    use uuid::Uuid;

    use super::*;
    use crate::tokens::TokenKind;

    async fn document(problem: Problem, request: Option<RequestId>) -> (StatusCode, String) {
        let response = problem.into_document(request);
        assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_document_names_its_kind_and_its_request() {
        let request = RequestId(Uuid::from_u128(7));
        let (status, body) = document(Problem::no_active_account_credentials(), Some(request)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            body,
            r#"{"type":"/problems/no-active-account","title":"No active account","status":401,"detail":"No active account found with the given credentials","code":"no_active_account","instance":"urn:uuid:00000000-0000-0000-0000-000000000007"}"#
        );
    }

    #[tokio::test]
    async fn field_errors_and_messages_are_members_and_nothing_is_null() {
        let (_, body) = document(Problem::non_field_error("No data provided"), None).await;
        assert_eq!(
            body,
            r#"{"type":"/problems/invalid","title":"The request breaks a rule","status":400,"detail":"No data provided","code":"invalid","errors":{"non_field_errors":["No data provided"]}}"#
        );
        let (_, body) =
            document(Problem::token_refused([(TokenKind::Access, "Token is expired".to_owned())]), None)
                .await;
        assert!(body.ends_with(
            r#""code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is expired"}]}"#
        ));
    }
}
