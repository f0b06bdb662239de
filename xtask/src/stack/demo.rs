//! Demo accounts: `admin` as user 1 with three tasks, and `bianca`, whose passwords everybody knows.
//!
//! Made here alone, on loopback alone, and once: no service ever does it.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{
    given,
    layout::Layout,
    programs::{self, Program},
    state::{Session, State},
};
use crate::{http, process};

/// User 1, a superuser.
pub(super) const ADMIN: Account = Account { name: "admin", password: "warren-admin-demo" };
/// An ordinary user.
pub(super) const BIANCA: Account = Account { name: "bianca", password: "warren-bianca-demo" };

const TASKS: [(&str, &str); 3] = [
    ("Water the plants", "00:15:00"),
    ("Read the audit trail", "00:30:00"),
    ("Walk through the warren", "01:00:00"),
];

/// The exit code of `users create-superuser` for a name that is taken.
const NAME_TAKEN: i32 = 3;

/// A login for the README's tour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) password: &'static str,
}

impl Account {
    fn email(self) -> String {
        format!("{}@example.com", self.name)
    }
}

/// True where passwords that everybody knows do no harm: API and database are this machine's own.
pub(super) fn are_allowed(session: &Session, api: &str) -> bool {
    given::is_loopback(api) && session.database_url.as_deref().is_some_and(given::is_loopback)
}

/// Makes the accounts and tasks that are missing.
pub(super) fn make(layout: &Layout, state: &State, session: &Session, api: &str) -> anyhow::Result<()> {
    create_superuser(layout, state, session)?;
    let api = Api { url: api.to_owned(), client: http::client(Duration::from_secs(20)) };
    let registration =
        json!({ "username": BIANCA.name, "email": BIANCA.email(), "password": BIANCA.password });
    let (status, answer) = api.post("/api/register/", None, &registration)?;
    // 400 also says that the name is taken.
    ensure!(matches!(status, 201 | 400), "POST /api/register/ answered {status}: {answer}");
    make_tasks(&api)
}

fn create_superuser(layout: &Layout, state: &State, session: &Session) -> anyhow::Result<()> {
    let mut command = programs::command(layout, state, session, Program::ProducerApi);
    command.args(["users", "create-superuser", "--username", ADMIN.name, "--email", &ADMIN.email()]);
    let (status, output) = process::run_to_string(command.env("SUPERUSER_PASSWORD", ADMIN.password))?;
    let fine = status.success() || status.code() == Some(NAME_TAKEN);
    ensure!(fine, "producer-api users create-superuser failed ({status}):\n{output}");
    Ok(())
}

fn make_tasks(api: &Api) -> anyhow::Result<()> {
    let login = json!({ "username": ADMIN.name, "password": ADMIN.password });
    let (status, session) = api.post("/api/login/", None, &login)?;
    ensure!(status == 200, "POST /api/login/ answered {status}: {session}");
    let (Some(access), Some(refresh)) = (session["access"].as_str(), session["refresh"].as_str()) else {
        bail!("POST /api/login/ gave no tokens: {session}");
    };
    if api.tasks(access)?.is_empty() {
        for (title, duration) in TASKS {
            let (status, answer) =
                api.post("/api/tasks/", Some(access), &json!({ "title": title, "duration": duration }))?;
            ensure!(status == 201, "POST /api/tasks/ answered {status}: {answer}");
        }
    }
    // Nobody would expect a session that they didn't open.
    let (status, answer) = api.post("/api/logout/", Some(access), &json!({ "refresh": refresh }))?;
    ensure!(status == 200, "POST /api/logout/ answered {status}: {answer}");
    Ok(())
}

#[derive(Debug)]
struct Api {
    url: String,
    client: ureq::Agent,
}

impl Api {
    fn post(&self, path: &str, access: Option<&str>, body: &Value) -> anyhow::Result<(u16, Value)> {
        let mut request = self.client.post(format!("{}{path}", self.url));
        if let Some(access) = access {
            request = request.header("Authorization", format!("Bearer {access}"));
        }
        let mut response = request.send_json(body).with_context(|| format!("POST {path}"))?;
        // An answer without JSON is shown as its status alone.
        Ok((response.status().as_u16(), response.body_mut().read_json().unwrap_or_default()))
    }

    fn tasks(&self, access: &str) -> anyhow::Result<Vec<Value>> {
        let request = self.client.get(format!("{}/api/tasks/", self.url));
        let mut response =
            request.header("Authorization", format!("Bearer {access}")).call().context("GET /api/tasks/")?;
        ensure!(response.status() == 200, "GET /api/tasks/ answered {}", response.status());
        response.body_mut().read_json().context("GET /api/tasks/")
    }
}
