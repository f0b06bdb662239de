//! A problem as Django REST framework renders it: what every client gets that did not ask for anything else.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;

use super::{FieldErrors, Problem, TokenMessage};

/// DRF's body; its members stand in this order.
#[derive(Serialize)]
pub(super) struct DetailBody<'a> {
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    messages: &'a [TokenMessage],
}

/// One of DRF's two bodies.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum DrfBody<'a> {
    Fields(&'a FieldErrors),
    Detail(DetailBody<'a>),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (mut parts, body) = Json(self.drf_body()).into_response().into_parts();
        parts.status = self.status();
        self.add_headers(&mut parts.headers);
        parts.extensions.insert(self);
        Response::from_parts(parts, body)
    }
}

impl Problem {
    pub(super) fn drf_body(&self) -> DrfBody<'_> {
        if self.fields.is_empty() {
            let code = self.kind.code_in_drf_body();
            return DrfBody::Detail(DetailBody { detail: &self.detail, code, messages: &self.messages });
        }
        DrfBody::Fields(&self.fields)
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use http_body_util::BodyExt;

    use super::super::Kind;
    use super::*;
    use crate::tokens::TokenKind;

    async fn rendered(problem: Problem) -> (StatusCode, HeaderMap, String) {
        let (parts, body) = problem.into_response().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn two_fields() -> FieldErrors {
        let mut fields = FieldErrors::new();
        fields.add("username", "This field is required.");
        fields.add("password", "This field may not be blank.");
        fields
    }

    fn every_problem() -> Vec<(Problem, u16, &'static str)> {
        [problems_of_requests(), problems_of_callers(), problems_of_ourselves()].concat()
    }

    fn problems_of_requests() -> Vec<(Problem, u16, &'static str)> {
        vec![
            (
                Problem::field_errors(two_fields()),
                400,
                r#"{"username":["This field is required."],"password":["This field may not be blank."]}"#,
            ),
            (
                Problem::non_field_error("No data provided"),
                400,
                r#"{"non_field_errors":["No data provided"]}"#,
            ),
            (Problem::parse_error("JSON parse error - x"), 400, r#"{"detail":"JSON parse error - x"}"#),
            (Problem::not_found(), 404, r#"{"detail":"Not found."}"#),
            (Problem::method_not_allowed("GET"), 405, r#"{"detail":"Method \"GET\" not allowed."}"#),
            (Problem::not_acceptable(), 406, r#"{"detail":"Could not satisfy the request Accept header."}"#),
            (Problem::conflict("Already there."), 409, r#"{"detail":"Already there."}"#),
            (
                Problem::idempotency_key_reused(),
                422,
                r#"{"detail":"This Idempotency-Key was used for another request. Use a new one."}"#,
            ),
            (Problem::request_timeout(), 408, r#"{"detail":"The request body did not arrive in time."}"#),
            (
                Problem::too_large(10),
                413,
                r#"{"detail":"Request body is too large: the limit is 10 bytes."}"#,
            ),
            (
                Problem::unsupported_media_type("text/é; a=\"b\""),
                415,
                r#"{"detail":"Unsupported media type \"text/é; a=\"b\"\" in request."}"#,
            ),
            (Problem::throttled(None), 429, r#"{"detail":"Request was throttled."}"#),
            (
                Problem::throttled(Some(1)),
                429,
                r#"{"detail":"Request was throttled. Expected available in 1 second."}"#,
            ),
            (
                Problem::throttled(Some(30)),
                429,
                r#"{"detail":"Request was throttled. Expected available in 30 seconds."}"#,
            ),
        ]
    }

    fn problems_of_callers() -> Vec<(Problem, u16, &'static str)> {
        vec![
            (
                Problem::not_authenticated(),
                401,
                r#"{"detail":"Authentication credentials were not provided."}"#,
            ),
            (
                Problem::bad_authorization_header(),
                401,
                r#"{"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}"#,
            ),
            (
                Problem::token_not_valid("Token is expired"),
                401,
                r#"{"detail":"Token is expired","code":"token_not_valid"}"#,
            ),
            (
                Problem::token_refused([(TokenKind::Access, "Token is expired".to_owned())]),
                401,
                r#"{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is expired"}]}"#,
            ),
            (
                Problem::no_user_identification(),
                401,
                r#"{"detail":"Token contained no recognizable user identification","code":"token_not_valid"}"#,
            ),
            (Problem::user_not_found(), 401, r#"{"detail":"User not found","code":"user_not_found"}"#),
            (Problem::user_inactive(), 401, r#"{"detail":"User is inactive","code":"user_inactive"}"#),
            (
                Problem::no_active_account_credentials(),
                401,
                r#"{"detail":"No active account found with the given credentials"}"#,
            ),
            (
                Problem::password_changed(),
                401,
                r#"{"detail":"The user's password has been changed.","code":"password_changed"}"#,
            ),
            (
                Problem::password_changed_at_refresh(),
                401,
                r#"{"detail":"The user's password has been changed."}"#,
            ),
            (
                Problem::no_active_account_token(),
                401,
                r#"{"detail":"No active account found for the given token."}"#,
            ),
            (
                Problem::permission_denied(),
                403,
                r#"{"detail":"You do not have permission to perform this action."}"#,
            ),
            (
                Problem::foreign_origin(),
                403,
                r#"{"detail":"Cross-origin request refused: this origin is not in CORS_ALLOWED_ORIGINS."}"#,
            ),
        ]
    }

    fn problems_of_ourselves() -> Vec<(Problem, u16, &'static str)> {
        vec![
            (Problem::internal(), 500, r#"{"detail":"A server error occurred."}"#),
            (
                Problem::unavailable(5),
                503,
                r#"{"detail":"Service temporarily unavailable, try again later."}"#,
            ),
        ]
    }

    #[tokio::test]
    async fn every_problem_is_drfs_body_to_the_byte() {
        for (problem, status, body) in every_problem() {
            let (found_status, headers, found_body) = rendered(problem).await;
            assert_eq!((found_status.as_u16(), found_body.as_str()), (status, body));
            assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        }
    }

    #[tokio::test]
    async fn retry_after_is_on_what_is_worth_trying_again() {
        let retry_after = async |problem| {
            let (_, headers, _) = rendered(problem).await;
            headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(retry_after(Problem::unavailable(5)).await.as_deref(), Some("5"));
        assert_eq!(retry_after(Problem::throttled(Some(30))).await.as_deref(), Some("30"));
        assert_eq!(retry_after(Problem::throttled(None)).await, None);
        assert_eq!(retry_after(Problem::internal()).await, None);
    }

    #[tokio::test]
    async fn the_problem_itself_travels_in_the_extensions() {
        let response = Problem::not_found().into_response();
        assert_eq!(response.extensions().get::<Problem>().unwrap().kind(), Kind::NotFound);
    }
}
