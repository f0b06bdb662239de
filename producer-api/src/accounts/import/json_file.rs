//! JSON: the array that `manage.py dumpdata` writes, or one object a line. An object is Django's (`model`, `pk`,
//! `fields`) or a plain one.

use std::fmt;
use std::io::{BufRead, Read};

use serde::Deserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde_json::Value;

use super::record::{Entry, Model, Record};
use super::source::ReadError;

/// Reads an array element by element, never as a whole. A fault of its syntax ends it: what follows can't be told apart.
pub(super) fn read_array(
    text: impl Read,
    model: &Model,
    send: impl FnMut(Entry) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut refused = None;
    let mut json = serde_json::Deserializer::from_reader(text);
    let result =
        json.deserialize_seq(Elements { model, send, refused: &mut refused }).and_then(|()| json.end());
    match (refused, result) {
        (Some(error), _) => Err(error),
        (None, result) => result.map_err(ReadError::Json),
    }
}

/// Reads an object a line. A line that is no JSON is given as such, and the next one follows.
pub(super) fn read_lines(
    text: impl BufRead,
    model: &Model,
    mut send: impl FnMut(Entry) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    for (row, line) in (1..).zip(text.split(b'\n')) {
        let line = line.map_err(ReadError::File)?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        send(match serde_json::from_slice(&line) {
            Ok(value) => entry(row, value, model),
            Err(_) => Entry::User(Record { row, fields: Err("it is no JSON".to_owned()) }),
        })?;
    }
    Ok(())
}

struct Elements<'a, S> {
    model: &'a Model,
    send: S,
    /// What the other end said, which serde's errors can't carry.
    refused: &'a mut Option<ReadError>,
}

impl<'de, S: FnMut(Entry) -> Result<(), ReadError>> Visitor<'de> for Elements<'_, S> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut row = 1;
        while let Some(value) = elements.next_element()? {
            if let Err(error) = (self.send)(entry(row, value, self.model)) {
                *self.refused = Some(error);
                return Err(A::Error::custom("nobody wants more"));
            }
            row += 1;
        }
        Ok(())
    }
}

/// One object of a file, or one row of Django's table as JSON.
pub(super) fn entry(row: u64, value: Value, model: &Model) -> Entry {
    let Value::Object(mut object) = value else {
        return Entry::User(Record { row, fields: Err("it is no object".to_owned()) });
    };
    let label = object.get("model").and_then(Value::as_str);
    if label.is_none() || !object.contains_key("fields") {
        return Entry::User(Record { row, fields: Ok(object) });
    }
    if !label.is_some_and(|label| model.is(label)) {
        return Entry::Other;
    }
    let pk = object.remove("pk");
    let fields = match object.remove("fields") {
        Some(Value::Object(mut fields)) => {
            fields.extend(pk.map(|pk| ("id".to_owned(), pk)));
            Ok(fields)
        }
        _ => Err("its `fields` are no object".to_owned()),
    };
    Entry::User(Record { row, fields })
}
