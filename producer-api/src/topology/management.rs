//! RabbitMQ's management API, as far as the topology's commands need it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::broker::rights::Rights;
use shared::config::Secret;
use url::Url;

use super::found::{Found, FoundUser, FoundUsers};

/// How long the broker may take for one answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why the management API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// Its URL can't be read.
    #[error("MANAGEMENT_URL can't be read")]
    Url(#[source] url::ParseError),
    /// There is no HTTP to be had.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
    /// It can't be reached.
    #[error(
        "RabbitMQ's management API does not answer at {at}; check MANAGEMENT_URL and whether the plugin is enabled"
    )]
    NoAnswer {
        /// Where it was looked for, without the login.
        at: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// It refuses.
    #[error("RabbitMQ's management API refuses to {what} ({status}): {words}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The status it answered.
        status: u16,
        /// What it says.
        words: String,
    },
    /// It answers something else than it should.
    #[error("RabbitMQ's management API answers to `{what}` with what can't be read")]
    Unreadable {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
}

/// The management API of one broker, about one virtual host.
///
/// Not to be printed: the login stands in its URL.
#[derive(Clone)]
pub struct Management {
    client: reqwest::Client,
    url: Url,
    virtual_host: String,
}

/// What it says when it refuses.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    reason: Option<Value>,
    error: Option<Value>,
}

impl Management {
    /// The API at `url`, with the login that stands in it.
    pub fn new(url: &Secret, virtual_host: String) -> Result<Self, ManagementError> {
        let url = Url::parse(url.expose()).map_err(ManagementError::Url)?;
        let client = reqwest::Client::builder().timeout(DEADLINE).build().map_err(ManagementError::Client)?;
        Ok(Self { client, url, virtual_host })
    }

    /// The virtual host.
    pub fn virtual_host(&self) -> &str {
        &self.virtual_host
    }

    /// Everything in the virtual host that the topology is compared with; none if there is no such virtual host.
    pub async fn look(&self) -> Result<Option<Found>, ManagementError> {
        let exchanges = self.ask(Method::GET, &["exchanges", &self.virtual_host], None).await?;
        if exchanges.status() == StatusCode::NOT_FOUND {
            // Unless it is no management API at all that has no such page.
            let overview = self.ask(Method::GET, &["overview"], None).await?;
            self.accepted(overview, || "show its overview".to_owned()).await?;
            return Ok(None);
        }
        Ok(Some(Found {
            exchanges: self.read_list("exchanges", exchanges).await?,
            queues: self.list("queues").await?,
            bindings: self.list("bindings").await?,
            policies: self.list("policies").await?,
            operator_policies: self.list("operator-policies").await?,
            users: self.look_at_users().await?,
        }))
    }

