//! A row judged by itself: what an account is made of, or why it can't be one. A pure room.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::Value;

use super::record::{Fields, Record};
use crate::credentials::{Unverifiable, unverifiable};

/// As the table's constraints have it.
const USERNAME_CHARACTERS_MAX: usize = 150;
const EMAIL_CHARACTERS_MAX: usize = 254;
const NAME_CHARACTERS_MAX: usize = 150;
/// Every reader of JSON knows numbers up to here exactly, and ids go into tokens as numbers.
const ID_MAX: i64 = 1 << 53;
/// Django's years.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// Django's mark of a password that nobody has.
const UNUSABLE: &str = "!";

/// An account to be made. It holds a hash, so it is never printed.
pub(super) struct ImportedUser {
    pub(super) id: Option<i64>,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) password: String,
    /// Why nobody can log in with it, where Django's admin would not know already.
    pub(super) no_login: Option<Unverifiable>,
    pub(super) is_active: bool,
    pub(super) is_staff: bool,
    pub(super) is_superuser: bool,
    pub(super) date_joined: DateTime<Utc>,
    pub(super) last_login: Option<DateTime<Utc>>,
}

/// Which row it was, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) row: u64,
    pub(super) id: Option<i64>,
    pub(super) username: Option<String>,
}

/// Judges a row; `now` stands in for a `date_joined` that is not given.
pub(super) fn judge(record: Record, now: DateTime<Utc>) -> (Who, Result<ImportedUser, String>) {
    let Record { row, fields } = record;
    match fields {
        Err(reason) => (Who { row, id: None, username: None }, Err(reason)),
        Ok(fields) => {
            let username = text(&fields, "username").ok().flatten().map(str::to_owned);
            (Who { row, id: id(&fields).ok().flatten(), username }, user(&fields, now))
        }
    }
}

fn user(fields: &Fields, now: DateTime<Utc>) -> Result<ImportedUser, String> {
    let id = id(fields)?;
    let username = text(fields, "username")?.ok_or("it has no username")?.to_owned();
    if username.chars().count() > USERNAME_CHARACTERS_MAX {
        return Err(format!("the username has more than {USERNAME_CHARACTERS_MAX} characters"));
    }
    let (password, no_login) = password(text(fields, "password")?.unwrap_or_default());
    Ok(ImportedUser {
        id,
        username,
        email: short_text(fields, "email", EMAIL_CHARACTERS_MAX)?,
        first_name: short_text(fields, "first_name", NAME_CHARACTERS_MAX)?,
        last_name: short_text(fields, "last_name", NAME_CHARACTERS_MAX)?,
        password,
        no_login,
        is_active: flag(fields, "is_active")?.unwrap_or(true),
        is_staff: flag(fields, "is_staff")?.unwrap_or(false),
        is_superuser: flag(fields, "is_superuser")?.unwrap_or(false),
        date_joined: instant(fields, "date_joined")?.unwrap_or(now),
        last_login: instant(fields, "last_login")?,
    })
}

/// What is kept as the password's hash. A text that is no hash may be a password in the clear, and is not kept.
fn password(stored: &str) -> (String, Option<Unverifiable>) {
    match unverifiable(stored) {
        Some(Unverifiable::Unusable) if stored.starts_with(UNUSABLE) => (stored.to_owned(), None),
        Some(reason @ (Unverifiable::Unusable | Unverifiable::NoHash)) => (UNUSABLE.to_owned(), Some(reason)),
        reason => (stored.to_owned(), reason),
    }
}

/// A text that is given and not empty.
fn text<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.contains('\0') => Err(format!("{name} holds a NUL character")),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("{name} is no text")),
    }
}

/// A text that may be missing, of so many characters.
fn short_text(fields: &Fields, name: &str, characters_max: usize) -> Result<String, String> {
    let text = text(fields, name)?.unwrap_or_default();
    if text.chars().count() > characters_max {
        return Err(format!("{name} has more than {characters_max} characters"));
    }
    Ok(text.to_owned())
}

fn id(fields: &Fields) -> Result<Option<i64>, String> {
    let given = ["id", "pk"].into_iter().find_map(|name| fields.get(name));
    let number = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_i64(),
    };
    let number = number.filter(|number| (1..=ID_MAX).contains(number));
    number.map(Some).ok_or_else(|| format!("the id is no whole number from 1 to {ID_MAX}"))
}

fn flag(fields: &Fields, name: &str) -> Result<Option<bool>, String> {
    let word = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Bool(flag)) => return Ok(Some(*flag)),
        Some(Value::String(word)) => word.trim().to_ascii_lowercase(),
        Some(value) => value.to_string(),
    };
    match word.as_str() {
        "" => Ok(None),
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(Some(true)),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(Some(false)),
        _ => Err(format!("{name} is neither true nor false")),
    }
}

