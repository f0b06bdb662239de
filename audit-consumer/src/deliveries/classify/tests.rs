//! Tables of messages and what becomes of them.

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::contracts::Outcome;
use shared::entropy::Entropy;

use super::*;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_763_700_000_123_456).unwrap()
}

fn id_at(at: DateTime<Utc>) -> EventId {
    EventId(Entropy::seeded(1).uuid_v7(at))
}

fn envelope() -> Value {
    json!({
        "specversion": "1.0",
        "id": id_at(now()),
        "source": "/warren/producer-api",
        "type": "auth.login.failed",
        "time": "2025-11-21T04:40:00.123456Z",
        "dataschema": "/schemas/auth.login.failed/v1",
        "traceparent": format!("00-{TRACE_ID}-b7ad6b7169203331-01"),
        "sequence": "00000000000000000042",
        "data": {
            "user_id": 7,
            "username": "ada",
            "session_id": "018f0000-0000-7000-8000-000000000001",
            "jti": "abc",
            "reason": "wrong_password",
            "ip": "2001:db8::1",
            "user_agent": "curl/8",
            "request_id": "018f0000-0000-4000-8000-000000000002",
        },
    })
}

fn message(body: &[u8]) -> Message<'_> {
    Message { message_id: None, body, delivery: None }
}

/// The verdict on the usual envelope after `change`.
fn after(change: impl FnOnce(&mut Value)) -> Result<(), QuarantineReason> {
    let mut envelope = envelope();
    change(&mut envelope);
    classify(&message(envelope.to_string().as_bytes()), now()).map(|_| ())
}

#[test]
fn every_column_is_copied_and_the_body_is_kept_to_the_byte() {
    let body = format!("  {}\n", envelope());
    let entry = classify(&message(body.as_bytes()), now()).unwrap();
    assert_eq!(entry.body, body);
    assert_eq!(entry.event_id, id_at(now()));
    assert_eq!(entry.event_type, "auth.login.failed");
    assert_eq!(entry.occurred_at, now());
    assert_eq!(entry.sequence, Some(42));
    assert_eq!(entry.user_id, Some(7));
    assert_eq!(entry.username.as_deref(), Some("ada"));
    assert_eq!(entry.session_id, Some("018f0000-0000-7000-8000-000000000001".parse().unwrap()));
    assert_eq!(entry.jti.as_deref(), Some("abc"));
    assert_eq!(entry.ip.map(|ip| ip.to_string()).as_deref(), Some("2001:db8::1/128"));
    assert_eq!(entry.user_agent.as_deref(), Some("curl/8"));
    assert_eq!(entry.outcome, Outcome::Failure);
    assert_eq!(entry.reason.as_deref(), Some("wrong_password"));
    assert_eq!(entry.request_id, Some("018f0000-0000-4000-8000-000000000002".parse().unwrap()));
    assert_eq!(entry.trace_id.as_deref(), Some(TRACE_ID));
}

#[test]
fn a_value_that_does_not_fit_its_column_leaves_it_empty_and_the_others_full() {
    let mut odd = envelope();
    odd["data"]["ip"] = json!("not an address");
    odd["data"]["session_id"] = json!({ "nested": [1] });
    odd["data"]["user_id"] = json!("seven");
    odd["data"]["request_id"] = Value::Null;
    odd["traceparent"] = json!("nonsense");
    odd["sequence"] = json!("many");
    odd["data"]["user_agent"] = json!("a\0b");
    odd["time"] = json!("+200000-01-01T00:00:00Z");
    let body = odd.to_string();
    let entry = classify(&message(body.as_bytes()), now()).unwrap();
    assert_eq!((entry.ip, entry.session_id, entry.user_id), (None, None, None));
    assert_eq!((entry.request_id, entry.trace_id, entry.sequence), (None, None, None));
    assert_eq!(entry.username.as_deref(), Some("ada"));
    assert_eq!(entry.user_agent.as_deref(), Some("a\u{fffd}b"), "text of PostgreSQL holds no NUL");
    assert_eq!(entry.occurred_at.timestamp_millis(), now().timestamp_millis(), "the id's instant stands in");
}

#[test]
fn a_payload_of_any_shape_is_recorded() {
    for data in [json!(null), json!([1, 2]), json!("text"), json!({})] {
        assert!(after(|envelope| envelope["data"] = data.clone()).is_ok(), "{data}");
    }
}

#[test]
fn an_unknown_type_of_a_known_major_is_recorded_as_a_success() {
    let mut unknown = envelope();
    unknown["type"] = json!("auth.moon.landed");
    unknown["dataschema"] = json!("/schemas/auth.moon.landed/v1");
    let body = unknown.to_string();
    let entry = classify(&message(body.as_bytes()), now()).unwrap();
    assert_eq!((entry.event_type.as_str(), entry.outcome), ("auth.moon.landed", Outcome::Success));
}

