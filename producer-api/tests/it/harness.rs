//! An API of one test, with its own database and a clock the test moves.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use producer_api::config::{AccessTokenRevocation, ServeConfig};
use producer_api::credentials::PasswordHasher;
use producer_api::limits::Limits;
use producer_api::metrics::{ApiMetrics, watch};
use producer_api::middleware::{RequestContext, RequestContextSources, StackSettings};
use producer_api::realtime::page::RefreshCookie;
use producer_api::realtime::{Live, LiveSettings};
use producer_api::router::router;
use producer_api::sessions::standing::FRESH_FOR;
use producer_api::sessions::{DeniedObjects, ForgedTokens, Standings};
use producer_api::state::AppState;
use producer_api::tokens::TokenIssuer;
use producer_api::tokens::keys::Keys;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::Reader;
use shared::entropy::Entropy;
use shared::lifecycle::{Health, HttpLimits, Probes, Standing, serve_http_on};
use shared::metrics::{Exposition, Metrics};
use shared::outbox::{Outbox, OutboxFigures};
use shared::role::Role;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use test_support::TestDatabase;
use test_support::api::{Answer, Client, send};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const SIGNING_KEY: &str = "a secret for tests of at least 32 bytes";

/// The API, gone with its test.
pub(crate) struct Api {
    pub(crate) database: TestDatabase,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) state: AppState,
    _stop: DropGuard,
}

