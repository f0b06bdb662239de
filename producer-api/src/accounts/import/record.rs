//! What a source gives: one row after the other, not judged yet.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// The members of a row by Django's names.
pub(super) type Fields = Map<String, Value>;

/// A row of a source.
pub(super) struct Record {
    /// Which, counted from one.
    pub(super) row: u64,
    /// What it holds, or why it can't be read.
    pub(super) fields: Result<Fields, String>,
}

/// What comes out of a source.
pub(super) enum Entry {
    User(Record),
    Token(Token),
    /// An object of another model.
    Other,
}

/// A refresh token that Django gave out and that is still good: its id, never the token.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) jti: String,
    pub(super) user_id: Option<i64>,
    pub(super) username: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) blacklisted_at: Option<DateTime<Utc>>,
}

/// Django's name of a user model, such as `auth.user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    app: String,
    name: String,
}

impl Model {
    /// Whether `label` is its name; Django doesn't mind capitals.
    pub(super) fn is(&self, label: &str) -> bool {
        label.split_once('.').is_some_and(|(app, name)| {
            app.eq_ignore_ascii_case(&self.app) && name.eq_ignore_ascii_case(&self.name)
        })
    }

    /// The table that Django makes for it: letters, digits and `_`, safe in SQL between quotes.
    pub(super) fn table(&self) -> String {
        format!("{}_{}", self.app, self.name)
    }
}

impl FromStr for Model {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match text.split_once('.') {
            Some((app, name)) if is_name(app) && is_name(name) => {
                Ok(Self { app: app.to_ascii_lowercase(), name: name.to_ascii_lowercase() })
            }
            _ => Err("write app.model, such as auth.user"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_an_app_and_a_name_and_nothing_that_sql_could_trip_over() {
        let model: Model = "accounts.User".parse().unwrap();
        assert_eq!(model.table(), "accounts_user");
        assert!(model.is("accounts.user") && model.is("Accounts.USER") && !model.is("auth.user"));
        for wrong in ["", "user", ".user", "auth.", "a.b.c", "auth.us er", r#"auth.us"er"#, "auth.üser"] {
            assert!(wrong.parse::<Model>().is_err(), "{wrong}");
        }
    }
}
