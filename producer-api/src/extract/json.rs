//! `application/json`, strictly: no BOM, no `NaN`, nothing after the value, no endless nesting.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::Fields;
use crate::problem::Problem;

/// How deep lists and objects may lie in each other. Python gives up near 1000, with an exception.
const DEPTH_MAX: usize = 128;

/// How many different names an object may have, so that a small body can't become a large map.
const MEMBERS_MAX: usize = 10_000;

/// Reads an object's members; any other value is refused by its Python name.
pub(crate) fn parse(bytes: &[u8]) -> Result<Fields, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed(&format!("'utf-8' codec can't decode byte at {}", error.valid_up_to())))?;
    if is_too_deep(text) {
        return Err(malformed("maximum nesting depth exceeded"));
    }
    let text = text.trim_start_matches([' ', '\t', '\n', '\r']);
    if text.starts_with('{') {
        let Members(members) = serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
        return Ok(Fields::of_json(members));
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| malformed(&error.to_string()))?;
    Err(Problem::non_field_error(&not_an_object(text)))
}

fn malformed(reason: &str) -> Problem {
    Problem::parse_error(format!("JSON parse error - {reason}"))
}

/// What DRF says of a valid value that is not an object.
fn not_an_object(text: &str) -> String {
    let python_type = match text.as_bytes().first() {
        Some(b'n') => return "No data provided".to_owned(),
        Some(b'[') => "list",
        Some(b'"') => "str",
        Some(b't' | b'f') => "bool",
        _ if text.contains(['.', 'e', 'E']) => "float",
        _ => "int",
    };
    format!("Invalid data. Expected a dictionary, but got {python_type}.")
}

/// serde's reader passes over what nobody asked for without recursion, however deep it is; Django's fails with a
/// 500 there. Brackets inside strings don't count.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// An object's members; of a repeated name the last.
struct Members(HashMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = HashMap::new();
        while let Some((name, value)) = access.next_entry()? {
            members.insert(name, value);
            if members.len() > MEMBERS_MAX {
                return Err(A::Error::custom(format_args!("more than {MEMBERS_MAX} members")));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FieldCheck;
    use super::*;

    fn detail(body: impl AsRef<[u8]>) -> String {
        let problem = parse(body.as_ref()).unwrap_err();
        assert_eq!(problem.status(), 400);
        problem.detail().to_owned()
    }

    #[test]
    fn the_last_of_repeated_names_counts_and_unknown_ones_are_ignored() {
        let fields = parse(br#" {"email": {"a": []}, "token": 1, "token": "b"} "#).unwrap();
        assert_eq!(FieldCheck::new(&fields).text("token"), "b");
    }

    #[test]
    fn a_value_that_is_not_an_object_is_refused_by_its_python_name() {
        for (body, python_type) in [
            ("[]", "list"),
            ("[{}]", "list"),
            ("\"a\"", "str"),
            ("12", "int"),
            ("-0", "int"),
            ("1.0", "float"),
            ("1e2", "float"),
            ("1E400", "float"),
            ("true", "bool"),
            (" false\n", "bool"),
        ] {
            assert_eq!(
                detail(body),
                format!("Invalid data. Expected a dictionary, but got {python_type}."),
                "{body}"
            );
        }
        assert_eq!(detail("null"), "No data provided");
    }

    #[test]
    fn malformed_json_is_a_parse_error() {
        let deep = format!(r#"{{"a": {}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let bodies: [&[u8]; 20] = [
            b"{",
            b"{]",
            b" ",
            b"x",
            b"{} x",
            b"{}{}",
            b"[] []",
            b"NaN",
            b"{\"a\": NaN}",
            b"{\"a\": Infinity}",
            b"{\"a\": -Infinity}",
            b"{\"a\": 01}",
            b"{'a': 1}",
            b"{\"a\": 1,}",
            b"{\"a\": \"\n\"}",
            b"{\"a\": \"\\x\"}",
            b"\xef\xbb\xbf{}",
            b"{\"a\": \"\xff\"}",
            b"\xff\xfe{\x00}\x00",
            deep.as_bytes(),
        ];
        for body in bodies {
            let detail = detail(body);
            assert!(detail.starts_with("JSON parse error - "), "{detail}");
        }
    }

    #[test]
    fn brackets_in_strings_are_not_nesting_and_neither_are_brackets_side_by_side() {
        let brackets = "[".repeat(1000);
        assert!(parse(format!(r#"{{"a": "\\\"{brackets}"}}"#).as_bytes()).is_ok());
        assert!(parse(format!(r#"{{"a": [{}[]]}}"#, "[],".repeat(1000)).as_bytes()).is_ok());
    }

    #[test]
    fn more_names_than_anybody_needs_are_refused() {
        let members: Vec<_> = (0..=MEMBERS_MAX).map(|name| format!(r#""{name}": 1"#)).collect();
        assert!(detail(format!("{{{}}}", members.join(","))).contains("more than 10000 members"));
    }
}
