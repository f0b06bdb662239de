//! SimpleJWT's server and ours with the same settings, key and users, and the comparison of their answers.

use std::fmt::Write as _;

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use test_support::api::PASSWORD;
use test_support::programs::{Program, RunningProgram, SIGNING_KEY};
use test_support::simplejwt::SimpleJwt;
use test_support::{TestBroker, TestDatabase};

use super::answers::{Shown, comparable};
use super::case::Case;
use super::forge::Forge;

/// With these four we are SimpleJWT to the letter.
const TO_THE_LETTER: [(&str, &str); 4] = [
    ("SESSION_POLICY", "unlimited"),
    ("ACCESS_TOKEN_REVOCATION", "none"),
    ("REFRESH_REUSE", "refuse"),
    ("REFRESH_GRACE_SECONDS", "0"),
];

/// The user whom every comparison has.
pub(super) const USERNAME: &str = "froggly";

pub(super) struct TwoServers {
    pub(super) ours: RunningProgram,
    pub(super) peer: SimpleJwt,
    pub(super) forge: Forge,
    pub(super) database: TestDatabase,
    http: reqwest::Client,
    _broker: TestBroker,
}

impl TwoServers {
    /// Starts both; `settings` are SimpleJWT's, `environment` the same for us, to the letter.
    pub(super) async fn start(settings: Value, environment: &[(&str, &str)]) -> Self {
        let environment: Vec<_> = TO_THE_LETTER.iter().chain(environment).copied().collect();
        Self::start_with(settings, &environment).await
    }

    /// Starts both, ours with its own defaults: sessions that end, and tokens that end with them.
    pub(super) async fn start_with_sessions() -> Self {
        Self::start_with(json!({}), &[]).await
    }

