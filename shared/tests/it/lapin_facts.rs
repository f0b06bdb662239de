//! What we know of lapin and deadpool-lapin, and what of ours guards against it. Each test shows the behaviour first: on the
//! day it goes red there, the library is mended, and `docs/ARCHITECTURE.md` ("What we know of lapin and RabbitMQ") is to
//! be changed.

use std::collections::HashSet;
use std::future::ready;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, Event, PublisherConfirm};
use shared::broker::topology::AUDIT_QUEUE;
use shared::broker::{self, ConfirmedChannel, Message, Verdict};
use shared::config::BrokerConfig;
use shared::ids::EventId;
use shared::outbox::RelaySettings;
use test_support::faults::Proxy;
use test_support::{TestBroker, TestDatabase, assert_same_ids, eventually, settled};
use uuid::Uuid;

use crate::bench::{DEADLINE, Fact, RunningRelay, append_all, arrived, outbox, waiting};

const WINDOW: usize = 200;
/// How often something is provoked that surely happens, sooner or later.
const TRIES: usize = 500;
/// How long an answer may take that never comes.
const SILENCE: Duration = Duration::from_secs(1);

/// Every seventh message of a window.
fn goes_to_nobody(number: usize) -> bool {
    number.is_multiple_of(7)
}

fn routing_key(number: usize) -> &'static str {
    if goes_to_nobody(number) { "nobody" } else { "somebody" }
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

async fn publish(channel: &Channel, queue: &str, message_id: &str) -> PublisherConfirm {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_message_id(message_id.into());
    channel.basic_publish("".into(), queue.into(), options, b"{}", properties).await.unwrap()
}

#[derive(Debug, Default)]
struct Misplaced {
    /// Returned messages that came with another message's confirm.
    on_others: usize,
    /// Messages that nobody got, and whose own confirm was an ack without a word.
    called_acked: usize,
}

/// Publishes a window, and believes each message's own confirm.
async fn by_the_confirms_alone(channel: &Channel) -> Misplaced {
    // All at once, as one task polls them in order: so the broker confirms many with one word.
    let window =
        (0..WINDOW).map(async |number| publish(channel, routing_key(number), &number.to_string()).await);
    let confirms = join_all(window).await;
    let mut misplaced = Misplaced::default();
    for (number, confirm) in confirms.into_iter().enumerate() {
        match confirm.await.unwrap() {
            Confirmation::Ack(Some(returned)) => {
                let id = returned.delivery.properties.message_id().clone().unwrap();
                misplaced.on_others += usize::from(id.as_str() != number.to_string());
            }
            Confirmation::Ack(None) => misplaced.called_acked += usize::from(goes_to_nobody(number)),
            other => unreachable!("{other:?}"),
        }
    }
    misplaced
}

fn message(queue: &str, id: EventId) -> Message {
    Message {
        id,
        exchange: String::new(),
        routing_key: queue.to_owned(),
        headers: Vec::new(),
        event_type: "job.tick.due".to_owned(),
        body: "{}".to_owned(),
    }
}

fn id(number: usize) -> EventId {
    EventId(Uuid::from_u128(u128::try_from(number).unwrap()))
}

