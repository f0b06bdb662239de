//! The page `/real_data`: its document, its files, and the session of a browser.
//!
//! The page is a client of the API like any other, with one privilege: its refresh token lives in a cookie that no script
//! can read, so that two windows share one session and nothing lies in a browser's storage. The three endpoints of that
//! session are the use cases of `sessions` behind another door, open to the page's own origin alone ([`own_origin`]). The
//! access token lives in the memory of each window.
//!
//! This room knows nothing of tasks: the page asks the API for them, and `/ws/tasks/` for what changes.

mod cookie;
mod document;
mod documented;
mod files;
mod own_origin;
mod session;

use axum::routing::{get, post};

pub use cookie::RefreshCookie;
pub use documented::operations;

use crate::middleware::{Endpoint, EndpointField, Routes, document_route, open_route};
use crate::state::AppState;

/// Where the page is. The cookie is sent nowhere else.
pub const PATH: &str = "/real_data";

const PAGE: Endpoint = Endpoint {
    name: "Real Data",
    description: "The page on which a user watches and changes tasks.",
    methods: &["GET"],
    fields: &[],
};

const FILE: Endpoint = Endpoint {
    name: "Real Data File",
    description: "A script, style or picture of the page.",
    methods: &["GET"],
    fields: &[],
};

const SESSION: Endpoint = Endpoint {
    name: "Real Data Session",
    description: "Logs a browser in, with the refresh token in a cookie, and out. For the page alone.",
    methods: &["POST", "DELETE"],
    fields: &[
        EndpointField::required("username", "Username"),
        EndpointField::required("password", "Password"),
    ],
};

const REFRESH: Endpoint = Endpoint {
    name: "Real Data Session Refresh",
    description: "Gives an access token for the refresh token in the cookie. For the page alone.",
    methods: &["POST"],
    fields: &[],
};

/// Adds the page's routes.
pub fn routes(routes: Routes<AppState>) -> Routes<AppState> {
    let routes = document_route(routes, "/real_data/", &PAGE, get(document::show));
    let routes = document_route(routes, "/real_data/assets/{name}", &FILE, get(files::send));
    let methods = post(session::log_in).delete(session::log_out);
    let routes = open_route(routes, "/real_data/session/", &SESSION, methods);
    open_route(routes, "/real_data/session/refresh/", &REFRESH, post(session::refresh))
}
