//! Nobody has any number of mails sent to others: requests for them are counted for whoever asks and for whoever is written
//! to, and what is beyond the limit of the latter is answered as ever.

use std::net::{IpAddr, Ipv4Addr};

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Client, PASSWORD, send};

use crate::harness::Api;
use crate::statements::Statements;

const REGISTER: &str = "/api/register/";
const RESET: &str = "/api/password/reset/";
const RESEND: &str = "/api/email/verify/resend/";

fn account(username: &str, email: &str) -> Value {
    json!({ "username": username, "email": email, "password": PASSWORD })
}

fn address(email: &str) -> Value {
    json!({ "email": email })
}

/// A request from another address of this machine.
async fn post_from(client: &Client, last: u8, path: &str, body: &Value) -> Answer {
    let url = client.request(Method::POST, path).build().unwrap().url().clone();
    let address = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let http = reqwest::Client::builder().local_address(address).build().unwrap();
    send(http.post(url).json(body)).await
}

/// How many mails of a purpose somebody is sent.
async fn sent(api: &Api, purpose: &str) -> usize {
    api.mails().await.iter().filter(|(user, of)| *user != 0 && of == purpose).count()
}

/// Row A13, of the client's address.
#[tokio::test]
async fn who_asks_for_mails_too_often_is_told_so_whatever_he_asks_for_and_whoever_has_the_address() {
    let api = Api::start_with(&[("MAIL_REQUESTS_PER_ADDRESS", "6")]).await;
    let post = async |path: &str, body: &Value| api.client.post(path, body).await;
    // What is wrong with its fields has nothing sent and is not counted, nor is a name that is taken.
    post(REGISTER, &account("", "a@example.com")).await.expect(400);
    post(RESET, &address("no address")).await.expect(400);
    post(REGISTER, &account("froggly", "froggly@example.com")).await.expect(201);
    post(REGISTER, &account("froggly", "other@example.com")).await.expect(400);
    post(REGISTER, &account("toady", "toady@example.com")).await.expect(201);
    for email in ["froggly@example.com", "nobody@example.com"] {
        post(RESET, &address(email)).await.expect(202);
        post(RESEND, &address(email)).await.expect(202);
    }
    api.forget_events().await;
    let mails = api.mails().await.len();
    let refused = async |path: &str, body: &Value, seconds: &str| {
        let answer = post(path, body).await.expect(429);
        assert_eq!(answer.header("retry-after"), seconds, "{path}");
        answer.body
    };
    let throttled = json!({ "detail": "Request was throttled. Expected available in 600 seconds." });
    for email in ["froggly@example.com", "nobody@example.com", "new@example.com"] {
        assert_eq!(refused(RESET, &address(email), "600").await, throttled);
        assert_eq!(refused(RESEND, &address(email), "600").await, throttled);
        assert_eq!(refused(REGISTER, &account("newcomer", email), "600").await, throttled);
    }
    assert_eq!((api.mails().await.len(), api.events().await), (mails, vec![]), "nothing was done");
    assert_eq!(api.count("SELECT count(*) FROM users").await, 2);
    // Others are not concerned, and he himself logs in.
    post_from(&api.client, 2, RESET, &address("froggly@example.com")).await.expect(202);
    api.client.log_in("froggly").await;
    // Six in an hour are one in ten minutes.
    api.advance(600);
    post(RESET, &address("froggly@example.com")).await.expect(202);
    refused(RESET, &address("froggly@example.com"), "600").await;
    api.advance(600 + 3_600);
    for _ in 0..6 {
        post(RESET, &address("froggly@example.com")).await.expect(202);
    }
}

/// Row A13, of the address that is written to. Goes red when each new account brings another mail.
#[tokio::test]
async fn whoever_registers_an_address_again_and_again_has_five_mails_sent_and_learns_nothing() {
    let api = Api::start().await;
    for number in 0..8 {
        let email = if number % 2 == 0 { "Stranger@example.com" } else { "stranger@EXAMPLE.com" };
        let answer = api.client.post(REGISTER, &account(&format!("toady{number}"), email)).await.expect(201);
        let expected =
            json!({ "id": number + 1, "username": format!("toady{number}"), "email": answer.text("email") });
        assert_eq!(answer.body, expected);
    }
    assert_eq!(sent(&api, "verify_email").await, 5);
    assert_eq!(api.mails().await.len(), 8, "for the others a mail to nobody: the work is the same");
    api.client.post(RESEND, &address("stranger@example.com")).await.expect(202);
    assert_eq!(sent(&api, "verify_email").await, 5, "asking again counts with it");
    // Another purpose and another address are not concerned.
    api.client.post(RESET, &address("stranger@example.com")).await.expect(202);
    assert_eq!(sent(&api, "reset_password").await, 3);
    api.client.post(REGISTER, &account("ada", "ada@example.com")).await.expect(201);
    assert_eq!(sent(&api, "verify_email").await, 6);
    // Nobody is kept from his link for long.
    api.advance(300);
    api.client.post(REGISTER, &account("owner", "stranger@example.com")).await.expect(201);
    assert_eq!(api.mails().await.pop(), Some((10, "verify_email".to_owned())));
}