/// An instant as Django, PostgreSQL and spreadsheets write it; without an offset it is UTC.
fn instant(fields: &Fields, name: &str) -> Result<Option<DateTime<Utc>>, String> {
    let Some(text) = text(fields, name)?.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let with_offset = |format| DateTime::parse_from_str(text, format).ok().map(|instant| instant.to_utc());
    let naive = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|instant| instant.and_utc());
    let date = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN).and_utc())
    };
    let parsed = DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|instant| instant.to_utc())
        .or_else(|| with_offset("%Y-%m-%d %H:%M:%S%.f%#z"))
        .or_else(|| with_offset("%Y-%m-%dT%H:%M:%S%.f%#z"))
        .or_else(|| naive("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|| naive("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|| naive("%Y-%m-%d %H:%M"))
        .or_else(date);
    let in_range = parsed.filter(|instant| YEARS.contains(&chrono::Datelike::year(instant)));
    in_range.map(Some).ok_or_else(|| format!("{name} is no date and time such as 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HASH: &str = "pbkdf2_sha256$1000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ=";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn judged(fields: &Value) -> Result<ImportedUser, String> {
        judge(Record { row: 1, fields: Ok(fields.as_object().unwrap().clone()) }, now()).1
    }

    #[test]
    fn what_is_not_given_is_as_django_has_it() {
        let user = judged(&json!({ "username": "froggly", "password": HASH, "groups": ["passed over"] }))
            .ok()
            .unwrap();
        assert_eq!(
            (user.id, &*user.email, user.is_active, user.is_staff, user.is_superuser),
            (None, "", true, false, false)
        );
        assert_eq!((&*user.first_name, &*user.last_name), ("", ""));
        assert_eq!((user.date_joined, user.last_login, user.no_login), (now(), None, None));
        assert_eq!(user.password, HASH);
    }

    #[test]
    fn files_and_databases_write_the_same_values_differently() {
        let user = judged(&json!({
            "pk": "7", "username": "froggly", "is_active": "f", "is_staff": 1, "is_superuser": "True", "last_login": "",
        }));
        let user = user.ok().unwrap();
        assert_eq!((user.id, user.is_active, user.is_staff, user.is_superuser), (Some(7), false, true, true));
        assert_eq!(user.last_login, None);
        for text in [
            "2024-01-02T03:04:05.678Z",
            "2024-01-02T03:04:05.678+00:00",
            "2024-01-02T04:04:05.678+01:00",
            "2024-01-02 03:04:05.678+00",
            "2024-01-02 05:34:05.678+02:30",
            "2024-01-02T03:04:05.678",
            " 2024-01-02 03:04:05.678 ",
        ] {
            let user = judged(&json!({ "username": "a", "date_joined": text })).ok().unwrap();
            assert_eq!(user.date_joined.timestamp_millis(), 1_704_164_645_678, "{text}");
        }
        for text in ["2024-01-02", "2024-01-02 00:00", "2024-01-02T00:00:00"] {
            let user = judged(&json!({ "username": "a", "last_login": text })).ok().unwrap();
            assert_eq!(user.last_login.unwrap().timestamp(), 1_704_153_600, "{text}");
        }
    }

    #[test]
    fn a_row_that_will_not_do_says_why() {
        let long = |count| "ü".repeat(count);
        assert!(judged(&json!({ "username": long(150), "email": long(254) })).is_ok());
        for (fields, reason) in [
            (json!({}), "no username"),
            (json!({ "username": "" }), "no username"),
            (json!({ "username": null }), "no username"),
            (json!({ "username": 7 }), "username is no text"),
            (json!({ "username": "a\0b" }), "NUL"),
            (json!({ "username": long(151) }), "more than 150 characters"),
            (json!({ "username": "a", "email": long(255) }), "more than 254 characters"),
            (json!({ "username": "a", "email": ["x"] }), "email is no text"),
            (json!({ "username": "a", "first_name": long(151) }), "first_name has more than 150 characters"),
            (json!({ "username": "a", "last_name": 7 }), "last_name is no text"),
            (json!({ "username": "a", "password": "\0" }), "NUL"),
            (json!({ "username": "a", "id": 0 }), "the id"),
            (json!({ "username": "a", "id": -1 }), "the id"),
            (json!({ "username": "a", "id": 1.5 }), "the id"),
            (json!({ "username": "a", "id": 9_007_199_254_740_993_i64 }), "the id"),
            (json!({ "username": "a", "id": u64::MAX }), "the id"),
            (json!({ "username": "a", "pk": "5f0c9a3e-0000-4000-8000-000000000000" }), "the id"),
            (json!({ "username": "a", "is_active": "perhaps" }), "is_active"),
            (json!({ "username": "a", "is_staff": 2 }), "is_staff"),
            (json!({ "username": "a", "date_joined": "yesterday" }), "date_joined"),
            (json!({ "username": "a", "date_joined": "infinity" }), "date_joined"),
            (json!({ "username": "a", "date_joined": "2024-02-30" }), "date_joined"),
            (json!({ "username": "a", "last_login": "+10000-01-01T00:00:00Z" }), "last_login"),
            (json!({ "username": "a", "last_login": 1_704_164_645 }), "last_login"),
        ] {
            let refused = judged(&fields).err().unwrap_or_default();
            assert!(refused.contains(reason), "{fields}: {refused}");
        }
    }

    #[test]
    fn a_password_in_the_clear_is_never_kept() {
        for (given, kept, no_login) in [
            (HASH, HASH, None),
            ("!random", "!random", None),
            ("", "!", Some(Unverifiable::Unusable)),
            ("correct horse", "!", Some(Unverifiable::NoHash)),
            ("pa$$word", "!", Some(Unverifiable::NoHash)),
            ("md5$salt$0f", "md5$salt$0f", Some(Unverifiable::Unknown)),
            ("scrypt$broken", "scrypt$broken", Some(Unverifiable::Corrupt)),
        ] {
            let user = judged(&json!({ "username": "a", "password": given })).ok().unwrap();
            assert_eq!((user.password.as_str(), user.no_login), (kept, no_login), "{given}");
        }
    }
}
