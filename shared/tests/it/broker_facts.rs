//! What we know of RabbitMQ and build on: each test is red on the day a broker behaves otherwise.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicGetOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use shared::broker;
use shared::broker::topology::{Argument, DEAD_LETTERS, QUEUES, RUNS_QUEUE};
use shared::config::BrokerConfig;
use test_support::broker::Taken;
use test_support::faults::Proxy;
use test_support::{TestBroker, eventually, settled};

use crate::bench::DEADLINE;

const QUEUE: &str = "crash.loop";
const MESSAGES: usize = 50;
const PREFETCH: u16 = 20;
const DELIVERY_LIMIT: i32 = 3;

/// A queue such as our work queues, with a limit that a test can reach.
async fn declare_with_a_low_limit(broker: &TestBroker) {
    let work_queue = QUEUES.iter().find(|queue| queue.name == RUNS_QUEUE).unwrap();
    let mut arguments = FieldTable::default();
    for (name, value) in work_queue.arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString((*text).into()),
            Argument::Number(number) => AMQPValue::LongInt(*number),
        };
        arguments.insert((*name).into(), value);
    }
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
}

/// A consumer that has a full window in hand, as far as there are messages, and dies with it; gives what it had.
async fn crash_with_a_window(broker: &TestBroker, in_hand: usize) -> HashSet<String> {
    // Its connection ends without a word of AMQP, as that of a killed process does.
    let proxy = Proxy::before(broker.amqp_url()).await;
    let config = BrokerConfig::at(&proxy.instead_of(broker.amqp_url())).unwrap();
    let connection = broker::connect(&config, "test", "crashes").await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume(QUEUE.into(), "".into(), options, arguments).await.unwrap();
    let mut held = HashSet::new();
    for _ in 0..in_hand {
        let delivery = tokio::time::timeout(DEADLINE, consumer.next()).await.unwrap().unwrap().unwrap();
        held.insert(delivery.properties.message_id().clone().unwrap().to_string());
    }
    drop(proxy);
    settled(DEADLINE, "the connection to be over", false, async || connection.status().connected()).await;
    held
}

/// A dead letter's id, and why it died.
fn cause_of_death(letter: &Taken) -> (String, String) {
    let headers = letter.properties.headers().as_ref().unwrap().inner();
    let deaths = headers["x-death"].as_array().unwrap().as_slice();
    let AMQPValue::FieldTable(death) = &deaths[0] else { unreachable!("{deaths:?}") };
    let text = |value: &AMQPValue| value.as_long_string().unwrap().to_string();
    assert_eq!(text(&death.inner()["queue"]), QUEUE);
    (letter.properties.message_id().clone().unwrap().to_string(), text(&death.inner()["reason"]))
}

/// messaging.md F.5. A crash counts against *all* that the consumer had in hand, so after a few crashes a whole window
/// goes to the dead letters, innocent ones among them: hence our limit of 1000, and hence an operator can replay
/// them. At least once: each of them is there.
#[tokio::test]
async fn a_consumer_that_crashes_again_and_again_sends_its_whole_window_to_the_dead_letters_and_loses_none() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    declare_with_a_low_limit(&broker).await;
    let ids: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    let messages = ids.iter().map(|id| {
        let properties = BasicProperties::default().with_message_id(id.as_str().into()).with_delivery_mode(2);
        (properties, format!("message {id}").into_bytes())
    });
    broker.publish_all_raw("", QUEUE, messages).await;

    let mut crashes: HashMap<String, i32> = HashMap::new();
    let mut left = MESSAGES;
    while left > 0 {
        for id in crash_with_a_window(&broker, left.min(usize::from(PREFETCH))).await {
            *crashes.entry(id).or_default() += 1;
        }
        let most = crashes.values().max().copied().unwrap();
        assert!(most <= DELIVERY_LIMIT + 1, "a message was delivered {most} times");
        let dead = crashes.values().filter(|count| **count > DELIVERY_LIMIT).count();
        left = MESSAGES - dead;
        settled(DEADLINE, "the rest to be in the queue again", left, async || {
            usize::try_from(broker.queue_depth(QUEUE).await).unwrap()
        })
        .await;
    }

    eventually(DEADLINE, "all to be among the dead letters", async || {
        let depth = usize::try_from(broker.queue_depth(DEAD_LETTERS).await).unwrap();
        (depth >= MESSAGES).then_some(())
    })
    .await;
    let letters = broker.take_all(DEAD_LETTERS).await;
    let mut found = HashSet::new();
    for letter in &letters {
        let (id, reason) = cause_of_death(letter);
        assert_eq!(reason, "delivery_limit");
        assert_eq!(letter.body, format!("message {id}").into_bytes(), "as it was");
        assert_eq!(letter.routing_key, QUEUE, "by its own key");
        found.insert(id);
    }
    assert_eq!(found, ids.into_iter().collect());
    assert_eq!(letters.len(), MESSAGES, "each once: nothing died in between");
}

/// Hence whoever lists them sorts them.
#[tokio::test]
async fn messages_that_were_got_one_by_one_come_back_in_another_order() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let sent: Vec<Vec<u8>> = (0..MESSAGES).map(|number| number.to_string().into_bytes()).collect();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let messages = sent.iter().map(|body| (properties.clone(), body.clone()));
    broker.publish_all_raw("", DEAD_LETTERS, messages).await;
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    for _ in 0..MESSAGES {
        assert!(channel.basic_get(DEAD_LETTERS.into(), BasicGetOptions::default()).await.unwrap().is_some());
    }
    connection.close(200, "done".into()).await.unwrap();
    let all = u32::try_from(MESSAGES).unwrap();
    settled(DEADLINE, "all to be back", all, async || broker.queue_depth(DEAD_LETTERS).await).await;
    let there: Vec<_> = broker.take_all(DEAD_LETTERS).await.into_iter().map(|message| message.body).collect();
    assert_ne!(there, sent);
}