/// What is beyond an address's limit costs us as much as the rest: who asks for it for ever is sent away in the end.
#[tokio::test]
async fn requests_beyond_the_limit_of_an_address_count_for_whoever_asks() {
    let api = Api::start_with(&[("MAIL_REQUESTS_PER_ADDRESS", "8")]).await;
    for _ in 0..8 {
        api.client.post(RESET, &address("stranger@example.com")).await.expect(202);
    }
    api.client.post(RESET, &address("stranger@example.com")).await.expect(429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thirty_that_register_one_address_at_once_on_two_replicas_five_are_mailed() {
    let api = Api::start().await;
    let other = api.replica(&[]).await;
    let mut registering = tokio::task::JoinSet::new();
    for number in 0..30 {
        let client = if number % 2 == 0 { api.client.clone() } else { other.client.clone() };
        registering.spawn(async move {
            client
                .post(REGISTER, &account(&format!("toady{number}"), "stranger@example.com"))
                .await
                .expect(201);
        });
    }
    registering.join_all().await;
    assert_eq!((sent(&api, "verify_email").await, api.mails().await.len()), (5, 30));
}

/// A user may want any address: many users together have no more mails sent to it than one.
#[tokio::test]
async fn an_address_that_many_users_want_is_written_to_five_times_and_none_of_them_learns_it() {
    let api = Api::start().await;
    let wanted = json!({ "email": "stranger@example.com", "password": PASSWORD });
    for number in 0..7 {
        let login = api.client.join(&format!("toady{number}")).await;
        let request = api.client.request(Method::PATCH, "/api/users/me/").bearer_auth(&login.access);
        let answer = send(request.json(&wanted)).await.expect(200);
        assert_eq!(answer.text("pending_email"), "stranger@example.com");
    }
    assert_eq!(sent(&api, "change_email").await, 5);
    assert_eq!(sent(&api, "email_change_requested").await, 7, "the notices go to other addresses");
}

#[tokio::test]
async fn limits_of_mails_that_are_off_count_nothing() {
    let off = [("MAIL_REQUESTS_PER_ADDRESS", "0"), ("MAIL_REQUESTS_PER_RECIPIENT", "0")];
    let api = Api::start_with(&off).await;
    api.client.register("froggly").await.expect(201);
    for _ in 0..8 {
        api.client.post(RESET, &address("froggly@example.com")).await.expect(202);
    }
    assert_eq!(sent(&api, "reset_password").await, 8);
    assert_eq!(api.count("SELECT count(*) FROM login_limits").await, 0);
}

/// Goes red when the time of an answer tells how many accounts have an address: each statement more is time.
#[tokio::test]
async fn asking_costs_the_same_statements_for_nobody_one_account_and_three() {
    let api =
        Api::start_with(&[("MAIL_REQUESTS_PER_ADDRESS", "0"), ("MAIL_REQUESTS_PER_RECIPIENT", "1")]).await;
    api.execute(
        "INSERT INTO users (username, email, email_verified_at, is_active, password, date_joined) VALUES
             ('a', 'one@example.com', NULL, true, '!', now()), ('b', 'three@example.com', NULL, true, '!', now()),
             ('c', 'three@example.com', NULL, true, '!', now()), ('d', 'three@example.com', NULL, true, '!', now()),
             ('e', 'proved@example.com', now(), true, '!', now()), ('f', 'gone@example.com', NULL, false, '!', now())",
    )
    .await;
    let statements = Statements::watch();
    let names = ["nobody", "one", "three", "proved", "gone"];
    for path in [RESET, RESEND, REGISTER] {
        let mut expected = None;
        // The second time it is beyond the limit of the address.
        for (round, name) in [0, 1].into_iter().flat_map(|round| names.map(|name| (round, name))) {
            let body = account(&format!("new-{name}-{round}"), &format!("{name}@example.com"));
            statements.take();
            let answer = api.client.post(path, &body).await;
            let done = statements.take();
            assert!([201, 202].contains(&answer.status), "{path}: {}", answer.body);
            assert!(done.len() > 5, "they are seen: {done:?}");
            assert_eq!(&done, expected.get_or_insert(done.clone()), "{path} {name} {round}");
        }
    }
}

/// Whoever registers gives any address; what he does to his own account must not fill its owner's mailbox. Goes red when
/// notices to an address that nobody has proved are not counted, or those to one that is proved are.
#[tokio::test]
async fn an_address_that_nobody_has_proved_is_told_of_five_changes_and_one_that_is_proved_of_each() {
    let api = Api::start().await;
    let passwords = [PASSWORD, "a warren of many burrows"];
    let change = async |username: &str, turn: usize| {
        let login = api.client.try_log_in(username, passwords[turn % 2]).await.expect(200);
        let request =
            api.client.request(Method::POST, "/api/password/change/").bearer_auth(login.text("access"));
        let body =
            json!({ "current_password": passwords[turn % 2], "new_password": passwords[(turn + 1) % 2] });
        send(request.json(&body)).await.expect(200);
    };
    for username in ["toady", "another"] {
        api.client.post(REGISTER, &account(username, "stranger@example.com")).await.expect(201);
        for turn in 0..4 {
            change(username, turn).await;
        }
    }
    assert_eq!(sent(&api, "password_changed").await, 5);
    for username in ["toady", "another"] {
        for number in 0..4 {
            let login = api.client.log_in(username).await;
            let request = api.client.request(Method::PATCH, "/api/users/me/").bearer_auth(&login.access);
            let body = json!({ "email": format!("{username}{number}@example.com"), "password": PASSWORD });
            send(request.json(&body)).await.expect(200);
        }
    }
    assert_eq!(sent(&api, "email_change_requested").await, 5);

    api.client.register("owner").await.expect(201);
    api.execute("UPDATE users SET email_verified_at = now() WHERE username = 'owner'").await;
    for turn in 0..6 {
        change("owner", turn).await;
    }
    assert_eq!(sent(&api, "password_changed").await, 5 + 6);
}
