//! What a client asks for in the request that opens its socket: pure reading of query and headers.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use form_urlencoded::parse;

use crate::problem::{FieldErrors, Problem};

/// The protocol that is spoken here.
pub(super) const PROTOCOL: &str = "warren.tasks.v1";
/// A subprotocol that begins so is an access token: browsers can send no header of their own with a handshake.
const BEARER: &str = "bearer.";
/// How many tasks the list has, unless the client says otherwise.
pub(super) const LIMIT_DEFAULT: i64 = 4;
/// The most that it may have.
pub(super) const LIMIT_MAX: i64 = 100;
/// Parameters in which people send tokens.
const TOKEN_PARAMETERS: [&str; 12] = [
    "token",
    "access",
    "access_token",
    "accesstoken",
    "jwt",
    "bearer",
    "auth",
    "authorization",
    "refresh",
    "refresh_token",
    "id_token",
    "api_key",
];

/// What the query asks for. A token in it is refused whatever it is worth: addresses are logged and remembered.
pub(super) fn limit(query: Option<&str>) -> Result<i64, Problem> {
    let mut limit = LIMIT_DEFAULT;
    for (name, value) in parse(query.unwrap_or_default().as_bytes()) {
        let shows_a_token = looks_like_a_token(&name) || looks_like_a_token(&value);
        let name = name.to_ascii_lowercase();
        if shows_a_token || TOKEN_PARAMETERS.contains(&name.as_str()) {
            return Err(Problem::non_field_error(
                "A token in the URL is refused, as URLs are logged. Send it as the subprotocol \
                 \"bearer.<token>\" beside \"warren.tasks.v1\", or in the first message.",
            ));
        }
        if name == "limit" {
            limit = read_limit(&value)?;
        }
    }
    Ok(limit)
}

/// Whether three parts of base64url, of which the first is a JSON object, stand in it, perhaps behind a scheme.
fn looks_like_a_token(text: &str) -> bool {
    text.split(|it: char| it.is_whitespace() || it == ',')
        .any(|word| word.find("eyJ").is_some_and(|at| word[at..].split('.').count() == 3))
}

fn read_limit(value: &str) -> Result<i64, Problem> {
    let refuse = |text: String| {
        let mut fields = FieldErrors::new();
        fields.add("limit", text);
        Err(Problem::field_errors(fields))
    };
    match value.trim().parse() {
        Err(_) => refuse("A valid integer is required.".to_owned()),
        Ok(..=0) => refuse("Ensure this value is greater than or equal to 1.".to_owned()),
        Ok(limit) if limit > LIMIT_MAX => {
            refuse(format!("Ensure this value is less than or equal to {LIMIT_MAX}."))
        }
        Ok(limit) => Ok(limit),
    }
}

/// The subprotocols that a client offers. Shown without the token.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Offered {
    /// Whether our protocol is to be selected; a client that offers none speaks it, too.
    pub(super) ours: bool,
    /// The token among them.
    pub(super) token: Option<String>,
}

impl fmt::Debug for Offered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "********");
        formatter.debug_struct("Offered").field("ours", &self.ours).field("token", &token).finish()
    }
}

impl Offered {
    /// Reads all `Sec-WebSocket-Protocol` headers together.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut offered = Self::default();
        let mut count = 0;
        let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().map(HeaderValue::to_str);
        for value in values {
            let value = value.map_err(|_| wrong_protocols())?;
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                count += 1;
                offered.ours |= name == PROTOCOL;
                if let Some(token) = name.strip_prefix(BEARER)
                    && offered.token.replace(token.to_owned()).is_some()
                {
                    return Err(Problem::non_field_error("Offer one \"bearer.<token>\", not several."));
                }
            }
        }
        if count > 0 && !offered.ours { Err(wrong_protocols()) } else { Ok(offered) }
    }
}

/// 400 for a client that speaks something else.
pub(super) fn wrong_protocols() -> Problem {
    Problem::non_field_error(
        "None of the offered subprotocols is spoken here. Offer \"warren.tasks.v1\", and beside it \
         \"bearer.<token>\" unless the token comes in the first message.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<(bool, Option<String>)> {
        let values = values.iter().map(|value| HeaderValue::from_str(value).unwrap());
        let headers = values.map(|value| (header::SEC_WEBSOCKET_PROTOCOL, value)).collect();
        Offered::read(&headers).ok().map(|offered| (offered.ours, offered.token))
    }

    #[test]
    fn our_protocol_must_be_among_those_that_are_offered_and_a_token_may_be() {
        let token = || Some("a.b.c".to_owned());
        assert_eq!(read(&[]), Some((false, None)));
        assert_eq!(read(&["warren.tasks.v1"]), Some((true, None)));
        assert_eq!(read(&["warren.tasks.v1, bearer.a.b.c"]), Some((true, token())));
        assert_eq!(read(&["bearer.a.b.c", " ,warren.tasks.v1"]), Some((true, token())));
        assert_eq!(read(&["bearer.a.b.c"]), None, "a browser would refuse an answer that selects nothing");
        assert_eq!(read(&["graphql-ws"]), None);
        assert_eq!(read(&["warren.tasks.v1, bearer.a, bearer.b"]), None);
        assert_eq!(read(&["warren.tasks.v1, Bearer.a"]), Some((true, None)));
    }

    #[test]
    fn what_is_offered_is_shown_without_the_token() {
        let offered = Offered { ours: true, token: Some("secret".to_owned()) };
        assert!(!format!("{offered:?}").contains("secret"));
    }

    #[test]
    fn a_token_in_the_query_is_refused_however_it_is_called() {
        for query in [
            "token=a",
            "limit=4&access_token=a",
            "JWT=a",
            "Authorization=Bearer%20a",
            "token",
            "%74oken=a",
            "x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "limit=4&eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln&x",
            "x=Bearer%20eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "protocols=warren.tasks.v1,bearer.eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        ] {
            assert!(limit(Some(query)).is_err(), "{query}");
        }
        assert_eq!(limit(Some("x=eyJustAName&y=1.2.3")), Ok(4));
    }

    #[test]
    fn the_list_is_as_long_as_the_client_says_within_bounds() {
        assert_eq!(limit(None), Ok(4));
        assert_eq!(limit(Some("")), Ok(4));
        assert_eq!(limit(Some("limit=1")), Ok(1));
        assert_eq!(limit(Some("limit=100")), Ok(100));
        for query in
            ["limit=0", "limit=-1", "limit=101", "limit=four", "limit=", "limit=99999999999999999999"]
        {
            assert!(limit(Some(query)).is_err(), "{query}");
        }
    }
}
