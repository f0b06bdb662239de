//! `/swagger/`: Swagger UI over the document, with nothing from another host.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use utoipa_swagger_ui::Config;

use crate::middleware::Endpoint;
use crate::problem::Problem;

/// What OPTIONS tells of the page.
pub const SWAGGER: Endpoint = Endpoint {
    name: "Swagger",
    description: "A page that shows the document of this API and tries its operations out.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of its files.
pub const SWAGGER_FILE: Endpoint = Endpoint {
    name: "Swagger File",
    description: "A script, a style or a picture of the page.",
    methods: &["GET"],
    fields: &[],
};

/// The files of Swagger UI that the page loads.
pub(super) const FILES: [&str; 3] = ["favicon-32x32.png", "swagger-ui-bundle.js", "swagger-ui.css"];

/// Ours, which starts it.
pub(super) const INITIALIZER: &str = "initializer.js";

/// Scripts and connections of our own alone. Swagger UI writes style attributes and shows pictures out of its style sheet.
const POLICY: [(HeaderName, &str); 1] = [(
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
)];

/// A program has one version of them, and a new one within the hour will do.
const CACHE_CONTROL: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=3600");

/// 200 with the page.
pub async fn swagger() -> Response {
    (POLICY, Html(include_str!("assets/index.html"))).into_response()
}

/// 200 with a file, or 404.
pub async fn swagger_file(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let Ok(Path(name)) = name else { return Err(Problem::not_found()) };
    if name == INITIALIZER {
        let script = include_str!("assets/initializer.js");
        let content_type = (header::CONTENT_TYPE, "text/javascript");
        return Ok(([CACHE_CONTROL, content_type], script).into_response());
    }
    if !FILES.contains(&name.as_str()) {
        return Err(Problem::not_found());
    }
    match utoipa_swagger_ui::serve(&name, Arc::new(Config::from("/api/schema/"))) {
        Ok(Some(file)) => {
            let content_type = [(header::CONTENT_TYPE, file.content_type)];
            let bytes: Cow<'static, [u8]> = file.bytes.into_owned().into();
            Ok(([CACHE_CONTROL], content_type, bytes).into_response())
        }
        Ok(None) => Err(Problem::not_found()),
        Err(error) => {
            tracing::error!(%error, "a file of Swagger UI can't be read");
            Err(Problem::internal())
        }
    }
}
