//! What a query string asks of the trail. Pure.

use std::net::IpAddr;

use shared::contracts::Outcome;
use shared::contracts::trail::TrailFilters;
use shared::ids::EventId;

use crate::extract::PageAsked;
use crate::extract::query::{Read, instant, last_values, parsed, set, text};
use crate::problem::{FieldErrors, Problem};

/// How many events a page has unless more or fewer are asked for, and at the most.
pub(super) const LIMIT: u16 = 50;
pub(super) const LIMIT_MAX: u16 = 200;

const NO_NUMBER: &str = "A valid integer is required.";
const NO_UUID: &str = "Must be a valid UUID.";
const NO_ADDRESS: &str = "Enter a valid IPv4 or IPv6 address.";
const NO_OUTCOME: &str = "Must be success or failure.";
const NO_TRACE: &str = "Must be 32 hexadecimal digits in lower case.";

/// The filters.
const NAMES: [&str; 10] = [
    "type",
    "user_id",
    "username",
    "session_id",
    "ip",
    "outcome",
    "request_id",
    "trace_id",
    "since",
    "until",
];

/// A page of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which events.
    pub filters: TrailFilters,
    /// Those before this one; none for the first page.
    pub before: Option<EventId>,
    /// How many at the most.
    pub limit: u16,
}

impl Asked {
    /// Reads it; 400 with everything that is wrong. Names that it doesn't know are ignored; the last of several values counts.
    pub fn of(query: Option<&str>) -> Result<Self, Problem> {
        let mut filters = TrailFilters::default();
        let mut errors = FieldErrors::new();
        for (name, value) in last_values(query, &NAMES) {
            let fault = match name {
                "type" => set(&mut filters.event_type, text(&value)),
                "user_id" => set(&mut filters.user_id, parsed(&value, NO_NUMBER)),
                "username" => set(&mut filters.username, text(&value)),
                "session_id" => set(&mut filters.session_id, parsed(&value, NO_UUID)),
                "ip" => set(&mut filters.ip, address(&value)),
                "outcome" => set(&mut filters.outcome, outcome(&value)),
                "request_id" => set(&mut filters.request_id, parsed(&value, NO_UUID)),
                "trace_id" => set(&mut filters.trace_id, trace_id(&value)),
                "since" => set(&mut filters.since, instant(&value)),
                "until" => set(&mut filters.until, instant(&value)),
                _ => None,
            };
            if let Some(words) = fault {
                errors.add(name, words);
            }
        }
        if !errors.is_empty() {
            return Err(Problem::field_errors(errors));
        }
        let PageAsked { limit, after } = PageAsked::of(query, LIMIT, LIMIT_MAX)?;
        Ok(Self { filters, before: after, limit })
    }

    /// The query string of the next page, which begins before `before`.
    pub fn next(&self, before: EventId) -> String {
        let filters = &self.filters;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string()).append_pair("cursor", &before.to_string());
        let texts = [
            ("type", filters.event_type.clone()),
            ("user_id", filters.user_id.map(|id| id.to_string())),
            ("username", filters.username.clone()),
            ("session_id", filters.session_id.map(|id| id.to_string())),
            ("ip", filters.ip.map(|ip| ip.to_string())),
            ("outcome", filters.outcome.map(|outcome| outcome.as_str().to_owned())),
            ("request_id", filters.request_id.map(|id| id.to_string())),
            ("trace_id", filters.trace_id.clone()),
            ("since", filters.since.map(|at| at.to_rfc3339())),
            ("until", filters.until.map(|at| at.to_rfc3339())),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                query.append_pair(name, &text);
            }
        }
        query.finish()
    }
}

/// As the trail has it: an address of IPv4 in its own form.
fn address(value: &str) -> Read<IpAddr> {
    parsed(value, NO_ADDRESS).map(|address: IpAddr| address.to_canonical())
}

fn outcome(value: &str) -> Read<Outcome> {
    [Outcome::Success, Outcome::Failure]
        .into_iter()
        .find(|outcome| outcome.as_str() == value)
        .ok_or(NO_OUTCOME)
}

fn trace_id(value: &str) -> Read<String> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if value.len() == 32 && value.bytes().all(is_digit) { Ok(value.to_owned()) } else { Err(NO_TRACE) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = "type=auth.login.failed&user_id=-7&username=a%26b+%C3%BC&session_id=018f0000-0000-7000-8000-000000000001\
        &ip=2001:db8::1&outcome=failure&request_id=018f0000-0000-4000-8000-000000000002\
        &trace_id=0af7651916cd43dd8448eb211c80319c&since=2026-11-28T10:00:00.000001%2B02:00&until=2026-11-29T00:00:00Z\
        &limit=7&cursor=018f0000-0000-7000-8000-000000000003";

    #[test]
    fn every_filter_is_read_and_comes_back_in_the_link_to_the_next_page() {
        let asked = Asked::of(Some(FULL)).unwrap();
        assert_eq!(asked.filters.username.as_deref(), Some("a&b ü"));
        assert_eq!(asked.filters.since.unwrap().to_rfc3339(), "2026-11-28T08:00:00.000001+00:00");
        assert_eq!(
            (asked.limit, asked.before),
            (7, Some("018f0000-0000-7000-8000-000000000003".parse().unwrap()))
        );
        let next = "018f0000-0000-7000-8000-000000000004".parse().unwrap();
        let followed = Asked::of(Some(&asked.next(next))).unwrap();
        assert_eq!(followed, Asked { before: Some(next), ..asked });
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let names = ["user_id", "session_id", "ip", "outcome", "request_id", "trace_id", "since", "until"];
        let query: Vec<_> = names.iter().map(|name| format!("{name}=nonsense")).collect();
        let query = format!("{}&type=%00&username=%00", query.join("&"));
        let said = format!("{:?}", Asked::of(Some(&query)).unwrap_err());
        for name in names.iter().chain(&["type", "username"]) {
            assert!(said.contains(name), "{name}: {said}");
        }
        for query in [
            "limit=0",
            "limit=201",
            "cursor=1",
            "user_id=",
            "until=9999-12-31T23:59:59-01:00",
            "ip=192.0.2.0/24",
            "outcome=Success",
        ] {
            assert!(Asked::of(Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn the_last_value_counts_and_unknown_names_are_ignored() {
        let asked = Asked::of(Some("user_id=nonsense&user_id=7&utm_source=x")).unwrap();
        assert_eq!(
            asked.filters,
            TrailFilters { user_id: Some(shared::ids::UserId(7)), ..TrailFilters::default() }
        );
        assert_eq!(Asked::of(None).unwrap().limit, LIMIT);
    }

    /// The trail has addresses of IPv4 in their own form, whichever listener they came by.
    #[test]
    fn an_address_of_ipv4_is_the_same_in_its_form_of_ipv6() {
        let asked = Asked::of(Some("ip=::ffff:203.0.113.9")).unwrap();
        assert_eq!(asked.filters.ip, Some("203.0.113.9".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused(query in ".{0,200}", name in any::<String>()) {
            let _ = Asked::of(Some(&query));
            let asked = Asked { filters: TrailFilters { username: Some(name.replace('\0', "")), ..TrailFilters::default() },
                before: None, limit: 3 };
            let id = EventId(uuid::Uuid::nil());
            prop_assert_eq!(Asked::of(Some(&asked.next(id))).unwrap(), Asked { before: Some(id), ..asked });
        }
    }
}
