//! One open socket, from its first message to its farewell.

use std::sync::Arc;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::FutureExt;
use shared::telemetry::error_chain;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::change::Change;
use super::ending::End;
use super::hub::{Live, Place, Seat, Stranger};
use super::mailbox::Due;
use super::message::{ClientMessage, ServerMessage};
use super::pass::Pass;
use super::store;
use super::view::{Verdict, View};
use crate::middleware::RequestContext;
use crate::state::AppState;
use crate::tasks::Task;
use crate::tasks::http::TaskBody;

/// The longest message of a client: an access token and a little more.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// How often a client may say something: each time a signature is verified.
const MESSAGES_PER_MINUTE: u32 = 30;
/// How long the farewell may take: to be sent, and to be answered.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// How the client came in.
pub(super) struct Greeting {
    /// The token of the handshake; else it comes in the first message.
    pub(super) pass: Option<Pass>,
    /// Its place among those whose token is still to come.
    pub(super) stranger: Option<Stranger>,
    /// How many tasks the list has.
    pub(super) limit: i64,
    /// The request that opened the socket.
    pub(super) context: RequestContext,
}

/// Serves a socket until its end.
pub(super) async fn serve(mut socket: WebSocket, state: AppState, greeting: Greeting, place: Place) {
    let began = Instant::now();
    let stop = state.live.stop().clone();
    let mut told = Told::default();
    let end = tokio::select! {
        biased;
        () = stop.cancelled() => End::Stopping,
        end = stream(&mut socket, &state, greeting, &mut told) => end,
    };
    // A frame of which a part is sent can't be followed by another.
    if let Some(farewell) = end.farewell().filter(|_| !told.amid_a_frame) {
        let farewell = socket.send(Message::Close(Some(farewell)));
        // Whoever doesn't take it is gone.
        if let Ok(Ok(())) = timeout(FAREWELL_MAX, farewell).await {
            // A connection that is closed with something unread takes the farewell with it.
            let _ = timeout(FAREWELL_MAX, until_answered(&mut socket, end)).await;
        }
    }
    drop(socket);
    drop(place);
    let Told { user_id, lists, changes, .. } = told;
    let duration_s = began.elapsed().as_secs();
    tracing::info!(?end, user_id, lists, changes, duration_s, "a live stream ended");
}

/// Reads what the client sent before it heard the farewell. Behind what is no frame nothing can be read: it gets the whole
/// time to hear why.
async fn until_answered(socket: &mut WebSocket, end: End) {
    while let Some(Ok(_)) = socket.recv().await {}
    if end == End::Broken {
        std::future::pending::<()>().await;
    }
}

/// What was told so far, for the log.
#[derive(Default)]
struct Told {
    user_id: Option<i64>,
    lists: u64,
    changes: u64,
    amid_a_frame: bool,
}

async fn stream(socket: &mut WebSocket, state: &AppState, greeting: Greeting, told: &mut Told) -> End {
    let Greeting { pass, stranger, limit, context } = greeting;
    let pass = match pass {
        Some(pass) => pass,
        None => match first_message(socket, state, &context).await {
            Ok(pass) => pass,
            Err(end) => return end,
        },
    };
    drop(stranger);
    let user = pass.who().user_id;
    told.user_id = Some(user.0);
    let Some(seat) = state.live.sit_down(user) else { return End::TooMany };
    let live = &state.live;
    let view = View::new(live.settings().known_max);
    let now = Instant::now();
    let conversation = Conversation {
        socket,
        state,
        live,
        context,
        pass,
        seat,
        view,
        limit,
        told,
        heard_at: now,
        ping_at: now + live.settings().ping_every,
        minute: (now, 0),
    };
    conversation.hold().await
}

/// Waits for the message with the token.
async fn first_message(
    socket: &mut WebSocket,
    state: &AppState,
    context: &RequestContext,
) -> Result<Pass, End> {
    let within = state.live.settings().authenticate_within;
    let late = End::Refused("no token came in time; send {\"type\":\"authenticate\",\"token\":…} first");
    let text = timeout(within, async {
        loop {
            match read(socket.recv().await)? {
                Heard::Text(text) => return Ok(text),
                Heard::Life => {}
            }
        }
    });
    let text = text.await.map_err(|_| late)??;
    open(state, context, &text).await
}