#[test]
fn an_unknown_major_is_set_aside() {
    for schema in ["/schemas/auth.login.failed/v2", "/schemas/auth.login.failed/v0"] {
        let verdict = after(|envelope| envelope["dataschema"] = json!(schema));
        assert!(
            matches!(verdict, Err(QuarantineReason::UnknownMajor { known: 1, .. })),
            "{schema}: {verdict:?}"
        );
    }
}

#[test]
fn what_is_no_envelope_is_set_aside() {
    for body in [&b""[..], b"{", b"null", b"[]", br#"{"specversion":"1.0"}"#, b"plain text"] {
        let verdict = classify(&message(body), now());
        assert!(matches!(verdict, Err(QuarantineReason::Malformed(_))), "{body:?}: {verdict:?}");
    }
    assert!(matches!(
        after(|envelope| envelope["specversion"] = json!("2.0")),
        Err(QuarantineReason::Malformed(_))
    ));
}

#[test]
fn what_postgresql_text_can_not_hold_is_set_aside() {
    let mut not_utf8 = envelope().to_string().into_bytes();
    not_utf8.push(0xff);
    assert!(matches!(classify(&message(&not_utf8), now()), Err(QuarantineReason::NotUtf8)));
    let mut with_nul = envelope().to_string().into_bytes();
    with_nul.push(0);
    assert!(matches!(classify(&message(&with_nul), now()), Err(QuarantineReason::HoldsNul)));
}

#[test]
fn a_body_above_a_mebibyte_is_set_aside_and_one_of_exactly_that_is_not() {
    let body = envelope().to_string();
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    let (fits, too_large) = (padded(BODY_BYTES_MAX), padded(BODY_BYTES_MAX + 1));
    assert!(classify(&message(fits.as_bytes()), now()).is_ok());
    let verdict = classify(&message(too_large.as_bytes()), now());
    assert!(matches!(verdict, Err(QuarantineReason::TooLarge { bytes }) if bytes == BODY_BYTES_MAX + 1));
}

#[test]
fn only_a_version_7_id_within_the_time_of_the_trail_is_recorded() {
    let with_id = |id: EventId| after(move |envelope| envelope["id"] = json!(id));
    let hour = TimeDelta::hours(1);
    for (id, recorded) in [
        (id_at(now()), true),
        (id_at(now() + AHEAD_MAX - hour), true),
        (id_at(now() - RETENTION + hour), true),
        (id_at(now() + AHEAD_MAX + hour), false),
        (id_at(now() - RETENTION - hour), false),
        (EventId(Entropy::seeded(1).uuid_v4()), false),
        (EventId(Uuid::nil()), false),
        (EventId(Uuid::max()), false),
    ] {
        assert_eq!(with_id(id).is_ok(), recorded, "{id}");
    }
}

#[test]
fn a_message_id_other_than_the_envelopes_is_set_aside() {
    let body = envelope().to_string();
    let own = id_at(now()).to_string();
    let spelled_otherwise = own.to_uppercase();
    let verdict = |message_id| {
        let message = Message { message_id: Some(message_id), body: body.as_bytes(), delivery: None };
        classify(&message, now()).map(|_| ())
    };
    assert!(verdict(&own).is_ok());
    assert!(verdict(&spelled_otherwise).is_ok());
    let other = id_at(now() + TimeDelta::seconds(1)).to_string();
    for foreign in [other.as_str(), "", "42"] {
        assert!(matches!(verdict(foreign), Err(QuarantineReason::OtherMessageId { .. })), "{foreign:?}");
    }
}

/// Texts that look like JSON, so that not every try ends at the first byte.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        r#"{"specversion":"1.0","#,
        r#""id":"018f0000-0000-7000-8000-000000000001","#,
        r#""type":"task.created","source":"x","#,
        r#""time":"2025-11-21T04:40:00Z","#,
        r#""data":{"user_id":1}}"#,
        r#""data":null}"#,
        r#""\u0000":"\ud800","#,
        "\u{0}",
        "{",
        "}",
        "1e999",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_bytes_become_an_entry_or_a_reason_and_never_a_panic(
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..600), json_like()],
        message_id in prop::option::of(".*"),
    ) {
        let message = Message { message_id: message_id.as_deref(), body: &body, delivery: None };
        match classify(&message, now()) {
            Ok(entry) => prop_assert_eq!(entry.body.as_bytes(), body.as_slice()),
            Err(reason) => prop_assert!(!reason.to_string().is_empty()),
        }
    }

    #[test]
    fn any_texts_in_the_payload_are_copied_without_a_nul(username in any::<String>(), reason in any::<String>()) {
        let mut envelope = envelope();
        envelope["data"]["username"] = json!(username);
        envelope["data"]["reason"] = json!(reason);
        let body = envelope.to_string();
        let entry = classify(&message(body.as_bytes()), now()).unwrap();
        prop_assert_eq!(entry.username.unwrap(), username.replace('\0', "\u{fffd}"));
        prop_assert!(!entry.reason.unwrap().contains('\0'));
    }
}