/// messaging.md F.1. lapin 4.12.3 keeps what comes back in one queue, and gives the first of it to whichever confirm
/// completes next.
#[tokio::test]
async fn lapin_hands_a_returned_message_to_anothers_confirm_and_a_confirmed_channel_accounts_right() {
    let broker = TestBroker::create().await;
    let connection = broker.connect().await;
    let channel = confirming(&connection).await;
    // It confirms as soon as what goes to nobody is confirmed: many of both with one word.
    let (options, arguments) = (QueueDeclareOptions::default(), FieldTable::default());
    channel.queue_declare("somebody".into(), options, arguments).await.unwrap();
    let mut seen = Misplaced::default();
    for _ in 0..TRIES {
        let Misplaced { on_others, called_acked } = by_the_confirms_alone(&channel).await;
        seen.on_others += on_others;
        seen.called_acked += called_acked;
        if seen.on_others > 0 && seen.called_acked > 0 {
            break;
        }
    }
    assert!(seen.on_others > 0 && seen.called_acked > 0, "lapin is mended? {seen:?}");

    let channel = ConfirmedChannel::open(&connection, "test").await.unwrap();
    for window in 0..50 {
        let messages: Vec<Message> =
            (0..WINDOW).map(|number| message(routing_key(number), id(window * WINDOW + number))).collect();
        let (verdicts, result) = channel.publish_window(&messages, DEADLINE).await;
        result.unwrap();
        for (number, message) in messages.iter().enumerate() {
            match &verdicts[&message.id] {
                Verdict::Returned(words) if goes_to_nobody(number) => assert_eq!(words, "312 NO_ROUTE"),
                Verdict::Acked if !goes_to_nobody(number) => {}
                verdict => panic!("message {number} of window {window} is {verdict:?}"),
            }
        }
    }
    connection.close(200, "done".into()).await.unwrap();
}

/// Two tasks need two handles. This doesn't compile if a confirmed channel can be cloned: which `given` would be meant?
trait OneOwner<Case> {
    fn given() {}
}
struct Cloneable;
impl<T> OneOwner<()> for T {}
impl<T: Clone> OneOwner<Cloneable> for T {}
const _: fn() = <ConfirmedChannel as OneOwner<_>>::given;

/// A queue that refuses everything, `full`, beside one that takes all, `open`.
async fn full_and_open(broker: &TestBroker, connection: &Connection) {
    let channel = connection.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions::durable();
    channel.queue_declare("full".into(), options, arguments).await.unwrap();
    channel.queue_declare("open".into(), options, FieldTable::default()).await.unwrap();
    broker.publish_raw("", "full", BasicProperties::default(), b"the one it holds").await;
}

/// How many of a thousand messages to `queue` were answered otherwise than that queue answers.
async fn strange_answers(channel: Channel, queue: &'static str) -> usize {
    let mut confirms = Vec::new();
    for number in 0..1_000 {
        confirms.push(publish(&channel, queue, &format!("{queue} {number}")).await);
    }
    let mut strange = 0;
    for confirm in confirms {
        let acked = matches!(confirm.await.unwrap(), Confirmation::Ack(_));
        strange += usize::from(acked != (queue == "open"));
    }
    strange
}

/// messaging.md F.2. lapin 4.12.3 draws the delivery tag under one lock and queues the frame under another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_tasks_on_one_channel_get_each_others_confirms_and_one_owner_gets_its_own() {
    let broker = TestBroker::create().await;
    let connection = broker.connect().await;
    full_and_open(&broker, &connection).await;
    let channel = confirming(&connection).await;
    let mut strange = 0;
    let mut rounds = 0;
    while strange == 0 && rounds < TRIES {
        rounds += 1;
        let tasks = ["full", "open"].map(|queue| tokio::spawn(strange_answers(channel.clone(), queue)));
        for task in tasks {
            strange += task.await.unwrap();
        }
    }
    assert!(strange > 0, "lapin is mended? {rounds} rounds were answered right");

    let channel = ConfirmedChannel::open(&connection, "test").await.unwrap();
    let queue_of = |number: usize| if number.is_multiple_of(3) { "full" } else { "open" };
    let messages: Vec<Message> =
        (0..3 * WINDOW).map(|number| message(queue_of(number), id(number))).collect();
    let (verdicts, result) = channel.publish_window(&messages, DEADLINE).await;
    result.unwrap();
    for (number, message) in messages.iter().enumerate() {
        let expected = if queue_of(number) == "full" { Verdict::Nacked } else { Verdict::Acked };
        assert_eq!(verdicts[&message.id], expected, "message {number}");
    }
    connection.close(200, "done".into()).await.unwrap();
}

