//! The life of an account over real HTTP and real SMTP, from registration to deletion: every mail's text, and the trail.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Client, PASSWORD, send};
use test_support::mail_server::{MailServer, ReceivedMail};
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, settled};

const DEADLINE: Duration = Duration::from_mins(1);
const OLD: &str = "ada@example.com";
const NEW: &str = "ada@new.example";
const SECOND: &str = "a warren of many burrows";
const THIRD: &str = "seventeen brown rabbits";
const GUESS: &str = "what a thief guesses";

struct Life {
    client: Client,
    mail: MailServer,
    site: String,
    database: TestDatabase,
    _programs: [RunningProgram; 3],
    _broker: TestBroker,
}

impl Life {
    async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let mail = MailServer::start().await;
        let api = Program::producer_api(&database, &broker).env("REQUIRE_VERIFIED_EMAIL", "true");
        let mut api = api.spawn();
        api.wait_until_ready().await;
        let site = api.url();
        let mut scheduler = Program::scheduler(&database, &broker).env("PUBLIC_URL", &site);
        for (name, value) in mail.settings() {
            scheduler = scheduler.env(name, &value);
        }
        let mut scheduler = scheduler.spawn();
        let mut consumer = Program::audit_consumer(&database, &broker).spawn();
        scheduler.wait_until_ready().await;
        consumer.wait_until_ready().await;
        let client = api.client();
        Self { client, mail, site, database, _programs: [api, scheduler, consumer], _broker: broker }
    }

    /// Waits for the mail of this number to this address, and sees that it reads so; `LINK` stands for its link.
    async fn mail(&self, to: &str, number: usize, subject: &str, text: &str) -> ReceivedMail {
        let mail = self.mail.mail_to(to, number).await;
        assert_eq!(mail.header("Subject").unwrap(), subject);
        let link = if text.contains("LINK") { mail.link() } else { String::new() };
        assert!(link.is_empty() || link.starts_with(&format!("{}/api/", self.site)), "{link}");
        let expected = format!(
            "{}\n\n-- \nWarren at {}\nThis mail was sent by itself; answers are not read.\n",
            text.replace("SITE", &self.site).replace("LINK", &link),
            self.site
        );
        assert_eq!(mail.part("text/plain"), expected);
        let html = mail.part("text/html");
        assert!(html.contains(&link) && !html.contains("src="), "nothing is loaded: {html}");
        mail
    }

    /// Follows a link as a browser does: looks at its page, and presses the button.
    async fn follow(&self, mail: &ReceivedMail, more: &[(&str, &str)]) -> Answer {
        let link = mail.link();
        let path = link.strip_prefix(&self.site).unwrap();
        let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
        let page = self.client.request(Method::GET, path).header("accept", browser);
        let page = send(page).await.expect(200).body;
        let token = mail.token();
        assert!(page.as_str().unwrap().contains(&format!(r#"value="{token}""#)), "{page}");
        let mut form = vec![("token", token.as_str())];
        form.extend(more);
        let (path, _) = path.split_once('?').unwrap();
        send(self.client.request(Method::POST, path).header("accept", browser).form(&form)).await
    }

    async fn log_in(&self, password: &str) -> Answer {
        self.client.obtain_pair("ada", password).await
    }

    async fn me(&self, access: &str, method: Method, body: &Value) -> Answer {
        send(self.client.request(method, "/api/users/me/").bearer_auth(access).json(body)).await
    }

    async fn trail(&self, user: i64) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT type || COALESCE(' ' || reason, '') FROM audit.events
             WHERE user_id = $1 AND type LIKE 'auth.%' ORDER BY sequence",
        )
        .bind(user)
        .fetch_all(self.database.pool())
        .await
        .unwrap()
    }
}

/// The trail of the account that lives here, from its first row to its last.
const TRAIL: [&str; 26] = [
    "auth.user.registered",
    "auth.login.failed unverified",
    "auth.email.verified",
    "auth.account.unlocked",
    "auth.mail_token.refused used",
    "auth.login.succeeded",
    "auth.reauthentication.failed wrong_password",
    "auth.user.updated",
    "auth.email.changed",
    "auth.reauthentication.failed wrong_password",
    "auth.password.changed",
    "auth.session.ended password_changed",
    "auth.token.blacklisted password_changed",
    "auth.login.failed wrong_password",
    "auth.login.succeeded",
    "auth.password_reset.requested",
    "auth.password_reset.completed",
    "auth.session.ended password_reset",
    "auth.token.blacklisted password_changed",
    "auth.account.unlocked",
    "auth.login.failed wrong_password",
    "auth.login.succeeded",
    "auth.reauthentication.failed wrong_password",
    "auth.session.ended account_deleted",
    "auth.token.blacklisted logout",
    "auth.account.deleted",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_lives_from_registration_to_deletion_and_every_step_is_mailed_and_in_the_trail() {
    let life = Life::start().await;
    let access = registers(&life).await;
    changes_the_address(&life, &access).await;
    changes_the_password(&life, &access).await;
    let access = forgets_the_password(&life).await;
    is_told_who_else_wants_the_address(&life).await;
    life.me(&access, Method::DELETE, &json!({ "password": GUESS })).await.expect(400);
    life.me(&access, Method::DELETE, &json!({ "password": THIRD })).await.expect(204);
    life.log_in(THIRD).await.expect(401);
    let trail = TRAIL.map(str::to_owned).to_vec();
    settled(DEADLINE, "the trail of ada", trail, async || life.trail(1).await).await;
    let conflict = ["auth.user.registered", "auth.email.conflict"].map(str::to_owned).to_vec();
    settled(DEADLINE, "the trail of eve", conflict, async || life.trail(2).await).await;
    assert_eq!(life.mail.mails().len(), 7);
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT outcome, body::jsonb->'data'->>'purpose', body FROM audit.events
         WHERE type = 'auth.reauthentication.failed' ORDER BY sequence",
    )
    .fetch_all(life.database.pool())
    .await
    .unwrap();
    for ((outcome, purpose, body), expected) in
        rows.iter().zip(["change_email", "change_password", "delete_account"])
    {
        assert_eq!((outcome.as_str(), purpose.as_str()), ("failure", expected));
        assert!(!body.contains(GUESS), "{body}");
    }
}

