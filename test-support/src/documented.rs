//! Every answer that any test gets is held against the API's document: what happens is told of there.
//!
//! schemathesis can't make everything happen (limits, a first request under way, a slow body); the tests of each domain do.

use std::sync::LazyLock;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let text = std::fs::read_to_string(path).expect("docs/openapi.json is there");
    serde_json::from_str(&text).expect("docs/openapi.json is JSON")
});

/// Fails the test if the document has the operation, and not this status, this media type, or a header that is required.
///
/// Methods that a path does not have are 405, which the document says of all paths at once.
///
/// # Panics
///
/// If the document does not tell of the answer.
pub(crate) fn assert_told(method: &Method, path: &str, status: u16, headers: &HeaderMap, is_empty: bool) {
    // Every program has these, and the document is one program's.
    if path.starts_with("/healthz") || path.starts_with("/readyz") || path.starts_with("/metrics") {
        return;
    }
    let Some(operation) = operation(method, path) else { return };
    let place = format!("{method} {path}: {status}");
    let response = &operation["responses"][status.to_string()];
    assert!(
        !response.is_null(),
        "{place} is not in docs/openapi.json; tell of it in the domain's `documented.rs`"
    );
    let response = resolved(response);
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let is_required = resolved(header)["required"] == true;
        assert!(
            !is_required || headers.contains_key(name),
            "{place} has no {name}, which the document promises"
        );
    }
    let sent = headers.get(CONTENT_TYPE).and_then(|sent| sent.to_str().ok());
    let sent = sent.and_then(|sent| sent.split(';').next()).unwrap_or_default();
    let is_told = response["content"].as_object().is_some_and(|told| told.contains_key(sent));
    assert!(is_empty || is_told, "{place}: the document tells of no body that is {sent:?}");
}

fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let paths = DOCUMENT["paths"].as_object()?;
    let same = |told: &str| {
        let (told, sent) = (told.strip_suffix('/').unwrap_or(told), path.strip_suffix('/').unwrap_or(path));
        told.split('/').count() == sent.split('/').count()
            && told
                .split('/')
                .zip(sent.split('/'))
                .all(|(told, sent)| told == sent || (told.starts_with('{') && !sent.is_empty()))
    };
    // A path of words alone comes before one with a parameter in their place.
    let found = paths.iter().filter(|(told, _)| same(told)).min_by_key(|(told, _)| told.matches('{').count());
    let (_, item) = found?;
    item.get(&method)
}

fn resolved(node: &'static Value) -> &'static Value {
    let reference =
        node["$ref"].as_str().and_then(|reference| DOCUMENT.pointer(reference.trim_start_matches('#')));
    reference.unwrap_or(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_told(
        method: &Method,
        path: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        is_empty: bool,
    ) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        std::panic::catch_unwind(|| assert_told(method, path, status, &headers, is_empty)).is_ok()
    }

    #[test]
    fn what_the_document_does_not_tell_of_is_found() {
        let json = ("content-type", "application/json");
        let usual = [("x-request-id", "01935d3c-7d52-7d4e-9d2a-5b0c4f1e8a77"), ("allow", "GET")];
        let with = |more: &[(&'static str, &'static str)]| [&usual[..], more].concat();
        assert!(is_told(&Method::GET, "/api/tasks/7", 200, &with(&[json]), false));
        assert!(is_told(&Method::HEAD, "/api/tasks/7/", 200, &with(&[json]), true));
        assert!(is_told(&Method::DELETE, "/api/users/me/", 204, &usual, true));
        assert!(is_told(&Method::PUT, "/api/users/me/", 405, &[], true));
        assert!(is_told(&Method::GET, "/nothing/of/ours", 418, &[], true));
        assert!(is_told(&Method::GET, "/readyz", 503, &[json], false));
        assert!(!is_told(&Method::GET, "/api/tasks/7/", 409, &with(&[json]), false));
        assert!(!is_told(&Method::GET, "/api/tasks/7/", 200, &[json], false));
        assert!(!is_told(&Method::GET, "/api/tasks/7/", 200, &with(&[("content-type", "text/html")]), false));
        assert!(!is_told(&Method::GET, "/api/tasks/7/", 401, &with(&[json]), false), "no challenge");
    }
}