/// messaging.md F.3, in spite of lapin's own words. So [`broker::BlockedWatch`] is the only listener of a connection.
#[tokio::test]
async fn two_listeners_of_one_connection_compete_for_its_events() {
    const EVENTS: usize = 20;
    let broker = TestBroker::create().await;
    let connection = broker.connect().await;
    let is_error = |event: &Event| ready(matches!(event, Event::Error(_)));
    let mut first = Box::pin(connection.events_listener().filter(is_error));
    let mut second = Box::pin(connection.events_listener().filter(is_error));
    for _ in 0..EVENTS {
        // A channel that the broker closes is an event of its connection.
        let channel = connection.create_channel().await.unwrap();
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare("nowhere".into(), passive, FieldTable::default()).await.unwrap_err();
    }
    let mut heard = 0;
    settled(DEADLINE, "each event to be heard once", EVENTS, async || {
        heard += usize::from(first.next().now_or_never().is_some());
        heard += usize::from(second.next().now_or_never().is_some());
        heard
    })
    .await;
    let more = [first.next().now_or_never(), second.next().now_or_never()];
    assert!(more.iter().all(Option::is_none), "lapin is mended? {more:?}");
    connection.close(200, "done".into()).await.unwrap();
}

/// messaging.md F.6. A connection is sound for the pool as long as nobody has told *this end* otherwise.
#[tokio::test]
async fn a_pool_lends_a_half_open_connection_as_if_it_were_sound() {
    let broker = TestBroker::create().await;
    let proxy = Proxy::before(broker.amqp_url()).await;
    let config = BrokerConfig::at(&proxy.instead_of(broker.amqp_url())).unwrap();
    let pool = broker::pool(&config, "test", "borrows").unwrap();
    let connection = pool.get().await.unwrap();
    connection.create_channel().await.unwrap();
    drop(connection);
    proxy.cut();
    // The pool looks whether it is fit to be lent again, and finds that it is.
    let connection = tokio::time::timeout(SILENCE, pool.get()).await.unwrap().unwrap();
    assert!(connection.status().connected());
    let channel = tokio::time::timeout(SILENCE, connection.create_channel()).await;
    assert!(channel.is_err(), "nothing comes through: {channel:?}");
}

/// What guards against it: every wait of the relay for the broker has a deadline, and a connection that missed one is
/// taken out of the pool. Goes red without either: the relay would wait until the heartbeat ends the connection, or
/// borrow the same one again.
#[tokio::test]
async fn a_relay_whose_connection_is_half_open_takes_another_and_sends_everything() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    // The connection that carried this fact is the one that falls silent; those that come after it are sound.
    let first_fact = 424_242;
    let proxy = Proxy::cutting(broker.amqp_url(), "facts/424242").await;
    // The heartbeat would end the silent connection after two minutes, too late for this test.
    let url = format!("{}?heartbeat=60", proxy.instead_of(broker.amqp_url()));
    let config = BrokerConfig::at(&url).unwrap();
    let outbox = outbox();
    let settings = RelaySettings { deadline: Duration::from_secs(2), ..RelaySettings::default() };
    let relay = RunningRelay::start_over(&database, &config, &outbox, settings);
    let mut ids = append_all(database.pool(), &outbox, [Fact { number: first_fact }]).await;
    settled(DEADLINE, "an empty outbox", 0, async || waiting(&database).await).await;
    let said = || relay.health.readiness().checks["relay"].clone();
    settled(DEADLINE, "the relay to be well", "up".to_owned(), async || said()).await;
    proxy.cut();
    ids.extend(append_all(database.pool(), &outbox, (0..100).map(|number| Fact { number })).await);
    let words = eventually(DEADLINE, "the relay to say what is wrong", async || {
        Some(said()).filter(|said| said != "up")
    })
    .await;
    assert!(words.contains("did not confirm within 2 s"), "{words}");
    settled(Duration::from_mins(1), "an empty outbox", 0, async || waiting(&database).await).await;
    let arrived: HashSet<Uuid> = arrived(&broker, AUDIT_QUEUE).await.into_iter().collect();
    assert_same_ids("arrived", arrived, ids);
    relay.stop().await.unwrap();
}
