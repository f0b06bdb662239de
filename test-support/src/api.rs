//! The API as its users speak of it: register, log in, make a task, log out. Real HTTP, every answer in full.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::documented;

/// A password that the password rules let pass.
pub const PASSWORD: &str = "correct horse battery";

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: JSON, or its text if it is not, or null if there is none.
    pub body: Value,
}

impl Answer {
    /// Gives the answer back if its status is `status`; else fails the test and shows it.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often nothing but the status matters")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the API answered: {}", self.body);
        self
    }

    /// A header's text, empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A text of the body, empty if it is missing.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }
}

/// What a user has after logging in.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's id.
    pub user_id: i64,
    /// The user's name.
    pub username: String,
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

/// A client of one `producer-api`. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the API at `base`, such as `http://127.0.0.1:8000`.
    pub fn new(base: &str) -> Self {
        Self::with_user_agent(base, "warren-tests/1.0")
    }

    /// A client that calls itself `user_agent`.
    pub fn with_user_agent(base: &str, user_agent: &str) -> Self {
        let http = reqwest::Client::builder().user_agent(user_agent).timeout(Duration::from_secs(30));
        let http = http.build().expect("an HTTP client");
        Self { base: base.trim_end_matches('/').to_owned(), http }
    }

    /// Where the API is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Makes an account with [`PASSWORD`].
    pub async fn register(&self, username: &str) -> Answer {
        let email = format!("{username}@example.com");
        let account = json!({ "username": username, "email": email, "password": PASSWORD });
        self.post("/api/register/", &account).await
    }

    /// Makes an account and logs in.
    pub async fn join(&self, username: &str) -> Login {
        self.register(username).await.expect(201);
        self.log_in(username).await
    }

    /// Logs in with [`PASSWORD`], which must succeed.
    pub async fn log_in(&self, username: &str) -> Login {
        let answer = self.try_log_in(username, PASSWORD).await.expect(200);
        Login {
            user_id: answer.body["id"].as_i64().expect("a login says the user's id"),
            username: username.to_owned(),
            access: answer.text("access").to_owned(),
            refresh: answer.text("refresh").to_owned(),
        }
    }

    /// Tries to log in.
    pub async fn try_log_in(&self, username: &str, password: &str) -> Answer {
        self.post("/api/login/", &json!({ "username": username, "password": password })).await
    }

    /// Obtains a pair of tokens, as SimpleJWT's clients do.
    pub async fn obtain_pair(&self, username: &str, password: &str) -> Answer {
        self.post("/api/token/", &json!({ "username": username, "password": password })).await
    }

    /// Asks for a new access token.
    pub async fn refresh(&self, refresh: &str) -> Answer {
        self.post("/api/token/refresh/", &json!({ "refresh": refresh })).await
    }

    /// Asks whether a token is good.
    pub async fn verify(&self, token: &str) -> Answer {
        self.post("/api/token/verify/", &json!({ "token": token })).await
    }

    /// Puts a refresh token on the blacklist.
    pub async fn blacklist(&self, refresh: &str) -> Answer {
        self.post("/api/token/blacklist/", &json!({ "refresh": refresh })).await
    }

    /// Ends the login's session.
    pub async fn log_out(&self, login: &Login) -> Answer {
        let body = json!({ "refresh": login.refresh });
        send(self.request(Method::POST, "/api/logout/").bearer_auth(&login.access).json(&body)).await
    }

    /// Plans a task of an hour.
    pub async fn create_task(&self, login: &Login, title: &str) -> Answer {
        self.create_task_lasting(login, title, "01:00:00").await
    }

    /// Plans a task that takes `duration`, as in `01:30:00`.
    pub async fn create_task_lasting(&self, login: &Login, title: &str, duration: &str) -> Answer {
        let body = json!({ "title": title, "duration": duration });
        send(self.request(Method::POST, "/api/tasks/").bearer_auth(&login.access).json(&body)).await
    }

    /// The user's last four tasks.
    pub async fn tasks(&self, login: &Login) -> Answer {
        send(self.request(Method::GET, "/api/tasks/").bearer_auth(&login.access)).await
    }

    /// What `/readyz` answers.
    pub async fn readyz(&self) -> Answer {
        self.get("/readyz").await
    }

    /// Asks for any path.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Sends a JSON document to any path.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// Begins any request; send it with [`send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }
}

/// Sends a request; the test fails if no answer comes, or one of which the API's document does not tell.
pub async fn send(request: RequestBuilder) -> Answer {
    try_send(request).await.unwrap_or_else(|error| panic!("no answer came: {error:?}"))
}

/// Sends a request to a program that may be dead.
pub async fn try_send(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    documented::assert_told(&method, &path, status, &headers, text.is_empty());
    let body = match serde_json::from_str(&text) {
        Ok(body) => body,
        Err(_) if text.is_empty() => Value::Null,
        Err(_) => Value::String(text),
    };
    Ok(Answer { status, headers, body })
}