    async fn start_with(mut settings: Value, environment: &[(&str, &str)]) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        // SimpleJWT looks at any number of wrong passwords.
        let mut program = Program::producer_api(&database, &broker)
            .env("LOGIN_FAILURES_PER_ACCOUNT", "0")
            .env("LOGIN_FAILURES_PER_ADDRESS", "0");
        for (name, value) in environment {
            program = program.env(name, value);
        }
        let ours = program.start().await;
        settings["SIGNING_KEY"] = SIGNING_KEY.into();
        let peer = SimpleJwt::start(settings);
        let now = shared::clock::Clock::system().now().timestamp();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let forge = Forge::new(now, 0);
        let mut both = Self { ours, peer, forge, database, http, _broker: broker };
        both.forge.user_id = both.user(USERNAME).await;
        both
    }

    /// Makes a user on both servers and gives his id.
    pub(super) async fn user(&mut self, username: &str) -> i64 {
        self.ours.client().register(username).await.expect(201);
        let id: i64 = sqlx::query_scalar("SELECT id FROM users WHERE username = $1")
            .bind(username)
            .fetch_one(self.database.pool())
            .await
            .unwrap();
        self.peer.create_user(id, username, PASSWORD);
        // An account of old: no token is older.
        let joined =
            sqlx::query("UPDATE users SET date_joined = '0001-01-01 00:00:00+00' WHERE id = $1").bind(id);
        joined.execute(self.database.pool()).await.unwrap();
        id
    }

    /// Lets a user in, or keeps him out, on both servers.
    pub(super) async fn set_active(&mut self, id: i64, active: bool) {
        self.peer.update_user(id, json!({ "is_active": active }));
        let update = sqlx::query("UPDATE users SET is_active = $2 WHERE id = $1").bind(id).bind(active);
        update.execute(self.database.pool()).await.unwrap();
    }

    /// Stores a password hash of Django's form as it stands, on both servers.
    pub(super) async fn set_hash(&mut self, id: i64, hash: &str) {
        self.peer.update_user(id, json!({ "password_hash": hash }));
        let update = sqlx::query("UPDATE users SET password = $2 WHERE id = $1").bind(id).bind(hash);
        update.execute(self.database.pool()).await.unwrap();
    }

    /// Deletes a user on both servers.
    pub(super) async fn delete(&mut self, id: i64) {
        self.peer.delete_user(id);
        sqlx::query("DELETE FROM users WHERE id = $1").bind(id).execute(self.database.pool()).await.unwrap();
    }

    /// Sends each request to both servers, in order, and fails with all the differences that nobody wrote down.
    pub(super) async fn compare(&mut self, cases: Vec<Case>) {
        let mut report = String::new();
        let mut faults = 0;
        let count = cases.len();
        for case in cases {
            if let Some(fault) = self.difference(&case).await {
                faults += 1;
                let body: String = String::from_utf8_lossy(&case.body).chars().take(300).collect();
                let _ = writeln!(report, "\n{}: {} {} {body}\n{fault}", case.what, case.method, case.path);
            }
        }
        assert!(faults == 0, "{faults} of {count} answers differ from SimpleJWT's:\n{report}");
    }

    async fn difference(&mut self, case: &Case) -> Option<String> {
        let presented = presented(case);
        let now = self.forge.now;
        let shown = |mut answer: Shown, early: i64| {
            answer.body = comparable(&answer.body, &presented, now, early);
            answer
        };
        // SimpleJWT reads the clock for `iat` after it has counted `exp`: a second may begin between the two.
        let theirs = shown(self.ask_the_peer(case), 1);
        let ours = shown(self.ask_us(case).await, 0);
        let Some(expected) = &case.ours else {
            return (ours != theirs).then(|| format!("  peer {theirs:?}\n  ours {ours:?}"));
        };
        let expected_body = comparable(&expected.body, &presented, now, 0);
        let why = expected.why;
        if (ours.status, &ours.body) != (expected.status, &expected_body) {
            return Some(format!(
                "  by {why} we should answer {} {expected_body}\n  peer {theirs:?}\n  ours {ours:?}",
                expected.status
            ));
        }
        let same = (theirs.status, &theirs.body) == (ours.status, &ours.body);
        (same && expected.differs).then(|| format!("  no longer a difference ({why}): {ours:?}"))
    }

    fn ask_the_peer(&mut self, case: &Case) -> Shown {
        let latin1 = |value: &Vec<u8>| value.iter().copied().map(char::from).collect::<String>();
        let mut headers: Vec<(String, String)> =
            case.headers.iter().map(|(name, value)| (name.clone(), latin1(value))).collect();
        // The HTTP client that asks us sends one by itself.
        if !headers.iter().any(|(name, _)| name == "accept") {
            headers.push(("accept".to_owned(), "*/*".to_owned()));
        }
        let answer = self.peer.request(&case.method, &case.path, &headers, &case.body);
        let header = |wanted: &str| {
            let mut found = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.next().map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Shown {
            status: answer.status,
            challenge: header("www-authenticate"),
            content_type: header("content-type"),
            allow: header("allow"),
            body: answer.body,
        }
    }

    async fn ask_us(&self, case: &Case) -> Shown {
        let method = Method::from_bytes(case.method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{}", self.ours.url(), case.path));
        for (name, value) in &case.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request = request.header(name, HeaderValue::from_bytes(value).unwrap());
        }
        let response = request.body(case.body.clone()).send().await.unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            value.unwrap_or_default()
        };
        Shown {
            status: response.status().as_u16(),
            challenge: header("www-authenticate"),
            content_type: header("content-type"),
            allow: header("allow"),
            body: response.text().await.unwrap(),
        }
    }
}

/// The tokens in a request.
fn presented(case: &Case) -> Vec<String> {
    let values = case.headers.iter().map(|(_, value)| value).chain([&case.body]);
    let texts = values.map(|value| String::from_utf8_lossy(value).into_owned());
    let words = |text: String| {
        let is_token = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        text.split(|letter| !is_token(letter))
            .filter(|word| word.contains('.'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    texts.flat_map(words).collect()
}
