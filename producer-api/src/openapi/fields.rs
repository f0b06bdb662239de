//! The fields of request bodies, as `extract::FieldCheck` takes them.
//!
//! In JSON a text may also be a number, which counts as the text that Python makes of it; in a form everything is a text.
//! White space around a text does not count, so the rules about lengths are patterns, not `maxLength`.

use serde_json::{Value, json};

/// Outer white space that is cut off: `extract::python_text::stripped`.
const SPACE: &str = r"\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// A field of a body.
#[derive(Debug, Clone)]
pub struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) example: Value,
    in_json: Value,
    in_forms: Value,
}

impl Field {
    fn new(name: &'static str, example: Value, in_json: Value, in_forms: Value) -> Self {
        Self { name, required: true, example, in_json, in_forms }
    }

    /// One that is ignored where it is no text.
    pub fn ignored_unless_text(name: &'static str, example: &str) -> Self {
        let field = Self::new(name, json!(example), json!({}), json!({ "type": "string" }));
        Self { required: false, ..field }
    }

    /// One that may be left out; an empty one of a form is left out, too.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self.in_forms = json!({ "anyOf": [self.in_forms, { "const": "" }] });
        self
    }

    /// One that may be left out; one of a form that is empty was sent.
    #[must_use]
    pub fn or_left_out(mut self) -> Self {
        self.required = false;
        self
    }

    /// One that may be empty.
    #[must_use]
    pub fn blankable(mut self) -> Self {
        self.required = false;
        let empty = json!({ "type": "string", "pattern": format!("^[{SPACE}]*$") });
        self.in_forms = json!({ "anyOf": [self.in_forms, empty] });
        self.in_json = json!({ "anyOf": [self.in_json, empty] });
        self
    }

    /// With words about it.
    #[must_use]
    pub fn about(mut self, words: &str) -> Self {
        self.in_json["description"] = words.into();
        self.in_forms["description"] = words.into();
        self
    }

    pub(super) fn schema(&self, in_json: bool) -> Value {
        if in_json { self.in_json.clone() } else { self.in_forms.clone() }
    }
}

/// A text that is not blank.
pub fn text(name: &'static str, example: &str) -> Field {
    number_or_text(name, example, &not_blank("*"))
}

/// A text of at most so many characters, outer white space not counted.
pub fn short_text(name: &'static str, example: &str, characters_max: usize) -> Field {
    number_or_text(name, example, &not_blank(&format!("{{0,{}}}", characters_max.saturating_sub(2))))
}

/// A text whose length is limited somewhere far off.
pub fn long_text(name: &'static str, example: &str, characters_max: usize) -> Field {
    let mut field = text(name, example);
    field.in_json["maxLength"] = characters_max.into();
    field.in_forms["maxLength"] = characters_max.into();
    field
}

/// A text whose white space counts: a new password.
pub fn exact_text(name: &'static str, example: &str) -> Field {
    let mut field = number_or_text(name, example, r"^[^\u0000]+$");
    field.in_json["format"] = "password".into();
    field.in_forms["format"] = "password".into();
    field
}

/// A username: letters and digits of any script, and `@.+-_`.
pub fn name_of_user(name: &'static str, example: &str, characters_max: usize) -> Field {
    let letters = format!(r"[\p{{L}}\p{{N}}@.+_\-]{{1,{characters_max}}}");
    number_or_text(name, example, &format!("^[{SPACE}]*{letters}[{SPACE}]*$"))
}

/// An e-mail address. No number is one.
pub fn email_address(name: &'static str, example: &str) -> Field {
    let word = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+";
    let label = r"[\p{L}\p{N}](?:[\p{L}\p{N}\-]{0,61}[\p{L}\p{N}])?";
    let pattern = format!(r"^[{SPACE}]*{word}(?:\.{word})*@{label}(?:\.{label})+[{SPACE}]*$");
    let schema = json!({ "type": "string", "pattern": pattern, "maxLength": 254 });
    Field::new(name, json!(example), schema.clone(), schema)
}

/// A duration, as Django's `DurationField` reads it.
pub fn duration(name: &'static str, example: &str, seconds_max: i64) -> Field {
    let standard =
        r"(?:-?[0-9]{1,14} (?:days?, )?)?-?(?:(?:[0-9]{1,14}:)?[0-9]{1,14}:)?[0-9]{1,14}(?:[.,][0-9]{1,12})?";
    let number = r"[0-9]{1,14}(?:[.,][0-9]+)?";
    let iso = format!("[+-]?P(?:{number}D)?(?:T(?:{number}H)?(?:{number}M)?(?:{number}S)?)?");
    let postgres = r"(?:-?[0-9]{1,14} days? ?)?(?:[+-]?[0-9]{1,14}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)?";
    let pattern = format!("^[{SPACE}]*(?:{standard}|{iso}|{postgres})[{SPACE}]*$");
    let words = "More than zero and at most 366 days. Seconds, `[D ][[HH:]MM:]SS[.ffffff]`, ISO 8601 such as `PT1H30M`, or \
                 PostgreSQL's `1 day 02:00:00`.";
    let text = json!({ "type": "string", "pattern": pattern, "minLength": 1 });
    // Python writes a smaller number with an exponent, which is no duration.
    let number = json!({ "type": "number", "minimum": 0.0001, "maximum": seconds_max });
    Field::new(name, json!(example), json!({ "anyOf": [text, number] }), text).about(words)
}

/// A moment, as RFC 3339 writes it.
pub fn instant(name: &'static str, example: &str) -> Field {
    let schema = json!({ "type": "string", "format": "date-time" });
    Field::new(name, json!(example), schema.clone(), schema)
}

/// A whole number from 0 to a limit.
pub fn number(name: &'static str, example: u32, max: u32) -> Field {
    // A pattern can't compare: of texts the limit's own number of digits is left out.
    let pattern = format!("^[0-9]{{1,{}}}$", max.to_string().len() - 1);
    let schema = json!({ "type": ["integer", "string"], "minimum": 0, "maximum": max, "pattern": pattern });
    Field::new(name, json!(example), schema.clone(), schema)
}

/// From the first character that counts to the last one, with `between` for how many lie between them.
fn not_blank(between: &str) -> String {
    let counts = format!(r"[^\u0000{SPACE}]");
    format!(r"^[{SPACE}]*{counts}(?:[^\u0000]{between}{counts})?[{SPACE}]*$")
}

fn number_or_text(name: &'static str, example: &str, pattern: &str) -> Field {
    Field::new(
        name,
        json!(example),
        json!({ "type": ["string", "number"], "pattern": pattern }),
        json!({ "type": "string", "pattern": pattern }),
    )
}
