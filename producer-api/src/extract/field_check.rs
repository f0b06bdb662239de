//! Takes text out of a body's fields by DRF's rules, and gathers what is wrong with all of them.

use super::fields::{Fields, Member};
use super::json_text::{self, JsonText};
use super::python_text;
use crate::problem::{FieldErrors, Problem};

const REQUIRED: &str = "This field is required.";
const BLANK: &str = "This field may not be blank.";
const NULL: &str = "This field may not be null.";
const NOT_A_STRING: &str = "Not a valid string.";
const NUL_CHARACTERS: &str = "Null characters are not allowed.";

/// A check of several fields. Errors are reported in the order in which the fields were first found wrong.
#[derive(Debug)]
pub struct FieldCheck<'a> {
    fields: &'a Fields,
    errors: FieldErrors,
}

impl<'a> FieldCheck<'a> {
    /// A check that has found nothing yet.
    pub fn new(fields: &'a Fields) -> Self {
        Self { fields, errors: FieldErrors::new() }
    }

    /// A required text, trimmed; empty when it is refused.
    pub fn text(&mut self, name: &str) -> String {
        self.take(name, Outer::Trimmed).unwrap_or_default()
    }

    /// A required text with its outer white space; empty when it is refused.
    pub fn untrimmed_text(&mut self, name: &str) -> String {
        self.take(name, Outer::Kept).unwrap_or_default()
    }

    /// What Python's `str` makes of a required value, untrimmed and maybe empty, for fields that DRF reads by that: of
    /// what is neither text nor number, something that reads as neither. `None` when it is absent or null.
    pub fn as_python_str(&mut self, name: &str) -> Option<String> {
        match self.fields.get(name) {
            Some(Member::File) => Some("a file".to_owned()),
            Some(Member::Json(raw)) if raw.get().starts_with(['t', 'f', '[', '{']) => {
                Some(raw.get().to_owned())
            }
            member => match converted(member) {
                Ok(value) => Some(value.text),
                Err(texts) => {
                    self.add(name, texts);
                    None
                }
            },
        }
    }

    /// A text that may be absent, trimmed; `None` when it is absent or refused. As in DRF, an empty field of a form
    /// is absent.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        if self.fields.is_left_out(name) { None } else { self.take(name, Outer::Trimmed) }
    }

    /// A text that may be empty, trimmed; `None` when it is absent or refused.
    pub fn blankable_text(&mut self, name: &str) -> Option<String> {
        let member = Some(self.fields.get(name)?);
        let is_blank = converted(member).is_ok_and(|value| python_text::stripped(&value.text).is_empty());
        if is_blank { Some(String::new()) } else { self.take(name, Outer::Trimmed) }
    }

    /// Adds what a rule of the caller's finds wrong with a field.
    pub fn refuse(&mut self, name: &str, text: impl Into<String>) {
        self.errors.add(name, text);
    }

    /// Whether something is wrong with the field.
    pub fn refused(&self, name: &str) -> bool {
        self.errors.contains(name)
    }

    /// 400 with everything that is wrong.
    pub fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::field_errors(self.errors)) }
    }

    fn take(&mut self, name: &str, outer: Outer) -> Option<String> {
        match converted(self.fields.get(name)).and_then(|text| allowed(text, outer)) {
            Ok(text) => Some(text),
            Err(texts) => {
                self.add(name, texts);
                None
            }
        }
    }

    fn add(&mut self, name: &str, texts: Vec<String>) {
        for text in texts {
            self.errors.add(name, text);
        }
    }
}

/// What becomes of white space around a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outer {
    Trimmed,
    Kept,
}

/// A member as text, if it can be one.
fn converted(member: Option<&Member>) -> Result<JsonText, Vec<String>> {
    let raw = match member {
        None => return refused(REQUIRED),
        Some(Member::File) => return refused(NOT_A_STRING),
        Some(Member::Text(text)) => return Ok(JsonText::plain(text.clone())),
        Some(Member::Json(raw)) => raw.get(),
    };
    match raw.as_bytes().first() {
        Some(b'"') => json_text::decode(raw).or_else(|_| refused(NOT_A_STRING)),
        Some(b'-' | b'0'..=b'9') => Ok(JsonText::plain(python_text::of_number(raw))),
        Some(b'n') => refused(NULL),
        _ => refused(NOT_A_STRING),
    }
}

