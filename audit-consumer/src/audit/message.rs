//! A message as it came, for the trail and for the quarantine.

use lapin::types::ShortString;
use serde_json::{Value, json};
use shared::broker::Delivery;

use crate::headers::{self, storable};

/// A message's bytes and properties, borrowed from its delivery.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The AMQP `message_id`.
    pub message_id: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// The rest, which only the quarantine looks at.
    pub delivery: Option<&'a Delivery>,
}

impl<'a> Message<'a> {
    /// The message of a delivery.
    pub fn from_delivery(delivery: &'a Delivery) -> Self {
        Self {
            message_id: delivery.properties.message_id().as_ref().map(ShortString::as_str),
            body: &delivery.data,
            delivery: Some(delivery),
        }
    }

    /// What an operator needs to know of where it came from, as JSON that PostgreSQL can hold.
    pub fn properties(&self) -> Value {
        let Some(delivery) = self.delivery else {
            return json!({ "message_id": self.message_id.map(storable) });
        };
        let properties = &delivery.properties;
        let text =
            |property: &Option<ShortString>| property.as_ref().map(|property| storable(property.as_str()));
        json!({
            "message_id": text(properties.message_id()),
            "exchange": storable(delivery.exchange.as_str()),
            "routing_key": storable(delivery.routing_key.as_str()),
            "type": text(properties.kind()),
            "app_id": text(properties.app_id()),
            "user_id": text(properties.user_id()),
            "content_type": text(properties.content_type()),
            "content_encoding": text(properties.content_encoding()),
            "timestamp": properties.timestamp(),
            "headers": properties.headers().as_ref().map(headers::as_json),
        })
    }
}