/// Another replica of an API, over the same database and with the same clock.
pub(crate) struct Replica {
    pub(crate) client: Client,
    pub(crate) state: AppState,
    _stop: DropGuard,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these settings beside the key.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create().await;
        let pool = database.pool_as(Role::ProducerApi);
        Self::start_over_with(database, pool, (FRESH_FOR, settings)).await
    }

    /// One that, once it has read what changed, believes for so long what it remembers: long enough, and a busy machine
    /// doesn't make it ask the database after all.
    pub(crate) async fn start_believing_for(fresh_for: Duration, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create().await;
        let pool = database.pool_as(Role::ProducerApi);
        Self::start_over_with(database, pool, (fresh_for, settings)).await
    }

    /// Over another pool than the test's own.
    pub(crate) async fn start_over(database: TestDatabase, pool: PgPool) -> Self {
        Self::start_over_with(database, pool, (FRESH_FOR, &[])).await
    }

    /// One whose live streams have other bounds than usual. It believes what it remembers: a busy machine ends no stream.
    pub(crate) async fn start_live(live: LiveSettings, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::manual(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let pool = database.pool_as(Role::ProducerApi);
        let Replica { client, state, _stop: stop } =
            serve(pool, clock.clone(), (Duration::from_hours(1), settings), Some(live)).await;
        state.standings.follower().read_changes_once().await.unwrap();
        Self { database, clock, client, state, _stop: stop }
    }

    pub(crate) async fn start_over_with(
        database: TestDatabase,
        pool: PgPool,
        how: (Duration, &[(&str, &str)]),
    ) -> Self {
        // Whole seconds, so that lifetimes are easy to reason about.
        let clock = Clock::manual(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let Replica { client, state, _stop: stop } = serve(pool, clock.clone(), how, None).await;
        Self { database, clock, client, state, _stop: stop }
    }

    /// A second replica with these settings and connections of its own: its requests meet ours in the database alone.
    pub(crate) async fn replica(&self, settings: &[(&str, &str)]) -> Replica {
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .connect(&self.database.url_as(Role::ProducerApi))
            .await
            .unwrap();
        serve(pool, self.clock.clone(), (FRESH_FOR, settings), None).await
    }

    /// What an operator's command is told as.
    pub(crate) fn context(&self) -> RequestContext {
        let sources = RequestContextSources { clock: self.clock.clone(), entropy: Entropy::system() };
        RequestContext::of_command("a test", &sources)
    }

    /// Runs a statement, as somebody with SQL would.
    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.database.pool()).await.unwrap();
    }

    /// The reasons of the events of one type, oldest first.
    pub(crate) async fn reasons(&self, name: &str) -> Vec<String> {
        let events = self.events().await.into_iter().filter(|(event, _)| event == name);
        events.map(|(_, data)| data["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The mails that were asked for, oldest first: the user's id (0: nobody) and the purpose.
    pub(crate) async fn mails(&self) -> Vec<(i64, String)> {
        let args: Vec<Value> =
            sqlx::query_scalar("SELECT args FROM job_runs WHERE job_key = 'send-mail' ORDER BY scheduled_at")
                .fetch_all(self.database.pool())
                .await
                .unwrap();
        let mail = |args: Value| {
            (args["user_id"].as_i64().unwrap_or(0), args["purpose"].as_str().unwrap().to_owned())
        };
        args.into_iter().map(mail).collect()
    }

    /// Records a link as the worker does when it sends one, and gives the text that stands in it.
    pub(crate) async fn link(&self, user: i64, purpose: &str, email: &str, seconds: i64) -> String {
        let secret = Entropy::system().bytes::<32>();
        let now = self.now();
        sqlx::query(
            "INSERT INTO mail_tokens (user_id, purpose, secret, email, run_id, attempt, created_at, expires_at)
             VALUES ($1, $2, sha256($3), $4, gen_random_uuid(), 1, $5, $6)",
        )
        .bind(user)
        .bind(purpose)
        .bind(&secret[..])
        .bind(email)
        .bind(now)
        .bind(now + TimeDelta::seconds(seconds))
        .execute(self.database.pool())
        .await
        .unwrap();
        URL_SAFE_NO_PAD.encode(secret)
    }

    /// The facts that lie in the outbox, oldest first: type and payload. Ticks are none.
    pub(crate) async fn events(&self) -> Vec<(String, Value)> {
        let bodies: Vec<String> =
            sqlx::query_scalar("SELECT body FROM outbox WHERE exchange <> 'job.ticks' ORDER BY seq")
                .fetch_all(self.database.pool())
                .await
                .unwrap();
        let events = bodies.iter().map(|body| serde_json::from_str::<Value>(body).unwrap());
        events.map(|event| (event["type"].as_str().unwrap().to_owned(), event["data"].clone())).collect()
    }

    /// The types of those events.
    pub(crate) async fn event_types(&self) -> Vec<String> {
        self.events().await.into_iter().map(|(name, _)| name).collect()
    }

    pub(crate) async fn forget_events(&self) {
        sqlx::query("DELETE FROM outbox").execute(self.database.pool()).await.unwrap();
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.database.pool()).await.unwrap()
    }
}

/// The settings of a test, read as the program reads its environment.
pub(crate) fn config(settings: &[(&str, &str)]) -> ServeConfig {
    let given = [
        ("SIGNING_KEY", SIGNING_KEY),
        ("DATABASE_URL", "postgres://localhost/unused"),
        ("HASHING_PERMITS", "2"),
    ];
    let values = given.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // The later of two values of one name counts.
    ServeConfig::read(Reader::from_values(values)).unwrap().0
}

async fn serve(
    pool: PgPool,
    clock: Clock,
    (fresh_for, settings): (Duration, &[(&str, &str)]),
    live: Option<LiveSettings>,
) -> Replica {
    let config = config(settings);
    let (entropy, stop, metrics) = (Entropy::system(), CancellationToken::new(), Metrics::default());
    let settings = StackSettings::of(&config, clock.clone(), entropy.clone());
    let keys = Keys::open(&config.tokens.keys, clock.clone()).unwrap();
    let state = AppState {
        database: pool.clone(),
        outbox: Outbox::new("producer-api", clock.clone(), entropy.clone()),
        hasher: PasswordHasher::new(&config.hashing, entropy.clone()).unwrap(),
        tokens: Arc::new(TokenIssuer::new(config.tokens, keys, entropy.clone())),
        standings: match config.sessions.revocation {
            AccessTokenRevocation::Session => Standings::remembering(pool.clone(), fresh_for),
            AccessTokenRevocation::None => Standings::reading_each_time(pool.clone()),
        },
        sessions: Arc::new(config.sessions),
        forged_tokens: ForgedTokens::default(),
        denied_objects: DeniedObjects::default(),
        limits: Limits::new(&config.limits),
        live: Live::new(
            live.unwrap_or_else(|| LiveSettings::of(&config.realtime, config.database.pool_max)),
            stop.clone(),
        ),
        refresh_cookie: RefreshCookie::for_page_at(&config.http.public_url),
        metrics: ApiMetrics::new(&metrics),
        clock,
        entropy,
    };
    watch(&metrics, &state);
    let health = Health::default();
    let figures = OutboxFigures::new(&metrics, health.component("outbox", Standing::Supporting));
    let exposition = Exposition::new("producer-api", metrics, &pool, &state.clock, vec![Box::new(figures)]);
    let probes = Probes::new(health, exposition, pool, stop.clone());
    let routes = router(state.clone(), probes, settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve_http_on(listener, routes, HttpLimits::default(), stop.clone()));
    Replica { client: Client::new(&url), state, _stop: stop.drop_guard() }
}

/// A protected route with any token.
pub(crate) async fn tasks_with(client: &Client, token: &str) -> Answer {
    send(client.request(Method::GET, "/api/tasks/").bearer_auth(token)).await
}

/// The body of a token's refusal on an open route.
pub(crate) fn refused(text: &str) -> Value {
    json!({ "detail": text, "code": "token_not_valid" })
}

/// The body of an access token's refusal on a protected route.
pub(crate) fn refused_access(text: &str) -> Value {
    json!({
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
        "messages": [{ "token_class": "AccessToken", "token_type": "access", "message": text }],
    })
}

/// The claims of a token, as they are written.
pub(crate) fn claims_text(token: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The claims of a token.
pub(crate) fn claims_of(token: &str) -> Value {
    serde_json::from_str(&claims_text(token)).unwrap()
}

/// A token with these very claims, signed with the API's key: what a Django service with the same key would mint.
pub(crate) fn signed(claims: &str) -> String {
    signed_with(r#"{"alg":"HS256","typ":"JWT"}"#, claims, SIGNING_KEY)
}

/// A token with this header and these claims, signed with this key by HS256.
pub(crate) fn signed_with(header: &str, claims: &str, key: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(key.as_bytes());
    format!("{message}.{}", crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap())
}
