//! `GET /ws/tasks/`: everything that can be refused before the socket is open.

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tracing::{Instrument, Span};

use super::handshake::{Offered, PROTOCOL, limit};
use super::hub::Stranger;
use super::pass::Pass;
use super::socket::{Greeting, serve};
use crate::middleware::{Endpoint, RequestContext};
use crate::problem::Problem;
use crate::sessions::{Bearer, bearer};
use crate::state::AppState;

/// The largest message of a client that is read at all. What it may hold is less: see `socket`.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// What a socket reads and writes at once; tungstenite's 128 kB would be the price of each idle socket.
const BUFFER_BYTES: usize = 4 * 1024;
/// More than the longest list: a hundred titles of two hundred characters, each of them escaped.
const UNSENT_BYTES_MAX: usize = 512 * 1024;

/// Seconds after which it is worth trying again where all places are taken.
pub(super) const RETRY_AFTER: u64 = 10;

/// What is said to plain HTTP.
pub(super) const WANTS_A_SOCKET: &str =
    "This is a WebSocket: open it as wss:// (ws:// without TLS), version 13, as docs/LIVE.md says.";

/// What OPTIONS tells.
pub const TASKS_LIVE: Endpoint = Endpoint {
    name: "Tasks Live",
    description: "The caller's tasks and every change of them, over a WebSocket.",
    methods: &["GET"],
    fields: &[],
};

/// 101, or a problem. Foreign pages get no further than the middleware `cross_origin`.
pub async fn live(
    State(state): State<AppState>,
    context: RequestContext,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Response> {
    let limit = limit(query.as_deref()).map_err(Problem::into_response)?;
    let Ok(mut upgrade) = upgrade else { return Err(no_websocket()) };
    let offered = Offered::read(&headers).map_err(Problem::into_response)?;
    if offered.ours {
        upgrade.set_selected_protocol(HeaderValue::from_static(PROTOCOL));
    }
    let Some(place) = state.live.place() else {
        tracing::warn!("no place for one more live stream: LIVE_SOCKETS_MAX");
        return Err(Problem::unavailable(RETRY_AFTER).into_response());
    };
    let pass = open_pass(&state, &context, &headers, offered).await.map_err(Problem::into_response)?;
    let stranger = match &pass {
        Some(_) => None,
        None => Some(stranger(&state, &context).map_err(Problem::into_response)?),
    };
    let greeting = Greeting { pass, stranger, limit, context };
    let span = Span::current();
    let upgrade = upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(UNSENT_BYTES_MAX);
    Ok(upgrade.on_upgrade(|socket| serve(socket, state, greeting, place).instrument(span)))
}

/// Judges the token that came with the handshake, if one did: among the subprotocols, or in the header.
async fn open_pass(
    state: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
    offered: Offered,
) -> Result<Option<Pass>, Problem> {
    let token = match (offered.token, bearer(headers, state.tokens.config())) {
        (Some(token), _) | (None, Bearer::Token(token)) => token,
        (None, Bearer::Malformed) => return Err(Problem::bad_authorization_header()),
        (None, Bearer::None) => return Ok(None),
    };
    let pass = Pass::open(state, context, &token, state.live.settings().look_every).await?;
    if state.live.has_room_for(pass.who().user_id) {
        Ok(Some(pass))
    } else {
        Err(Problem::throttled(Some(RETRY_AFTER)))
    }
}

/// Whoever brings no token waits where strangers wait, of whom there may be fewer.
fn stranger(state: &AppState, context: &RequestContext) -> Result<Stranger, Problem> {
    state.live.stranger(context.ip).ok_or_else(|| {
        tracing::warn!(ip = ?context.ip, "too many live streams wait for their token");
        Problem::unavailable(RETRY_AFTER)
    })
}

/// 426 for whoever came with plain HTTP, or an older WebSocket.
fn no_websocket() -> Response {
    let mut response = Problem::upgrade_required(WANTS_A_SOCKET).into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}