/// Judges the token of a message.
async fn open(state: &AppState, context: &RequestContext, text: &str) -> Result<Pass, End> {
    let Ok(ClientMessage::Authenticate { token }) = serde_json::from_str(text) else {
        return Err(End::Refused(
            "not understood; the one message is {\"type\":\"authenticate\",\"token\":…}",
        ));
    };
    let pass = Pass::open(state, context, &token, state.live.settings().look_every).await;
    pass.map_err(|problem| End::of_refused_token(&problem))
}

/// What came from a client.
enum Heard {
    Text(Utf8Bytes),
    /// A ping or a pong.
    Life,
}

fn read(received: Option<Result<Message, axum::Error>>) -> Result<Heard, End> {
    match received {
        None | Some(Ok(Message::Close(_))) => Err(End::ClientLeft),
        Some(Ok(Message::Text(text))) if text.len() <= MESSAGE_BYTES_MAX => Ok(Heard::Text(text)),
        Some(Ok(Message::Text(_))) => Err(End::Refused("the message is too long")),
        Some(Ok(Message::Binary(_))) => Err(End::Refused("binary frames are not understood")),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Heard::Life),
        Some(Err(error)) => {
            tracing::debug!(error = error_chain(&error), "a live stream broke off");
            Err(End::Broken)
        }
    }
}

/// A socket whose user is known.
struct Conversation<'a> {
    socket: &'a mut WebSocket,
    state: &'a AppState,
    live: &'a Live,
    context: RequestContext,
    pass: Pass,
    seat: Seat,
    view: View,
    limit: i64,
    told: &'a mut Told,
    heard_at: Instant,
    ping_at: Instant,
    /// When the present minute began, and how many messages came in it.
    minute: (Instant, u32),
}

/// What may happen while nothing is due.
enum Event {
    Filled,
    Ping,
    Received(Option<Result<Message, axum::Error>>),
}

