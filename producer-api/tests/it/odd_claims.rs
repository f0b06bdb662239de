//! Tokens whose signature is right and whose claims are anything: an answer from the contract, never a 5xx.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, send};

use crate::attacks::{OPEN, PROTECTED};
use crate::harness::{Api, signed};

const HARD: [(&str, &str); 5] = [
    ("ROTATE_REFRESH_TOKENS", "true"),
    ("BLACKLIST_AFTER_ROTATION", "true"),
    ("AUTH_TOKEN_CLASSES", "AccessToken,SlidingToken"),
    ("SESSION_POLICY", "unlimited"),
    ("LEEWAY", "10"),
];

/// Values that have upset somebody's server.
const ODD: [&str; 36] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "1.0",
    "-1",
    "1e2",
    "1795000000",
    "1795000600.5",
    "253402300799",
    "-62135596801",
    "-377705116801",
    "-1000000000000",
    "-8000000000000",
    "8210266876799",
    "-8334601228800",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e300",
    "-1e300",
    "1e999",
    "[]",
    "{}",
    r#""""#,
    r#""1""#,
    r#"" 1 ""#,
    r#""a\u0000b""#,
    r#""\ud800""#,
    r#""refresh""#,
    r#""access""#,
    r#""sliding""#,
    r#""01939a0e-0000-7000-8000-000000000000""#,
    r#""٣""#,
];

async fn show_everywhere(api: &Api, token: &str) -> Vec<(&'static str, Answer)> {
    let mut answers = Vec::new();
    for path in PROTECTED {
        answers.push((path, send(api.client.request(Method::GET, path).bearer_auth(token)).await));
    }
    // Those that end a token last.
    for place in [1, 3, 0, 0, 2, 4] {
        let (path, field) = OPEN[place];
        answers.push((path, api.client.post(path, &json!({ field: token })).await));
    }
    answers
}

fn check(claims: &str, answers: &[(&str, Answer)]) -> Result<(), String> {
    for (path, answer) in answers {
        let right = match answer.status {
            200 => true,
            401 => answer.body["detail"].is_string() && !answer.header("www-authenticate").is_empty(),
            // Verify's own way to say it.
            400 => answer.body == json!({ "non_field_errors": ["Token is blacklisted"] }),
            _ => false,
        };
        if !right {
            return Err(format!("{path} answered {} {} to {claims}", answer.status, answer.body));
        }
    }
    Ok(())
}

/// Each plain claim as it should be, or left out, or odd, or any text; and a claim of another service's.
fn claims() -> impl Strategy<Value = String> {
    let odd = || proptest::sample::select(&ODD[..]).prop_map(str::to_owned);
    let text = || any::<String>().prop_map(|text| Value::from(text).to_string());
    let number = || {
        any::<f64>()
            .prop_filter("JSON has no infinity", |number| number.is_finite())
            .prop_map(|n| n.to_string())
    };
    let value = move || prop_oneof![6 => odd(), 1 => text(), 1 => number(), 1 => any::<i64>().prop_map(|n| n.to_string())];
    let claim = move |name: &'static str, right: Vec<&'static str>| {
        let right = proptest::sample::select(right).prop_map(str::to_owned);
        let value = prop_oneof![6 => right.prop_map(Some), 3 => value().prop_map(Some), 1 => Just(None)];
        value.prop_map(move |value| value.map(|value| format!(r#""{name}":{value}"#)))
    };
    let members = vec![
        claim("exp", vec!["1795000600", "1795000005"]).boxed(),
        claim("iat", vec!["1795000000", "1"]).boxed(),
        claim("nbf", vec!["1795000000", "1"]).boxed(),
        claim("token_type", vec![r#""refresh""#, r#""sliding""#, r#""access""#]).boxed(),
        claim("user_id", vec!["1", r#""1""#, r#""999""#]).boxed(),
        claim("refresh_exp", vec!["1795000600", "1794999999"]).boxed(),
        claim("other", vec!["[[{}]]"]).boxed(),
        prop_oneof![3 => Just(None), 1 => odd().prop_map(|value| Some(format!(r#""sid":{value}"#)))].boxed(),
        prop_oneof![4 => Just(None), 1 => odd().prop_map(|value| Some(format!(r#""sub":{value}"#)))].boxed(),
        prop_oneof![
            9 => any::<u128>().prop_map(|id| Some(format!(r#""jti":"{id:032x}""#))),
            1 => value().prop_map(|value| Some(format!(r#""jti":{value}"#))),
            1 => Just(None)
        ]
        .boxed(),
    ];
    members.prop_map(|members| format!("{{{}}}", members.into_iter().flatten().collect::<Vec<_>>().join(",")))
}

fn run(settings: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let api = runtime.block_on(async {
        let api = Api::start_with(settings).await;
        api.client.join("froggly").await;
        api
    });
    let mut runner = TestRunner::new(Config { cases: 250, failure_persistence: None, ..Config::default() });
    let result = runner.run(&claims(), |claims| {
        let answers = runtime.block_on(show_everywhere(&api, &signed(&claims)));
        check(&claims, &answers).map_err(TestCaseError::fail)
    });
    runtime.block_on(async move { drop(api) });
    result.unwrap();
}

#[test]
fn no_claims_whatever_make_a_5xx() {
    run(&[]);
}

#[test]
fn nor_do_they_with_rotation_sliding_tokens_and_a_leeway() {
    run(&HARD);
}

#[tokio::test]
async fn each_claim_may_be_each_odd_value_alone() {
    for settings in [&[][..], &HARD] {
        each_odd_value_alone(settings).await;
    }
}

async fn each_odd_value_alone(settings: &[(&str, &str)]) {
    let api = Api::start_with(settings).await;
    api.client.join("froggly").await;
    let mut jti = 0;
    for name in ["exp", "iat", "nbf", "jti", "token_type", "user_id", "sid", "sub", "refresh_exp", "aud"] {
        for value in ODD {
            for kind in ["refresh", "sliding"] {
                jti += 1;
                let claims = format!(
                    r#"{{"token_type":"{kind}","exp":1795000600,"refresh_exp":1795000600,"jti":"{jti}","user_id":1,"{name}":{value}}}"#
                );
                let answers = show_everywhere(&api, &signed(&claims)).await;
                check(&claims, &answers).unwrap();
            }
        }
    }
}
