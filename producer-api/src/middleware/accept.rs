//! The Accept header: 406 where we can send nothing that the client takes, and who asked for problem documents.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::extract::media_type::{MediaType, latin1};
use crate::problem::Problem;

/// 406 for a client that takes neither JSON nor problem documents. Parameters don't count, not even `q=0`.
pub async fn acceptable(request: Request, next: Next) -> Response {
    if !accepts_json(request.headers()) {
        return Problem::not_acceptable().into_response();
    }
    next.run(request).await
}

/// Whether the client asked for problem documents, in so many words.
pub(super) fn wants_problem_documents(headers: &HeaderMap) -> bool {
    media_types(headers).iter().any(|media_type| is_problem_document(media_type) && !is_refused(media_type))
}

/// Whether a page is wanted rather than JSON: HTML is named, as browsers do, and JSON is not.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let media_types = media_types(headers);
    let names = |subtype: &str| media_types.iter().any(|media_type| media_type.names("application", subtype));
    media_types.iter().any(|media_type| media_type.names("text", "html"))
        && !names("json")
        && !names("problem+json")
}

/// No Accept header, or an empty one, takes everything.
fn accepts_json(headers: &HeaderMap) -> bool {
    let media_types = media_types(headers);
    media_types.is_empty()
        || media_types
            .iter()
            .any(|media_type| media_type.covers("application", "json") || is_problem_document(media_type))
}

fn is_problem_document(media_type: &MediaType) -> bool {
    media_type.names("application", "problem+json")
}

fn is_refused(media_type: &MediaType) -> bool {
    media_type.parameter("q").and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
}

/// The media types of all Accept headers together; blanks between commas are none.
fn media_types(headers: &HeaderMap) -> Vec<MediaType> {
    let values = headers.get_all(header::ACCEPT).iter().map(latin1).collect::<Vec<_>>().join(",");
    let named = values.split(',').filter(|text| !text.trim().is_empty());
    named.map(MediaType::parse).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (header::ACCEPT, HeaderValue::from_bytes(value.as_bytes()).unwrap()))
            .collect()
    }

    #[test]
    fn json_is_accepted_by_name_by_wildcard_and_by_silence() {
        for values in [
            &[][..],
            &[""],
            &["  "],
            &[" , "],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["Application/JSON; charset=utf-8"],
            &["application/json;q=0"],
            &["*/*;q=0"],
            &["application/json; indent=4; x=\"a,b\""],
            &["text/html, application/json"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["text/html", "application/json"],
            &["application/problem+json"],
            &["text/html, application/problem+json"],
        ] {
            assert!(accepts_json(&headers(values)), "{values:?}");
        }
    }

    #[test]
    fn anything_else_is_not_accepted() {
        for values in [
            &["text/html"][..],
            &["text/*"],
            &["application/xml"],
            &["application/vnd.api+json"],
            &["text/json"],
            &["json"],
            &["*"],
            &["é"],
            &["text/html, image/*"],
        ] {
            assert!(!accepts_json(&headers(values)), "{values:?}");
        }
    }

    #[test]
    fn only_the_name_asks_for_problem_documents() {
        for (value, wants) in [
            ("application/problem+json", true),
            ("application/json, Application/Problem+JSON;q=0.5", true),
            ("application/problem+json;q=0", false),
            ("application/json", false),
            ("application/*", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(wants_problem_documents(&headers(&[value])), wants, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_accept_header_is_too_odd_to_judge(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(header::ACCEPT, value)]);
                prop_assert!(accepts_json(&headers) || !wants_problem_documents(&headers));
            }
        }
    }
}
