//! Where accounts come from: a file, whose form is seen from its first character, or Django's database.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use shared::config::Secret;
use tokio::sync::mpsc;

use super::record::{Entry, Model};
use super::{csv_file, django_database, json_file};

/// What some editors write in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Where accounts come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// CSV with a header, the JSON array of `dumpdata`, or JSON lines.
    File(PathBuf),
    /// The PostgreSQL database of a Django project.
    Database(Secret),
}

/// Why a source can't be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be read.
    #[error("the file can't be read")]
    File(#[source] std::io::Error),
    /// The file is no CSV, or its header lacks the names.
    #[error("the file is no CSV that can be read")]
    Csv(#[source] csv::Error),
    /// A name is missing in the header.
    #[error("the header has no column `username`; the first line must name the columns")]
    Header,
    /// The array breaks off or is no JSON.
    #[error("the file is no JSON that can be read")]
    Json(#[source] serde_json::Error),
    /// Django's database refused.
    #[error("Django's database can't be read")]
    Database(#[source] sqlx::Error),
    /// Django's database has no such table.
    #[error("Django's database has no table `{0}`; name its user model by --model, such as accounts.user")]
    NoTable(String),
    /// Nobody wants more of it: the import has ended before.
    #[error("the import has ended before the source")]
    Unwanted,
}

/// Reads a source to its end. A slow reader at the other end slows it down.
pub(super) async fn read(
    source: Source,
    model: Model,
    now: DateTime<Utc>,
    entries: mpsc::Sender<Entry>,
) -> Result<(), ReadError> {
    match source {
        Source::Database(url) => django_database::read(&url, &model, now, &entries).await,
        Source::File(path) => {
            let send = move |entry| entries.blocking_send(entry).map_err(|_| ReadError::Unwanted);
            let reading = tokio::task::spawn_blocking(move || read_file(&path, &model, send));
            reading.await.unwrap_or(Err(ReadError::Unwanted))
        }
    }
}

fn read_file(
    path: &Path,
    model: &Model,
    send: impl FnMut(Entry) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut file = BufReader::new(File::open(path).map_err(ReadError::File)?);
    read_text(&mut file, model, send)
}

/// Reads a file's text, whatever its form is.
pub(super) fn read_text(
    text: &mut impl BufRead,
    model: &Model,
    send: impl FnMut(Entry) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if text.fill_buf().map_err(ReadError::File)?.starts_with(BYTE_ORDER_MARK) {
        text.consume(BYTE_ORDER_MARK.len());
    }
    loop {
        let buffer = text.fill_buf().map_err(ReadError::File)?;
        match buffer.first() {
            Some(byte) if byte.is_ascii_whitespace() => text.consume(1),
            Some(b'[') => return json_file::read_array(text, model, send),
            Some(b'{') => return json_file::read_lines(text, model, send),
            _ => return csv_file::read(text, send),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    /// What a text gives: for each row its number and username, or why it can't be read; a star for another model.
    fn read_all(text: &str) -> Result<Vec<String>, ReadError> {
        let mut found = Vec::new();
        let each = |entry| {
            found.push(match entry {
                Entry::User(Record { row, fields: Ok(fields) }) => {
                    let id = fields.get("id").map(|id| format!("#{id}")).unwrap_or_default();
                    format!("{row} {}{id}", fields["username"].as_str().unwrap_or("?"))
                }
                Entry::User(Record { row, fields: Err(reason) }) => format!("{row} {reason}"),
                Entry::Token(_) => "token".to_owned(),
                Entry::Other => "*".to_owned(),
            });
            Ok(())
        };
        read_text(&mut text.as_bytes(), &"auth.user".parse().unwrap(), each).map(|()| found)
    }

    #[test]
    fn the_form_of_a_file_is_seen_from_its_first_character() {
        for (text, found) in [
            ("username,id\na,1\n\"b \"\"x\"\", y\",2\n", vec![r#"1 a#"1""#, r#"2 b "x", y#"2""#]),
            ("\u{feff} Username ,email\r\na,a@b.c\r\n", vec!["1 a"]),
            ("username,id\na\nb,2\n", vec!["1 it has 1 cells where the header has 2", r#"2 b#"2""#]),
            ("username\n", vec![]),
            (r#"[{"username":"a","id":1},{"username":"b"}]"#, vec!["1 a#1", "2 b"]),
            ("\u{feff}\n []\n", vec![]),
            (
                r#"[{"model":"auth.user","pk":7,"fields":{"username":"a"}},{"model":"auth.group","pk":1,"fields":{}}, 5]"#,
                vec!["1 a#7", "*", "3 it is no object"],
            ),
            (r#"[{"model":"AUTH.User","fields":{"username":"a"}}]"#, vec!["1 a"]),
            (r#"[{"model":"auth.user","fields":5}]"#, vec!["1 its `fields` are no object"]),
            ("{\"username\":\"a\"}\n\n{broken\n{\"username\":\"b\"}", vec!["1 a", "3 it is no JSON", "4 b"]),
        ] {
            assert_eq!(read_all(text).unwrap(), found, "{text}");
        }
    }

    #[test]
    fn a_file_that_can_not_be_told_apart_ends_the_import() {
        assert!(matches!(read_all(""), Err(ReadError::Header)));
        assert!(matches!(read_all("id,email\n1,a"), Err(ReadError::Header)));
        for broken in [r#"[{"username":"a"}"#, r#"[{"username":"a"} {"username":"b"}]"#, "[] x"] {
            assert!(matches!(read_all(broken), Err(ReadError::Json(_))), "{broken}");
        }
    }

    #[test]
    fn whoever_wants_no_more_ends_the_reading() {
        for text in ["username\na\nb", r#"[{"username":"a"},{"username":"b"}]"#, "{}\n{}"] {
            let mut given = 0;
            let model = "auth.user".parse().unwrap();
            let result = read_text(&mut text.as_bytes(), &model, |_| {
                given += 1;
                Err(ReadError::Unwanted)
            });
            assert!(matches!(result, Err(ReadError::Unwanted)) && given == 1, "{text}");
        }
    }
}