/// Rows A01 and A14 of `auth-audit.md`, section E: no login before the link is used; and whatever host a request names, links begin with the setting.
async fn registers(life: &Life) -> String {
    let account = json!({ "username": "ada", "email": OLD, "password": PASSWORD });
    let request = life.client.request(Method::POST, "/api/register/").header("host", "evil.example");
    let request = request.header("x-forwarded-host", "evil.example").header("forwarded", "host=evil.example");
    let registered = send(request.json(&account)).await.expect(201).body;
    assert_eq!(registered, json!({ "id": 1, "username": "ada", "email": OLD }));
    life.log_in(PASSWORD).await.expect(401);
    let link = life
        .mail(
            OLD,
            1,
            "Please confirm your e-mail address",
            "Hello,\n\nAn account at SITE was registered with this e-mail address. Please confirm that the address is \
             yours:\n\nLINK\n\nThe link is good for 1 day and works once.\n\nIf it was not you, you \
             need not do anything: the address is not confirmed without you.",
        )
        .await;
    life.follow(&link, &[]).await.expect(200);
    life.follow(&link, &[]).await.expect(400);
    life.log_in(PASSWORD).await.expect(200).text("access").to_owned()
}

async fn changes_the_address(life: &Life, access: &str) {
    life.me(access, Method::PATCH, &json!({ "email": NEW, "password": GUESS })).await.expect(400);
    let change = json!({ "first_name": "Ada", "email": NEW, "password": PASSWORD });
    life.me(access, Method::PATCH, &change).await.expect(200);
    life.mail(
        OLD,
        2,
        "Another e-mail address was asked for",
        "Hello ada,\n\nYour account \"ada\" at SITE is to have another e-mail address. It was asked for with your \
         password. Until the new address is confirmed, this one stays in force.\n\nIf it was you, you need not do \
         anything.\n\nIf it was not you, somebody knows your password: please log in at SITE and change it at once.",
    )
    .await;
    let link = life
        .mail(
            NEW,
            1,
            "Please confirm your new e-mail address",
            "Hello,\n\nSomebody with an account at SITE asked for this e-mail address in the place of the present \
             one. Please confirm that the address is yours:\n\nLINK\n\nThe link is good for 1 day and works once.\n\nIf it \
             was not you, you need not do anything: the account keeps its present address.",
        )
        .await;
    life.follow(&link, &[]).await.expect(200);
    let profile = life.me(access, Method::GET, &json!({})).await.expect(200).body;
    assert_eq!((&profile["email"], &profile["first_name"]), (&json!(NEW), &json!("Ada")));
}

const CHANGED: &str = "Hello ada,\n\nYour account \"ada\" at SITE has a new password.\n\nIf it was you, you need not do \
                       anything.\n\nIf it was not you, please ask for a new password at SITE at once, by this e-mail \
                       address.";

async fn changes_the_password(life: &Life, access: &str) {
    for (present, status) in [(GUESS, 400), (PASSWORD, 200)] {
        let change = json!({ "current_password": present, "new_password": SECOND });
        let request = life.client.request(Method::POST, "/api/password/change/").bearer_auth(access);
        send(request.json(&change)).await.expect(status);
    }
    life.mail(NEW, 2, "Your password was changed", CHANGED).await;
    life.log_in(PASSWORD).await.expect(401);
    life.log_in(SECOND).await.expect(200);
}

async fn forgets_the_password(life: &Life) -> String {
    life.client.post("/api/password/reset/", &json!({ "email": NEW })).await.expect(202);
    let link = life
        .mail(
            NEW,
            3,
            "Choose a new password",
            "Hello ada,\n\nSomebody, you we hope, asked for a new password for your account \"ada\" at SITE. Choose \
             one here:\n\nLINK\n\nThe link is good for 5 minutes and works once.\n\nIf it was not you, you need not do \
             anything: your password stays as it is. Please do not pass this link on to anybody.",
        )
        .await;
    life.follow(&link, &[("password", THIRD)]).await.expect(200);
    life.mail(NEW, 4, "Your password was changed", CHANGED).await;
    life.log_in(SECOND).await.expect(401);
    life.log_in(THIRD).await.expect(200).text("access").to_owned()
}

/// Row A02 of `auth-audit.md`, section E: the same answer, and the owner is told.
async fn is_told_who_else_wants_the_address(life: &Life) {
    let other = json!({ "username": "eve", "email": "ADA@new.example", "password": PASSWORD });
    let registered = life.client.post("/api/register/", &other).await.expect(201).body;
    assert_eq!(registered, json!({ "id": 2, "username": "eve", "email": "ADA@new.example" }));
    life.mail(
        NEW,
        5,
        "Your e-mail address was given by somebody",
        "Hello ada,\n\nSomebody registered another account at SITE with your e-mail address. It belongs to your \
         account \"ada\", and stays with it: nothing about your account has changed, and nobody else can confirm the \
         address.\n\nIf it was you, you have an account already: log in as \"ada\", or ask for a new password if you \
         have forgotten it.\n\nIf it was not you, you need not do anything.",
    )
    .await;
}