    /// The users with their rights, if this login is an administrator's.
    async fn look_at_users(&self) -> Result<Option<FoundUsers>, ManagementError> {
        let users = self.ask(Method::GET, &["users"], None).await?;
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&users.status()) {
            return Ok(None);
        }
        let of_host = |what| ["vhosts", self.virtual_host.as_str(), what];
        let permissions = self.ask(Method::GET, &of_host("permissions"), None).await?;
        let topic_permissions = self.ask(Method::GET, &of_host("topic-permissions"), None).await?;
        Ok(Some(FoundUsers {
            users: self.read_list("users", users).await?,
            permissions: self.read_list("permissions", permissions).await?,
            topic_permissions: self.read_list("topic permissions", topic_permissions).await?,
        }))
    }

    /// Makes the virtual host if it isn't there; whether it had to.
    pub(super) async fn make_virtual_host(&self) -> Result<bool, ManagementError> {
        let what = || format!("make the virtual host {}", self.virtual_host);
        let path = ["vhosts", &self.virtual_host];
        let answer = self.ask(Method::GET, &path, None).await?;
        if answer.status() != StatusCode::NOT_FOUND {
            self.accepted(answer, || format!("show the virtual host {}", self.virtual_host)).await?;
            return Ok(false);
        }
        self.accepted(self.ask(Method::PUT, &path, Some(&json!({}))).await?, what).await?;
        Ok(true)
    }

    /// Puts definitions into the virtual host. What is there already stays as it is.
    pub(super) async fn import(&self, definitions: &Value) -> Result<(), ManagementError> {
        let answer = self.ask(Method::POST, &["definitions", &self.virtual_host], Some(definitions)).await?;
        self.accepted(answer, || format!("import into the virtual host {}", self.virtual_host)).await?;
        Ok(())
    }

    /// The user of this name, if there is one.
    pub(super) async fn user(&self, name: &str) -> Result<Option<FoundUser>, ManagementError> {
        let answer = self.ask(Method::GET, &["users", name], None).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let shown = || format!("show the user {name}");
        let answer = self.accepted(answer, shown).await?;
        answer.json().await.map(Some).map_err(|source| ManagementError::Unreadable { what: shown(), source })
    }

    /// Makes a user, or gives him this password and these tags.
    pub(super) async fn put_user(
        &self,
        name: &str,
        password: &Secret,
        tags: &str,
    ) -> Result<(), ManagementError> {
        self.put_user_as(name, &json!({ "password": password.expose(), "tags": tags })).await
    }

    /// Gives a user who is there these tags; he keeps his password.
    pub(super) async fn put_tags(&self, user: &FoundUser, tags: &str) -> Result<(), ManagementError> {
        // Without a hash RabbitMQ takes the password away.
        let FoundUser { name, password_hash, hashing_algorithm, .. } = user;
        let same = json!({
            "password_hash": password_hash, "hashing_algorithm": hashing_algorithm, "tags": tags,
        });
        self.put_user_as(name, &same).await
    }

    async fn put_user_as(&self, name: &str, user: &Value) -> Result<(), ManagementError> {
        let answer = self.ask(Method::PUT, &["users", name], Some(user)).await?;
        self.accepted(answer, || format!("make the user {name}")).await?;
        Ok(())
    }

    /// Gives a user these rights in the virtual host, and no others there.
    pub(super) async fn put_rights(&self, name: &str, rights: &Rights) -> Result<(), ManagementError> {
        let Rights { configure, write, read, .. } = rights;
        let permissions = json!({ "configure": configure, "write": write, "read": read });
        let path = ["permissions", &self.virtual_host, name];
        let answer = self.ask(Method::PUT, &path, Some(&permissions)).await?;
        self.accepted(answer, || format!("give rights to the user {name}")).await?;
        Ok(())
    }

    async fn list<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, ManagementError> {
        self.read_list(what, self.ask(Method::GET, &[what, &self.virtual_host], None).await?).await
    }

    async fn read_list<T: DeserializeOwned>(
        &self,
        what: &str,
        answer: reqwest::Response,
    ) -> Result<Vec<T>, ManagementError> {
        let shown = || format!("list the {what} of the virtual host {}", self.virtual_host);
        let answer = self.accepted(answer, shown).await?;
        answer.json().await.map_err(|source| ManagementError::Unreadable { what: shown(), source })
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<reqwest::Response, ManagementError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        // reqwest takes the login out of the URL and sends it as a header.
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await.map_err(|source| ManagementError::NoAnswer { at: self.shown(), source })
    }

    /// Where it is, without the login.
    fn shown(&self) -> String {
        let mut url = self.url.clone();
        // They fail for URLs without a host alone, which have no login either.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }

    async fn accepted(
        &self,
        answer: reqwest::Response,
        what: impl FnOnce() -> String,
    ) -> Result<reqwest::Response, ManagementError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        // Without words of its own the status must do.
        let refusal: Refusal = answer.json().await.unwrap_or_default();
        let words = refusal.reason.or(refusal.error).unwrap_or_default();
        let words = words.as_str().map_or_else(|| words.to_string(), str::to_owned);
        Err(ManagementError::Refused { what: what(), status: status.as_u16(), words })
    }
}
