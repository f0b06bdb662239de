//! Lets requests of the page itself through, and nothing else that a browser may send.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use crate::extract::media_type::{MediaType, latin1};
use crate::middleware::is_of_own_origin;
use crate::problem::Problem;

/// A request of a page of our own origin whose body, if any, is JSON.
///
/// Stricter than `cross_origin`, since a cookie is at stake. An origin of `CORS_ALLOWED_ORIGINS` is not ours; one that
/// shares our host on another port is sent the cookie, whatever `SameSite` says; and whoever shows no origin is no page,
/// and has no business here.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfOwnOrigin;

impl<S: Sync> FromRequestParts<S> for OfOwnOrigin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        if !is_of_own_origin(&parts.headers) {
            return Err(Problem::not_of_own_page());
        }
        match parts.headers.get(header::CONTENT_TYPE).map(latin1) {
            // A form can be sent from anywhere without a script.
            Some(raw) if !MediaType::parse(&raw).names("application", "json") => {
                Err(Problem::unsupported_media_type(&raw))
            }
            _ => Ok(Self),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn status(headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().header("host", "warren.example:8000");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        OfOwnOrigin::from_request_parts(&mut parts, &())
            .await
            .map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    const OURS: (&str, &str) = ("origin", "http://warren.example:8000");
    const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

    #[tokio::test]
    async fn our_own_page_alone_is_let_in() {
        assert_eq!(status(&[SAME, OURS]).await, 200);
        assert_eq!(status(&[SAME]).await, 200);
        // A browser says nothing more over plain HTTP.
        assert_eq!(status(&[OURS]).await, 200);
        for headers in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "http://warren.example")],
            &[("origin", "http://warren.example:8001")],
            &[("origin", "http://evil.example")],
            &[OURS, ("origin", "http://evil.example")],
            &[OURS, ("sec-fetch-site", "same-site")],
            &[OURS, ("sec-fetch-site", "cross-site")],
            &[OURS, SAME, ("sec-fetch-site", "cross-site")],
            // What somebody typed into the address bar is no request of the page.
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(status(headers).await, 403, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_json_or_none() {
        for (media_type, expected) in [
            ("application/json", 200),
            ("application/json; charset=utf-8", 200),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data; boundary=x", 415),
            ("text/plain", 415),
            ("*/*", 415),
        ] {
            assert_eq!(status(&[SAME, ("content-type", media_type)]).await, expected, "{media_type}");
        }
    }
}
