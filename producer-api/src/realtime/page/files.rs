//! The page's own files. They are part of the program, so that page and API are always of one version.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::problem::Problem;

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($name:literal: $media_type:expr;)+) => {
        /// Name, media type and text of each.
        const FILES: &[(&str, &str, &str)] =
            &[$(($name, $media_type, include_str!(concat!("assets/", $name)))),+];
    };
}

files! {
    "announcer.js": SCRIPT;
    "api.js": SCRIPT;
    "app.js": SCRIPT;
    "connection_banner.js": SCRIPT;
    "dialogs.js": SCRIPT;
    "dom.js": SCRIPT;
    "duration.js": SCRIPT;
    "icon.svg": "image/svg+xml";
    "live.js": SCRIPT;
    "log_in_form.js": SCRIPT;
    "moments.js": SCRIPT;
    "network.js": SCRIPT;
    "new_task_form.js": SCRIPT;
    "problems.js": SCRIPT;
    "session.js": SCRIPT;
    "sessions_panel.js": SCRIPT;
    "style.css": "text/css; charset=utf-8";
    "task_list.js": SCRIPT;
    "task_row.js": SCRIPT;
    "tasks.js": SCRIPT;
    "tools_panel.js": SCRIPT;
}

#[derive(Debug)]
struct File {
    media_type: &'static str,
    text: &'static str,
    tag: HeaderValue,
}

static BY_NAME: LazyLock<BTreeMap<&'static str, File>> = LazyLock::new(|| {
    let file = |&(name, media_type, text): &(&'static str, &'static str, &'static str)| {
        let tag = URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
        let tag = HeaderValue::try_from(format!("\"{tag}\"")).ok()?;
        Some((name, File { media_type, text, tag }))
    };
    FILES.iter().filter_map(file).collect()
});

/// The scripts, for the document to announce: a browser then fetches them together, not one after the other.
pub(super) fn scripts() -> impl Iterator<Item = &'static str> {
    FILES.iter().filter(|(_, media_type, _)| *media_type == SCRIPT).map(|(name, ..)| *name)
}

/// 200 with the file, 304 if the browser has it, 404 if there is none of the name.
///
/// A browser may keep a file, but asks each time whether it is still the one: after a deployment nobody sees an old script
/// beside a new page for longer than the replicas differ.
pub(super) async fn send(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    let Some(file) = name.ok().and_then(|Path(name)| BY_NAME.get(name.as_str())) else {
        return Problem::not_found().into_response();
    };
    let caching = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, file.tag.clone()),
        // It is the same for everybody.
        (header::VARY, HeaderValue::from_static("Accept-Encoding")),
    ];
    if has(&headers, &file.tag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let media_type = [(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type))];
    (caching, media_type, file.text).into_response()
}

/// Whether the browser names the file that it has.
fn has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let named = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = named.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|named| named == "*" || named.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use super::*;

    async fn ask(name: &str, tag: Option<&str>) -> Response {
        let tag = tag.map(|tag| (header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap()));
        send(Ok(Path(name.to_owned())), tag.into_iter().collect()).await
    }

    #[tokio::test]
    async fn a_browser_that_has_the_file_is_not_sent_it_again() {
        let first = ask("app.js", None).await;
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for named in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            let again = ask("app.js", Some(&named)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{named}");
            assert_eq!(again.headers()[header::ETAG], tag);
        }
        assert_eq!(ask("app.js", Some("\"x\"")).await.status(), StatusCode::OK);
        assert_eq!(ask("style.css", Some(&tag)).await.status(), StatusCode::OK);
        assert_eq!(ask("../mod.rs", None).await.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_every_import_leads_to_one() {
        let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src/realtime/page/assets");
        let found =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut found: Vec<_> = found.collect();
        found.sort();
        assert_eq!(found, BY_NAME.keys().copied().collect::<Vec<_>>());
        for (name, _, text) in FILES {
            for import in text.lines().filter_map(|line| line.split_once(" from './")) {
                let file = import.1.trim_end_matches(['\'', ';']);
                assert!(BY_NAME.contains_key(file), "{name} imports {file}");
            }
        }
    }

    #[test]
    fn no_script_turns_text_into_markup() {
        let sinks = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "DOMParser",
        ];
        for (name, _, text) in FILES {
            for sink in sinks.iter().chain(&["localStorage", "sessionStorage", "document.cookie"]) {
                assert!(!text.contains(sink), "{name}: {sink}");
            }
        }
    }
}