impl Conversation<'_> {
    async fn hold(mut self) -> End {
        if let Err(end) = self.welcome().await {
            return end;
        }
        loop {
            if let Err(end) = self.turn().await {
                return end;
            }
        }
    }

    async fn welcome(&mut self) -> Result<(), End> {
        let expires_at = self.pass.expires_at();
        self.say(&ServerMessage::Authenticated { expires_at }).await
    }

    /// Tells what is due, or waits for something to happen.
    async fn turn(&mut self) -> Result<(), End> {
        self.pass.check().await?;
        self.attend().await?;
        match self.seat.mailbox().take() {
            Some(Due::List) => return self.list().await,
            Some(Due::Stale) => return self.say(&ServerMessage::Stale).await,
            Some(Due::Changes(changes)) => return self.changes(changes).await,
            None => {}
        }
        match self.wait().await? {
            Event::Filled => Ok(()),
            Event::Ping => self.ping().await,
            Event::Received(received) => self.receive(received).await,
        }
    }

    /// Hears the client, and pings it, however much there is to tell: a newer token must not wait behind that.
    async fn attend(&mut self) -> Result<(), End> {
        if let Some(received) = self.socket.recv().now_or_never() {
            self.receive(received).await?;
        } else if self.ping_at <= Instant::now() {
            self.ping().await?;
        }
        Ok(())
    }

    async fn receive(&mut self, received: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        match read(received)? {
            Heard::Life => {
                self.heard_at = Instant::now();
                Ok(())
            }
            Heard::Text(text) => self.hear(&text).await,
        }
    }

    async fn wait(&mut self) -> Result<Event, End> {
        let (mailbox, socket, ping_at) = (self.seat.mailbox(), &mut self.socket, self.ping_at);
        let event = async {
            tokio::select! {
                () = mailbox.filled() => Ok(Event::Filled),
                () = sleep_until(ping_at) => Ok(Event::Ping),
                received = socket.recv() => Ok(Event::Received(received)),
            }
        };
        self.pass.unless_over(event).await
    }

    async fn ping(&mut self) -> Result<(), End> {
        let settings = self.live.settings();
        if self.heard_at.elapsed() >= settings.silence_max {
            return Err(End::ClientSilent);
        }
        self.ping_at = Instant::now() + settings.ping_every;
        self.send(Message::Ping(axum::body::Bytes::new())).await
    }

    /// A newer token.
    async fn hear(&mut self, text: &str) -> Result<(), End> {
        self.heard_at = Instant::now();
        let (began, count) = &mut self.minute;
        if began.elapsed() >= Duration::from_mins(1) {
            (*began, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > MESSAGES_PER_MINUTE {
            return Err(End::Refused("too many messages"));
        }
        let newer = self.pass.unless_over(open(self.state, &self.context, text)).await?;
        self.pass.prolong(newer)?;
        self.welcome().await
    }

    /// Reads the list and tells it.
    async fn list(&mut self) -> Result<(), End> {
        let wanted = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let user = self.pass.who().user_id;
        let (live, state, limit) = (self.live, self.state, self.limit);
        let read = async {
            let _turn = live.reader().await;
            let mut connection = state.database.acquire().await?;
            store::list(&mut connection, user, limit + 1).await
        };
        let store::List { mut tasks, last_sequence } = self.pass.unless_over(asked(Box::pin(read))).await?;
        let more = tasks.len() > wanted;
        tasks.truncate(wanted);
        self.view.begin(tasks.iter().map(|task| (task.id, task.version)), last_sequence);
        self.told.lists += 1;
        let tasks = tasks.into_iter().map(TaskBody::from).collect();
        self.say(&ServerMessage::Tasks { tasks, more }).await
    }

    async fn changes(&mut self, changes: Vec<Arc<Change>>) -> Result<(), End> {
        let mut doubtful = Vec::new();
        for change in changes {
            self.attend().await?;
            let Change { task, version, deleted, sequence, .. } = *change;
            match self.view.judge(task, version, deleted, sequence) {
                Verdict::Drop => {}
                Verdict::Ask => doubtful.push(task.0),
                Verdict::Show => self.show(change.text.clone()).await?,
                Verdict::BeginAnew => return self.list().await,
            }
        }
        if doubtful.is_empty() { Ok(()) } else { self.ask(&doubtful).await }
    }

    /// Asks for tasks as they are now, and tells them.
    async fn ask(&mut self, doubtful: &[i64]) -> Result<(), End> {
        let user = self.pass.who().user_id;
        let (live, state) = (self.live, self.state);
        let read = async {
            let _turn = live.reader().await;
            let mut connection = state.database.acquire().await?;
            store::find(&mut connection, user, doubtful).await
        };
        let found: Vec<Task> = self.pass.unless_over(asked(Box::pin(read))).await?;
        let is_there = |task: &i64| found.iter().any(|one| one.id.0 == *task);
        for gone in doubtful.iter().filter(|task| !is_there(task)) {
            if self.view.not_found(shared::ids::TaskId(*gone)) == Verdict::BeginAnew {
                return self.list().await;
            }
        }
        for task in found {
            match self.view.found(task.id, task.version) {
                Verdict::BeginAnew => return self.list().await,
                Verdict::Show => {
                    let text = written(&ServerMessage::Changed { task: task.into() })?;
                    self.show(text).await?;
                }
                Verdict::Drop | Verdict::Ask => {}
            }
        }
        Ok(())
    }

    async fn show(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.told.changes += 1;
        self.send(Message::Text(text)).await
    }

    async fn say(&mut self, message: &ServerMessage) -> Result<(), End> {
        self.send(Message::Text(written(message)?)).await
    }

    /// Sends, if the stream may go on at this moment; gives up with a client that takes nothing.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        self.pass.check().await?;
        self.told.amid_a_frame = true;
        let sending = timeout(self.live.settings().take_within, self.socket.send(message));
        let sent = self.pass.unless_over(async { sending.await.map_err(|_| End::ClientStuck) }).await?;
        self.told.amid_a_frame = false;
        sent.map_err(|_| End::ClientLeft)
    }
}

/// A database that can't be asked ends the stream: the client comes again. Reads are boxed: they are rare and large, and
/// what a stream does not do at the moment should not cost it memory.
async fn asked<T>(read: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, End> {
    read.await.map_err(|error| {
        tracing::warn!(error = error_chain(&error), "a live stream can't read its tasks");
        End::Unavailable
    })
}

fn written(message: &ServerMessage) -> Result<Utf8Bytes, End> {
    message.text().map_err(|error| {
        tracing::error!(error = error_chain(&error), "a message can't be written");
        End::Unavailable
    })
}
