//! What holds a token or a password can't be printed, so that no log line and no error shows it by mistake.

use std::fmt::Debug;
use std::marker::PhantomData;

use axum::extract::FromRequest;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use producer_api::accounts::{NewAccount, ProfileChange};
use producer_api::extract::{Body, Fields};
use producer_api::sessions::{Credentials, LoggedIn, Refreshed, Shown, Tokens, bearer};
use producer_api::tokens::Issued;

use crate::harness::config;

/// Whether a type can be printed by `{:?}`: the first `YES` exists for those alone and goes before the second.
struct Printable<T>(PhantomData<T>);

impl<T: Debug> Printable<T> {
    const YES: bool = true;
}

trait Otherwise {
    const YES: bool = false;
}

impl<T> Otherwise for Printable<T> {}

/// Goes red when one of them learns to be printed.
#[test]
fn what_holds_a_token_or_a_password_can_not_be_printed() {
    let printable = [
        // That the question can be answered at all.
        ("String", Printable::<String>::YES),
        ("Issued", Printable::<Issued>::YES),
        ("Tokens", Printable::<Tokens>::YES),
        ("LoggedIn", Printable::<LoggedIn>::YES),
        ("Refreshed", Printable::<Refreshed>::YES),
        ("Shown", Printable::<Shown>::YES),
        ("Credentials", Printable::<Credentials>::YES),
        ("NewAccount", Printable::<NewAccount>::YES),
        ("ProfileChange", Printable::<ProfileChange>::YES),
    ];
    for (name, printable) in printable {
        assert_eq!(printable, name == "String", "{name}");
    }
}

/// Goes red when a body is printed with what is in it, or a header with its token.
#[tokio::test]
async fn bodies_and_headers_are_printed_without_what_is_secret_in_them() {
    for (content_type, body) in [
        ("application/json", r#"{"username": "froggly", "password": "hidden"}"#),
        ("application/x-www-form-urlencoded", "username=froggly&password=hidden"),
    ] {
        let request = Request::post("/").header(header::CONTENT_TYPE, content_type);
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let Body(fields) = Body::from_request(request, &()).await.unwrap();
        let shown = format!("{fields:?} {:?}", Body(Fields::clone(&fields)));
        assert!(shown.contains("password") && !shown.contains("hidden"), "{shown}");
    }
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer hidden"))]);
    assert_eq!(format!("{:?}", bearer(&headers, &config(&[]).tokens)), "Token(********)");
}