/// The text as it goes on, or all that is wrong with it.
fn allowed(JsonText { text, lone_surrogate }: JsonText, outer: Outer) -> Result<String, Vec<String>> {
    let kept = match outer {
        Outer::Trimmed => python_text::stripped(&text),
        Outer::Kept => &text,
    };
    if kept.is_empty() {
        return refused(BLANK);
    }
    let nul = kept.contains('\0').then(|| NUL_CHARACTERS.to_owned());
    let surrogate = lone_surrogate.map(|code| format!("Surrogate characters are not allowed: U+{code:X}."));
    let wrong: Vec<_> = nul.into_iter().chain(surrogate).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(if kept.len() == text.len() { text } else { kept.to_owned() })
}

fn refused<T>(text: &str) -> Result<T, Vec<String>> {
    Err(vec![text.to_owned()])
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::super::{form, json};
    use super::*;

    async fn body_of(problem: Problem) -> String {
        let bytes = problem.into_response().into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn each_rule_has_its_text_and_the_rules_have_their_order() {
        for (value, texts) in [
            (r#""""#, r#"["This field may not be blank."]"#),
            (r#"" \t\u001c\u3000 ""#, r#"["This field may not be blank."]"#),
            ("null", r#"["This field may not be null."]"#),
            ("true", r#"["Not a valid string."]"#),
            ("false", r#"["Not a valid string."]"#),
            ("[]", r#"["Not a valid string."]"#),
            (r#"["a"]"#, r#"["Not a valid string."]"#),
            (r#"{"a": 1}"#, r#"["Not a valid string."]"#),
            (r#""a\u0000b""#, r#"["Null characters are not allowed."]"#),
            (r#""\u0000""#, r#"["Null characters are not allowed."]"#),
            (r#""a\ud800""#, r#"["Surrogate characters are not allowed: U+D800."]"#),
            (
                r#""\u0000\udc00\ud800""#,
                r#"["Null characters are not allowed.","Surrogate characters are not allowed: U+DC00."]"#,
            ),
        ] {
            let fields = json::parse(format!(r#"{{"token": {value}}}"#).as_bytes()).unwrap();
            let mut check = FieldCheck::new(&fields);
            assert_eq!(check.optional_text("token"), None);
            assert!(check.refused("token"), "{value}");
            let mut check = FieldCheck::new(&fields);
            assert_eq!(check.text("token"), "");
            assert!(check.refused("token"), "{value}");
            assert_eq!(body_of(check.finish().unwrap_err()).await, format!(r#"{{"token":{texts}}}"#));
        }
    }

    #[test]
    fn a_text_is_trimmed_and_a_number_becomes_text() {
        for (value, text) in [
            (r#"" secret ""#, "secret"),
            (r#""\u001fa b\u00a0""#, "a b"),
            (r#""\u200ba""#, "\u{200b}a"),
            (r#""\ud83d\ude00""#, "😀"),
            ("123", "123"),
            ("4.5", "4.5"),
            ("1e2", "100.0"),
            ("-0", "0"),
        ] {
            let fields = json::parse(format!(r#"{{"token": {value}}}"#).as_bytes()).unwrap();
            let mut check = FieldCheck::new(&fields);
            assert_eq!(check.text("token"), text);
            assert_eq!(check.optional_text("token").as_deref(), Some(text));
            assert!(check.finish().is_ok());
        }
    }

    #[test]
    fn an_untrimmed_text_keeps_its_outer_white_space_and_may_be_nothing_else() {
        let fields = json::parse(br#"{"password": " \t", "empty": ""}"#).unwrap();
        let mut check = FieldCheck::new(&fields);
        assert_eq!(check.untrimmed_text("password"), " \t");
        assert!(!check.refused("password"));
        assert_eq!(check.untrimmed_text("empty"), "");
        assert!(check.refused("empty"));
    }

    #[tokio::test]
    async fn all_fields_are_reported_together_in_the_order_of_the_checks() {
        let fields = json::parse(br#"{"refresh": null, "title": "long"}"#).unwrap();
        let mut check = FieldCheck::new(&fields);
        let _ = (check.text("username"), check.text("title"), check.optional_text("refresh"));
        check.refuse("title", "Too long.");
        check.refuse("username", "Taken.");
        assert_eq!(
            body_of(check.finish().unwrap_err()).await,
            r#"{"username":["This field is required.","Taken."],"refresh":["This field may not be null."],"title":["Too long."]}"#
        );
    }

    #[test]
    fn an_absent_optional_text_is_no_error_and_neither_is_an_empty_one_of_a_form() {
        for (fields, refused) in [
            (Fields::none(), false),
            (form::parse(b"refresh=").unwrap(), false),
            (form::parse(b"refresh=+").unwrap(), true),
            (json::parse(br#"{"refresh": ""}"#).unwrap(), true),
        ] {
            let mut check = FieldCheck::new(&fields);
            assert_eq!(check.optional_text("refresh"), None);
            assert_eq!(check.refused("refresh"), refused);
        }
    }
}
