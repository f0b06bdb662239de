//! A client of `/ws/tasks/`, who sees what a user's page would show.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::api::Login;
use crate::documented;
use crate::programs::RunningProgram;

/// How long a message may take that surely comes.
const DEADLINE: Duration = Duration::from_mins(1);

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The close code; none if the connection broke off without one.
    pub code: Option<u16>,
    /// The words beside it.
    pub reason: String,
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A message of the protocol.
    Message(Value),
    /// The end.
    Closed(Closed),
}

/// A request to open a stream.
#[derive(Debug, Clone)]
pub struct Opening(Request<()>);

impl Opening {
    /// At an API such as `http://127.0.0.1:8000`, path and query included.
    pub fn at(base: &str, path: &str) -> Self {
        let url = format!("{}{path}", base.replacen("http", "ws", 1));
        Self(url.into_client_request().expect("a URL of a WebSocket"))
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header's value");
        self.0.headers_mut().append(HeaderName::from_static(name), value);
        self
    }

    /// With a token as browsers send it with a handshake.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("sec-websocket-protocol", &format!("warren.tasks.v1, bearer.{token}"))
    }

    /// Opens it, or gives the answer that came instead: status, headers and body.
    pub async fn open(self) -> Result<Stream, Response<Option<Vec<u8>>>> {
        // Small buffers: hundreds of streams are open at once, and what isn't read should wait at the server.
        let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
        let path = self.0.uri().path().to_owned();
        match connect_async_with_config(self.0, Some(config), true).await {
            Ok((socket, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.and_then(|value| value.to_str().ok()).map(str::to_owned);
                Ok(Stream { socket, protocol, screen: Screen::default() })
            }
            Err(Error::Http(response)) => {
                let is_empty = response.body().as_ref().is_none_or(Vec::is_empty);
                let status = response.status().as_u16();
                documented::assert_told(&Method::GET, &path, status, response.headers(), is_empty);
                Err(*response)
            }
            Err(error) => panic!("no answer came: {error}"),
        }
    }

    /// Opens it, which must be refused: the status and the body.
    pub async fn refused(self) -> (u16, Value) {
        match self.open().await {
            Ok(_) => panic!("the stream was opened"),
            Err(response) => {
                let body = response.body().as_deref().unwrap_or_default();
                let body = serde_json::from_slice(body)
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
                (response.status().as_u16(), body)
            }
        }
    }
}

/// What a page shows: each task's newest known version and title. It fails the test if a task goes back.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// Tasks that are shown.
    pub tasks: BTreeMap<i64, (i64, String)>,
    /// Every version ever shown; a deleted task's is the highest there is.
    seen: BTreeMap<i64, i64>,
    /// Whether the server said that it does not hear of changes.
    pub is_stale: bool,
    /// How many lists came.
    pub lists: usize,
}

impl Screen {
    /// Applies a message.
    pub fn apply(&mut self, message: &Value) {
        match message["type"].as_str() {
            Some("tasks") => {
                self.tasks.clear();
                self.is_stale = false;
                self.lists += 1;
                message["tasks"].as_array().expect("a list").iter().for_each(|task| self.show(task));
            }
            Some("changed") => self.show(&message["task"]),
            Some("deleted") => {
                let id = message["id"].as_i64().expect("an id");
                self.tasks.remove(&id);
                self.seen.insert(id, i64::MAX);
            }
            Some("stale") => self.is_stale = true,
            Some("authenticated") => {}
            _ => panic!("no message of the protocol: {message}"),
        }
    }

    /// The tasks in their order of creation: id, version, title.
    pub fn shown(&self) -> Vec<(i64, i64, String)> {
        self.tasks.iter().map(|(id, (version, title))| (*id, *version, title.clone())).collect()
    }

    fn show(&mut self, task: &Value) {
        let (id, version) =
            (task["id"].as_i64().expect("an id"), task["version"].as_i64().expect("a version"));
        let before = self.seen.insert(id, version).unwrap_or(0);
        assert!(before <= version, "task {id} went back from version {before} to {version}");
        self.tasks.insert(id, (version, task["title"].as_str().expect("a title").to_owned()));
    }
}

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The subprotocol that was selected.
    pub protocol: Option<String>,
    /// What its page shows.
    pub screen: Screen,
}

impl Stream {
    /// Opens a stream of a login as a page does: the token in the first message. The list has come when this returns.
    pub async fn of(program: &RunningProgram, login: &Login) -> Self {
        Self::at(&program.url(), &login.access, 4).await
    }

    /// The same at any address, with another limit.
    pub async fn at(base: &str, token: &str, limit: usize) -> Self {
        let opening = Opening::at(base, &format!("/ws/tasks/?limit={limit}"));
        let mut stream = opening.open().await.expect("the stream opens");
        stream.authenticate(token).await;
        assert_eq!(stream.message().await["type"], "authenticated");
        assert_eq!(stream.message().await["type"], "tasks");
        stream
    }

    /// Sends a token.
    pub async fn authenticate(&mut self, token: &str) {
        self.send(json!({ "type": "authenticate", "token": token }).to_string()).await;
    }

    /// Sends a text.
    pub async fn send(&mut self, text: String) {
        self.send_raw(Message::text(text)).await;
    }

    /// Sends bytes.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) {
        self.send_raw(Message::binary(Bytes::from(bytes))).await;
    }

    async fn send_raw(&mut self, message: Message) {
        // The server may have gone; what it said last is still to be heard.
        let _ = self.socket.send(message).await;
    }

    /// The next thing that is heard, pings aside; it must come within a minute.
    pub async fn heard(&mut self) -> Heard {
        timeout(DEADLINE, self.next()).await.expect("waited in vain for a message")
    }

    /// The next message, which must come, and is shown.
    pub async fn message(&mut self) -> Value {
        match self.heard().await {
            Heard::Message(message) => message,
            Heard::Closed(closed) => panic!("the stream was closed: {closed:?}"),
        }
    }

    /// The end of the stream, whatever is told before it.
    pub async fn closed(&mut self) -> Closed {
        loop {
            if let Heard::Closed(closed) = self.heard().await {
                return closed;
            }
        }
    }

    /// Reads until the screen is as expected.
    pub async fn shows(&mut self, what: &str, expected: impl Fn(&Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !expected(&self.screen) {
            let Ok(heard) = timeout_at(deadline, self.next()).await else {
                panic!("waited in vain for {what}; the screen shows {:?}", self.screen.tasks);
            };
            if let Heard::Closed(closed) = heard {
                panic!("waiting for {what}, the stream was closed: {closed:?}");
            }
        }
    }

    /// Reads until nothing came for so long.
    pub async fn quiet_for(&mut self, duration: Duration) {
        while let Ok(heard) = timeout(duration, self.next()).await {
            if let Heard::Closed(closed) = heard {
                panic!("the stream was closed: {closed:?}");
            }
        }
    }

    async fn next(&mut self) -> Heard {
        loop {
            let frame = match self.socket.next().await {
                Some(Ok(Message::Close(frame))) => frame,
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("a message is JSON");
                    self.screen.apply(&message);
                    return Heard::Message(message);
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => None,
            };
            let (code, reason) = frame.map(|frame| (u16::from(frame.code), frame.reason.to_string())).unzip();
            return Heard::Closed(Closed { code, reason: reason.unwrap_or_default() });
        }
    }
}
