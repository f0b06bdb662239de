//! `GET /api/schema/`: the document.

use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Document;
use crate::middleware::Endpoint;

/// What OPTIONS tells.
pub const SCHEMA: Endpoint = Endpoint {
    name: "Schema",
    description: "The document of this API, OpenAPI 3.1, as the settings in force have it.",
    methods: &["GET"],
    fields: &[],
};

/// 200 with the document, or 304 for whoever has it.
pub async fn schema(Extension(document): Extension<Document>, headers: HeaderMap) -> Response {
    let tag = entity_tag(&document.bytes);
    let mut response = if has(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], document.bytes).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn entity_tag(bytes: &Bytes) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes)))
}

/// Whether the client has this version. A weak tag is as good, since nobody asks for ranges.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|tags| tags.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_document_is_told_so() {
        let tag = entity_tag(&Bytes::from_static(b"{}"));
        for (known, has_it) in [
            (tag.as_str(), true),
            (&format!("W/{tag}"), true),
            (&format!("\"other\", {tag}"), true),
            ("*", true),
            ("\"other\"", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, known.parse().unwrap())]);
            assert_eq!(has(&headers, &tag), has_it, "{known}");
        }
        assert!(!has(&HeaderMap::new(), &tag));
    }
}
