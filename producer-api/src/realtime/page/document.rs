//! The page's document: everything that does not depend on who is looking, and a policy under which nothing but our own
//! files runs.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};

use super::files;
use crate::problem::Problem;
use crate::state::AppState;

/// No inline script and no inline style, nothing of another host, no text that becomes markup. A form sends nothing by
/// itself: without its script the page does nothing, least of all put a password anywhere. `'self'` of `connect-src`
/// covers the WebSocket.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; \
     frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

#[derive(Template)]
#[template(path = "real_data.html")]
struct Document<'a> {
    /// The header in which the API wants the access token, and the word before the token.
    token_header: &'a str,
    token_scheme: &'a str,
    scripts: Vec<&'static str>,
}

/// 200 with the page, the same for everybody.
pub(super) async fn show(State(state): State<AppState>) -> Response {
    let config = state.tokens.config();
    let document = Document {
        token_header: config.auth_header_name.as_str(),
        token_scheme: config.auth_header_types.first().map_or("Bearer", String::as_str),
        scripts: files::scripts().collect(),
    };
    match document.render() {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page can't be rendered");
            Problem::internal().into_response()
        }
    }
}
