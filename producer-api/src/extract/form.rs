//! `application/x-www-form-urlencoded`.

use super::fields::{Fields, Member};
use crate::problem::Problem;

/// Django's `DATA_UPLOAD_MAX_NUMBER_FIELDS`.
pub(super) const FIELDS_MAX: usize = 1000;

/// Reads a form. Bytes that are not UTF-8 are replaced, never refused.
pub(super) fn parse(bytes: &[u8]) -> Result<Fields, Problem> {
    let pairs = || form_urlencoded::parse(bytes);
    if pairs().nth(FIELDS_MAX).is_some() {
        return Err(too_many_fields());
    }
    Ok(Fields::of_form(pairs().map(|(name, value)| (name.into_owned(), Member::Text(value.into_owned())))))
}

pub(super) fn too_many_fields() -> Problem {
    Problem::parse_error(format!("Too many form fields: at most {FIELDS_MAX} are read."))
}

#[cfg(test)]
mod tests {
    use super::super::FieldCheck;
    use super::*;

    #[test]
    fn a_form_value_is_decoded_and_the_last_of_its_name_counts() {
        for (form, expected) in [
            ("token=a", "a"),
            ("token=a&token=b", "b"),
            ("x=1&token=a+b%20c%2B", "a b c+"),
            ("token=%C3%A9", "é"),
            ("token=%ff", "\u{fffd}"),
            ("token=%zz", "%zz"),
            ("token=123", "123"),
        ] {
            let fields = parse(form.as_bytes()).unwrap();
            assert_eq!(FieldCheck::new(&fields).text("token"), expected, "{form}");
        }
    }

    #[test]
    fn a_thousand_fields_are_read_and_one_more_is_refused() {
        assert!(parse("a=1&".repeat(1000).as_bytes()).is_ok());
        assert_eq!(parse("a=1&".repeat(1001).as_bytes()).unwrap_err().status(), 400);
    }
}
