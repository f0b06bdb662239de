//! AMQP headers as JSON, for a reader's eyes and for PostgreSQL.

use chrono::DateTime;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

/// How deep they are told. RabbitMQ's own have three levels; `jsonb` takes some thousand, and refuses the whole otherwise.
const DEPTH_MAX: u8 = 32;

/// All of a table; what is nested deeper than anybody nests is an ellipsis.
pub(crate) fn as_json(table: &FieldTable) -> Value {
    table_as_json(table, DEPTH_MAX)
}

fn table_as_json(table: &FieldTable, depth: u8) -> Value {
    let entries = table.inner().iter();
    Value::Object(
        entries.map(|(name, value)| (storable(name.as_str()), value_as_json(value, depth))).collect(),
    )
}

fn value_as_json(value: &AMQPValue, depth: u8) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::String("…".to_owned()) };
    match value {
        AMQPValue::LongString(text) => Value::String(storable(&text.to_string())),
        AMQPValue::ShortString(text) => Value::String(storable(text.as_str())),
        AMQPValue::Boolean(flag) => Value::Bool(*flag),
        AMQPValue::LongInt(number) => json!(number),
        AMQPValue::LongLongInt(number) => json!(number),
        AMQPValue::FieldTable(table) => table_as_json(table, depth),
        AMQPValue::FieldArray(array) => {
            array.as_slice().iter().map(|value| value_as_json(value, depth)).collect()
        }
        AMQPValue::Timestamp(seconds) => {
            let instant =
                i64::try_from(*seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            instant.map_or_else(|| json!(seconds), |instant| json!(instant))
        }
        AMQPValue::Void => Value::Null,
        // Rare, and for a reader's eyes alone.
        other => Value::String(storable(&format!("{other:?}"))),
    }
}

/// Neither text nor `jsonb` of PostgreSQL holds a NUL.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    #[test]
    fn what_is_nested_very_deep_is_told_down_to_where_anybody_would_read_it() {
        let mut nested = FieldArray::default();
        for _ in 0..1_000 {
            nested = vec![AMQPValue::FieldArray(nested)].into();
        }
        let mut headers = FieldTable::default();
        headers.insert("x".into(), AMQPValue::FieldArray(nested));
        let text = as_json(&headers).to_string();
        assert_eq!(text, format!(r#"{{"x":{}"…"{}}}"#, "[".repeat(32), "]".repeat(32)));
    }

    #[test]
    fn what_rabbitmq_says_of_a_death_can_be_read() {
        let mut death = FieldTable::default();
        death.insert("queue".into(), AMQPValue::LongString("audit.events".into()));
        death.insert("count".into(), AMQPValue::LongLongInt(1));
        death.insert("time".into(), AMQPValue::Timestamp(1_763_700_000));
        let mut deaths = FieldArray::default();
        deaths.push(AMQPValue::FieldTable(death));
        let mut headers = FieldTable::default();
        headers.insert("x-death".into(), AMQPValue::FieldArray(deaths));
        headers.insert("a\0b".into(), AMQPValue::Void);
        let expected = json!({
            "x-death": [{ "queue": "audit.events", "count": 1, "time": "2025-11-21T04:40:00Z" }],
            "a\u{fffd}b": null,
        });
        assert_eq!(as_json(&headers), expected);
    }
}
