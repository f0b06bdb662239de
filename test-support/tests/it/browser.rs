//! The page `/real_data` in Chromium, with two replicas behind it. What is clicked and seen stands in `python/browser/`;
//! here is the world around it.

use serde_json::{Value, json};
use test_support::browser::BrowserScript;
use test_support::faults::Proxy;
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, environment};

/// So that a token which a script borrows from its page is good to the end.
const LONG: (&str, &str) = ("ACCESS_TOKEN_LIFETIME", "1h");

/// Two replicas of the API, and a network before the second that can go silent.
struct Site {
    apis: Vec<RunningProgram>,
    silent: Vec<Proxy>,
    database: TestDatabase,
    broker: TestBroker,
}

impl Site {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let mut apis = Vec::new();
        for name in ["a", "b"] {
            let program = Program::producer_api(&database, &broker).env("INSTANCE_NAME", name);
            let with = |program: Program, (name, value): &(&str, &str)| program.env(name, value);
            apis.push(settings.iter().fold(program, with).spawn());
        }
        for api in &mut apis {
            api.wait_until_ready().await;
        }
        Self { apis, silent: Vec::new(), database, broker }
    }

    /// Runs a script to its end, and does what it asks for.
    async fn show(mut self, name: &'static str) {
        let urls: Vec<String> = self.apis.iter().map(RunningProgram::url).collect();
        let mut script = BrowserScript::start(name, json!({ "urls": urls }));
        while let Some(wish) = script.wish().await {
            let answer = self.fulfil(&wish).await;
            script.answer(&answer);
        }
        // Beside the pictures: what it measured.
        let folder = environment::screenshots_folder();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.log")), script.log()).unwrap();
    }

    async fn fulfil(&mut self, wish: &Value) -> Value {
        let text = |name: &str| wish[name].as_str().unwrap().to_owned();
        let api = || usize::try_from(wish["api"].as_u64().unwrap()).unwrap();
        match wish["do"].as_str().unwrap() {
            "sql" => {
                let done = sqlx::query(sqlx::AssertSqlSafe(text("sql")))
                    .execute(self.database.pool())
                    .await
                    .unwrap();
                json!(done.rows_affected())
            }
            "kill" => {
                self.apis[api()].kill();
                Value::Null
            }
            "start" => {
                self.apis[api()].restart().await;
                Value::Null
            }
            "proxy" => {
                let url = self.apis[api()].url();
                self.silent.push(Proxy::before(&url).await);
                json!(self.silent.last().unwrap().instead_of(&url).trim_end_matches('/'))
            }
            "close connections" => json!(self.broker.close_connections(&text("part")).await),
            "cut" => {
                self.silent.iter().for_each(Proxy::cut);
                Value::Null
            }
            unknown => unreachable!("nobody knows how to {unknown}"),
        }
    }
}

// Goes red if a change reaches the other window late or not at all, if a token lies anywhere, if text becomes markup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_windows_show_the_same_tasks_in_the_same_second() {
    Site::start(&[LONG]).await.show("two_windows").await;
}

// Goes red if a window stays open whose session is over, whoever ended it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_over_is_over_in_every_window_and_the_page_says_why() {
    Site::start(&[]).await.show("ended_sessions").await;
}

// Goes red if two windows that renew their tokens at once end each other's session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_windows_share_a_session_whose_tokens_rotate() {
    let settings = [
        ("ROTATE_REFRESH_TOKENS", "true"),
        ("BLACKLIST_AFTER_ROTATION", "true"),
        ("REFRESH_GRACE_SECONDS", "0"),
        ("ACCESS_TOKEN_LIFETIME", "20"),
    ];
    Site::start(&settings).await.show("rotating_tokens").await;
}

// Goes red if a change is missed that happened while the page had no connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_offline_misses_nothing() {
    Site::start(&[LONG]).await.show("offline").await;
}

// Goes red if a page of another origin can read or change anything with this browser's session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_can_neither_read_nor_change_anything() {
    Site::start(&[]).await.show("foreign_page").await;
}

// Goes red if the page's token opens nothing in the documents, if what is tried out there is refused, or if it loads or keeps
// anything that it should not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_out_in_the_documents_is_real_with_a_token_of_the_page_or_of_a_login_there() {
    // The login there must not end the session of the page.
    Site::start(&[LONG, ("SESSION_POLICY", "unlimited")]).await.show("documents").await;
}

// Goes red if the page does not say that it hears late while RabbitMQ is lost, or what it shows is wrong afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_server_lost_rabbitmq_says_so_and_is_right_again_afterwards() {
    Site::start(&[LONG]).await.show("late_news").await;
}

// Goes red if whoever has not proved his address gets in, or is told more than anybody who guesses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_not_proved_the_address_is_told_what_anybody_is() {
    Site::start(&[("REQUIRE_VERIFIED_EMAIL", "true")]).await.show("unverified").await;
}

// Goes red if the page can't be used on a phone, in the dark or with a screen reader, or does not say what went wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_can_be_used_by_everybody() {
    // So that a user can have two devices, and end one from the other.
    Site::start(&[("SESSION_POLICY", "unlimited")]).await.show("looks").await;
}
