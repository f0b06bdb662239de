//! `multipart/form-data`.

use axum::body::{Body, Bytes};
use multer::Multipart;

use super::fields::{Fields, Member};
use super::form::{FIELDS_MAX, too_many_fields};
use crate::problem::Problem;

const BOUNDARY_BYTES_MAX: usize = 201;

/// Reads a multipart form. Its texts need not be UTF-8; a part without a name is passed over.
pub(super) async fn parse(bytes: Bytes, boundary: Option<&str>) -> Result<Fields, Problem> {
    let boundary = boundary
        .filter(|boundary| is_boundary(boundary))
        .ok_or_else(|| broken(&format!("Invalid boundary in multipart: {}", boundary.unwrap_or("None"))))?;
    let mut parts = Multipart::new(Body::from(bytes).into_data_stream(), boundary);
    let (mut texts, mut files) = (Vec::new(), Vec::new());
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error.to_string()))? {
        if texts.len() + files.len() == FIELDS_MAX {
            return Err(too_many_fields());
        }
        let Some(name) = part.name().map(str::to_owned) else { continue };
        // A form's empty file input sends an empty file name, and Django takes that for a text.
        if part.file_name().is_some_and(|file_name| !file_name.is_empty()) {
            files.push((name, Member::File));
        } else {
            let bytes = part.bytes().await.map_err(|error| broken(&error.to_string()))?;
            texts.push((name, Member::Text(String::from_utf8_lossy(&bytes).into_owned())));
        }
    }
    // DRF adds the files after the texts, so a file wins over a text of its name.
    Ok(Fields::of_form(texts.into_iter().chain(files)))
}

fn broken(reason: &str) -> Problem {
    Problem::parse_error(format!("Multipart form parse error - {reason}"))
}

fn is_boundary(boundary: &str) -> bool {
    let printable = boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    printable && !boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX && !boundary.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::super::FieldCheck;
    use super::*;

    fn part(disposition: &str, content: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    }

    async fn read(parts: &[String]) -> Fields {
        parse(format!("{}--b--\r\n", parts.concat()).into(), Some("b")).await.unwrap()
    }

    #[tokio::test]
    async fn texts_are_fields_and_the_last_of_a_name_counts() {
        let fields = read(&[
            part("name=\"token\"", "a"),
            part("name=\"token\"", " b "),
            part("name=\"refresh\"; filename=\"\"", "c"),
            part("x=\"y\"", "no name"),
        ])
        .await;
        let mut check = FieldCheck::new(&fields);
        assert_eq!((check.text("token").as_str(), check.text("refresh").as_str()), ("b", "c"));
        assert!(check.finish().is_ok());
    }

    #[tokio::test]
    async fn a_file_is_not_a_valid_string() {
        let fields =
            read(&[part("name=\"token\"; filename=\"t.txt\"", "a"), part("name=\"token\"", "b")]).await;
        let mut check = FieldCheck::new(&fields);
        assert_eq!(check.text("token"), "");
        assert!(check.refused("token"));
    }

    #[tokio::test]
    async fn what_is_broken_is_400_with_the_reason() {
        let cases: [(&str, Option<&str>); 6] = [
            ("--b\r\n", None),
            ("--b\r\n", Some("")),
            ("--b\r\n", Some("b\u{e9}")),
            ("x", Some("b")),
            ("--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nno end", Some("b")),
            ("--b\r\nno header\r\n\r\n\r\n--b--\r\n", Some("b")),
        ];
        for (body, boundary) in cases {
            let problem = parse(Bytes::from_static(body.as_bytes()), boundary).await.unwrap_err();
            assert_eq!(problem.status(), 400);
            assert!(problem.detail().starts_with("Multipart form parse error - "), "{}", problem.detail());
        }
    }
}
