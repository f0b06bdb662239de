//! What the broker takes, with nothing of ours around it: persistent and mandatory messages to a quorum queue, with confirms,
//! in windows of 500 on one channel.

use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use shared::broker::Message;
use test_support::TestBroker;
use tokio::time::Instant;

use crate::events::messages;

const WINDOW: usize = 500;

/// A message with its properties.
type Ready = (Message, BasicProperties);

/// How a window is handed to lapin.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Each message is awaited until it is written to the socket, as lapin's callers do.
    OneByOne,
    /// All are queued, and awaited together: fewer switches between threads, and so what the broker takes at most.
    WindowAtOnce,
}

/// Publishes `count` events; how long it took until the last was confirmed.
pub(crate) async fn publish(broker: &TestBroker, count: usize, manner: Manner) -> Duration {
    let messages: Vec<Ready> = messages(count)
        .into_iter()
        .map(|message| {
            let properties = properties(&message);
            (message, properties)
        })
        .collect();
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let began = Instant::now();
    for window in messages.chunks(WINDOW) {
        publish_window(&channel, window, manner).await;
    }
    let took = began.elapsed();
    connection.close(200, "done".into()).await.unwrap();
    took
}

async fn publish_window(channel: &Channel, window: &[Ready], manner: Manner) {
    let confirms = match manner {
        Manner::OneByOne => {
            let mut confirms = Vec::with_capacity(window.len());
            for ready in window {
                confirms.push(publish_one(channel, ready).await);
            }
            confirms
        }
        Manner::WindowAtOnce => join_all(window.iter().map(|ready| publish_one(channel, ready))).await,
    };
    for confirm in confirms {
        assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(None)), "a message was not taken");
    }
}

async fn publish_one(channel: &Channel, (message, properties): &Ready) -> PublisherConfirm {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, key) = (message.exchange.as_str().into(), message.routing_key.as_str().into());
    let body = message.body.as_bytes();
    channel.basic_publish(exchange, key, options, body, properties.clone()).await.unwrap()
}

fn properties(message: &Message) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
    }
    BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(2)
        .with_message_id(message.id.to_string().into())
        .with_type(message.event_type.as_str().into())
        .with_app_id("producer-api".into())
        .with_headers(headers)
}
