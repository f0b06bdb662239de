//! Pages of a list: `?limit=` and `?cursor=`, and the `Link` to the next one.

use std::fmt::Display;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderValue, header};

use crate::problem::{FieldErrors, Problem};

/// The page that a query string asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageAsked<C> {
    /// How many it has at the most.
    pub limit: u16,
    /// After which place it begins; none for the first.
    pub after: Option<C>,
}

impl<C: FromStr> PageAsked<C> {
    /// Reads it; 400 with everything that is wrong. The last of several values counts, as in a form.
    pub fn of(query: Option<&str>, limit: u16, limit_max: u16) -> Result<Self, Problem> {
        let (mut wanted, mut cursor) = (None, None);
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "limit" => wanted = Some(value),
                "cursor" => cursor = Some(value),
                _ => {}
            }
        }
        let mut errors = FieldErrors::new();
        let limit = match wanted.map(|limit| limit.parse()) {
            None => limit,
            Some(Ok(limit)) if (1..=limit_max).contains(&limit) => limit,
            Some(_) => {
                errors.add("limit", format!("A number from 1 to {limit_max} is required."));
                limit
            }
        };
        let after = cursor.and_then(|cursor| {
            let after = cursor.parse().ok();
            if after.is_none() {
                errors.add("cursor", "Invalid cursor.");
            }
            after
        });
        if errors.is_empty() { Ok(Self { limit, after }) } else { Err(Problem::field_errors(errors)) }
    }
}

/// The header that says where the next page is, if there is one. A path alone: behind a proxy nobody knows how the client
/// spells the host, and what a client says of it is never repeated.
pub fn next_page(path: &str, limit: u16, next: Option<impl Display>) -> HeaderMap {
    let link = next.map(|next| format!("<{path}?limit={limit}&cursor={next}>; rel=\"next\""));
    let link = link.and_then(|link| HeaderValue::try_from(link).ok());
    link.into_iter().map(|link| (header::LINK, link)).collect()
}
