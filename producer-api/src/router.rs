//! Every route on one page.

use std::convert::Infallible;

use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{Route, delete, get, post};
use axum::{Extension, Router};
use shared::lifecycle::{Probes, probe_router};
use tower::{Layer, Service};

use crate::accounts::http as accounts;
use crate::accounts::staff::http as staff;
use crate::event_documents;
use crate::jobs::http as jobs;
use crate::middleware::{
    HttpMetrics, ListedRoute, Routes, StackSettings, document_route, open_route, protected_route, stack,
};
use crate::openapi::{self, Document, Operation, SecurityScheme};
use crate::realtime::{self, TASKS_LIVE, live, page};
use crate::sessions::{http as sessions, require_sign_in};
use crate::state::AppState;
use crate::tasks::http as tasks;
use crate::tokens::http as tokens;
use crate::trail::http as trail;

/// The application: each path with and without its trailing slash, behind the middleware.
pub fn router(state: AppState, probes: Probes, settings: StackSettings) -> Router {
    let sign_in = from_fn_with_state(state.clone(), require_sign_in);
    let (routes, listed) = routes(sign_in).into_parts();
    let http_metrics = HttpMetrics::new(probes.metrics(), listed.iter().chain(&openapi::probes()));
    let settings = StackSettings { http_metrics, ..settings };
    let document = document(listed, &SecurityScheme::of(state.tokens.config()));
    let routes = routes.layer(Extension(document)).with_state(state);
    stack(routes.merge(probe_router(probes)), settings)
}

/// The document of the API. It needs no state.
pub(crate) fn document(mut listed: Vec<ListedRoute>, security: &SecurityScheme) -> Document {
    listed.extend(openapi::probes());
    Document::new(&listed, &operations(), security)
}

