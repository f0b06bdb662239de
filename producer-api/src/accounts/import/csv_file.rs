//! CSV with a header. Columns that nobody asks for are passed over.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord};
use serde_json::Value;

use super::record::{Entry, Record};
use super::source::ReadError;

/// Reads all of it. A row that can't be read is given as such, and the next one follows.
pub(super) fn read(
    text: impl Read,
    mut send: impl FnMut(Entry) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut reader = ReaderBuilder::new().from_reader(text);
    let names: Vec<String> = reader
        .headers()
        .map_err(ReadError::Csv)?
        .iter()
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    if !names.iter().any(|name| name == "username") {
        return Err(ReadError::Header);
    }
    let mut cells = StringRecord::new();
    for row in 1.. {
        let fields = match reader.read_record(&mut cells) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let values = cells.iter().map(|cell| Value::String(cell.to_owned()));
                Ok(names.iter().cloned().zip(values).collect())
            }
            Err(error) => Err(fault(error)?),
        };
        send(Entry::User(Record { row, fields }))?;
    }
    Ok(())
}

/// What is wrong with one row; an error if it is the whole file.
fn fault(error: csv::Error) -> Result<String, ReadError> {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Ok(format!("it has {len} cells where the header has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { .. } => Ok("it is not UTF-8".to_owned()),
        _ => Err(ReadError::Csv(error)),
    }
}
