//! `/api/schema/` tells of what is served, and nothing else; `/swagger/` shows it with files of its own.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use test_support::api::{Answer, send};

use crate::harness::Api;

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"];

// Red if a handler is added to a route without a word in its Endpoint or its document, or the other way round.
#[tokio::test]
async fn a_method_is_served_if_and_only_if_the_document_tells_of_it() {
    let api = Api::start().await;
    let login = api.client.join("ada").await;
    let document = api.client.get("/api/schema/").await.expect(200).body;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 25);
    for (path, item) in paths {
        let told: BTreeSet<_> =
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let is_protected = item.as_object().unwrap().values().any(|told| told["security"][0].is_object());
        for method in METHODS {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let uri = path.replace("{id}", "1").replace(['{', '}'], "");
            let mut request = api.client.request(method.clone(), &uri);
            // With it a logout would succeed.
            if is_protected && path != "/api/logout/" {
                request = request.bearer_auth(&login.access);
            }
            let Answer { status, headers, .. } = send(request).await;
            assert_eq!(status != 405, told.contains(method.as_str()), "{method} {path}: {status}");
            assert!(status != 405 || headers.contains_key("allow"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn whoever_has_the_document_is_not_sent_it_again() {
    let api = Api::start().await;
    let tag = api.client.get("/api/schema/").await.expect(200).header("etag").to_owned();
    let again = api.client.request(Method::GET, "/api/schema").header("If-None-Match", &tag);
    let again = send(again).await.expect(304);
    assert_eq!((again.body.clone(), again.header("etag")), (Value::Null, tag.as_str()));
}

// Red if the page asks another host for anything, or for a file that is not there.
#[tokio::test]
async fn the_page_loads_its_own_files_alone_and_all_of_them_are_there() {
    let api = Api::start().await;
    let page = api.client.get("/swagger/").await.expect(200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && policy.contains("default-src 'none'"), "{policy}");
    let html = page.body.as_str().unwrap();
    let references =
        html.split('"').skip(1).step_by(2).filter(|text| text.contains("://") || text.starts_with('/'));
    let references: Vec<_> = references.collect();
    assert!(references.len() > 4, "{references:?}");
    for reference in references {
        assert!(reference.starts_with('/'), "{reference}");
        api.client.get(reference).await.expect(200);
    }
    api.client.get("/swagger/index.html").await.expect(404);
}

// Red if a route takes its part of the path by an extractor that answers for itself.
#[tokio::test]
async fn a_path_that_is_no_text_is_404_like_any_unknown_one() {
    let api = Api::start().await;
    for path in ["/swagger/%FF", "/schemas/%FF/v1", "/real_data/assets/%FF"] {
        let answer = api.client.get(path).await.expect(404);
        assert_eq!(answer.text("detail"), "Not found.", "{path}");
    }
}