/// The routes, those that ask who calls behind `sign_in`.
pub(crate) fn routes<L>(sign_in: L) -> Routes<AppState>
where
    L: Layer<Route> + Clone + Send + Sync + 'static,
    L::Service: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Response: IntoResponse + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    let mut routes = Routes::new();
    routes = open_route(routes, "/api/register/", &accounts::REGISTER, post(accounts::register));
    routes = open_route(routes, "/api/token/", &sessions::OBTAIN_PAIR, post(sessions::obtain_pair));
    routes = open_route(routes, "/api/token/refresh/", &sessions::REFRESH, post(sessions::refresh));
    routes = open_route(routes, "/api/token/verify/", &sessions::VERIFY, post(sessions::verify));
    routes = open_route(routes, "/api/token/blacklist/", &sessions::BLACKLIST, post(sessions::blacklist));
    routes =
        open_route(routes, "/api/token/sliding/", &sessions::OBTAIN_SLIDING, post(sessions::obtain_sliding));
    routes = open_route(routes, "/api/token/sliding/refresh/", &sessions::SLIDE, post(sessions::slide));
    routes = open_route(routes, "/api/login/", &sessions::LOG_IN, post(sessions::log_in));
    routes = open_route(routes, "/api/logout/", &sessions::LOG_OUT, post(sessions::log_out));
    let verify = get(accounts::verify_page).post(accounts::verify);
    routes = document_route(routes, "/api/email/verify/", &accounts::VERIFY_EMAIL, verify);
    routes = open_route(routes, "/api/email/verify/resend/", &accounts::RESEND, post(accounts::resend));
    routes = open_route(routes, "/api/password/reset/", &accounts::RESET, post(accounts::reset));
    let confirm = get(accounts::confirm_reset_page).post(accounts::confirm_reset);
    routes = document_route(routes, "/api/password/reset/confirm/", &accounts::CONFIRM_RESET, confirm);
    routes = document_route(
        routes,
        "/api/events/schema/",
        &event_documents::ASYNCAPI,
        get(event_documents::asyncapi),
    );
    let event_schema = get(event_documents::event_schema);
    routes =
        document_route(routes, "/schemas/{type}/{version}/", &event_documents::EVENT_SCHEMA, event_schema);
    routes = open_route(routes, "/.well-known/jwks.json", &tokens::JWKS, get(tokens::jwks));
    routes = document_route(routes, "/ws/tasks/", &TASKS_LIVE, get(live));
    routes = open_route(routes, "/api/schema/", &openapi::SCHEMA, get(openapi::schema));
    routes = document_route(routes, "/swagger/", &openapi::SWAGGER, get(openapi::swagger));
    routes = document_route(routes, "/swagger/{file}", &openapi::SWAGGER_FILE, get(openapi::swagger_file));

    let list_and_create = get(tasks::list).post(tasks::create);
    routes = protected_route(routes, "/api/tasks/", &tasks::TASKS, list_and_create, sign_in.clone());
    let task = get(tasks::show).put(tasks::replace).patch(tasks::update).delete(tasks::delete);
    routes = protected_route(routes, "/api/tasks/{id}/", &tasks::TASK, task, sign_in.clone());
    routes =
        protected_route(routes, "/api/sessions/", &sessions::SESSIONS, get(sessions::list), sign_in.clone());
    let change = post(accounts::change);
    routes = protected_route(routes, "/api/password/change/", &accounts::CHANGE, change, sign_in.clone());
    let me = get(accounts::read).patch(accounts::update).delete(accounts::delete);
    routes = protected_route(routes, "/api/users/me/", &accounts::ME, me, sign_in.clone());
    let end = delete(sessions::end);
    routes = protected_route(routes, "/api/sessions/{id}/", &sessions::SESSION, end, sign_in.clone());
    routes = protected_route(routes, "/api/users/", &staff::USERS, get(staff::list), sign_in.clone());
    routes = protected_route(routes, "/api/users/{id}/", &staff::USER, get(staff::show), sign_in.clone());
    routes = protected_route(routes, "/api/audit/events/", &trail::EVENTS, get(trail::list), sign_in.clone());
    for (path, endpoint, action) in [
        ("/api/users/{id}/disable/", &staff::DISABLE, post(staff::disable)),
        ("/api/users/{id}/enable/", &staff::ENABLE, post(staff::enable)),
        ("/api/users/{id}/unlock/", &staff::UNLOCK, post(staff::unlock)),
    ] {
        routes = protected_route(routes, path, endpoint, action, sign_in.clone());
    }

    for (path, endpoint, methods) in [
        ("/api/jobs/schedules/", &jobs::SCHEDULES, get(jobs::list_schedules)),
        ("/api/jobs/schedules/{key}/", &jobs::SCHEDULE, get(jobs::show_schedule)),
        ("/api/jobs/schedules/{key}/pause/", &jobs::PAUSE, post(jobs::pause)),
        ("/api/jobs/schedules/{key}/resume/", &jobs::RESUME, post(jobs::resume)),
        ("/api/jobs/schedules/{key}/override/", &jobs::OVERRIDE, post(jobs::override_)),
        ("/api/jobs/schedules/{key}/reset/", &jobs::RESET, post(jobs::reset)),
        ("/api/jobs/schedules/{key}/run/", &jobs::RUN_NOW, post(jobs::run)),
        ("/api/jobs/schedules/{key}/backfill/", &jobs::BACKFILL, post(jobs::backfill)),
        ("/api/jobs/runs/", &jobs::RUNS, get(jobs::list_runs)),
        ("/api/jobs/runs/{id}/", &jobs::RUN, get(jobs::show_run)),
        ("/api/jobs/runs/{id}/replay/", &jobs::REPLAY, post(jobs::replay)),
        ("/api/jobs/runs/{id}/cancel/", &jobs::CANCEL, post(jobs::cancel)),
    ] {
        routes = protected_route(routes, path, endpoint, methods, sign_in.clone());
    }

    page::routes(routes)
}

/// What the document says of each method of each route.
pub(crate) fn operations() -> Vec<Operation> {
    [
        accounts::operations(),
        staff::operations(),
        trail::operations(),
        jobs::operations(),
        sessions::operations(),
        tasks::operations(),
        tokens::operations(),
        realtime::operations(),
        page::operations(),
        event_documents::operations(),
        openapi::operations(),
    ]
    .concat()
}
