//! Counts the dead letters now and then, for Prometheus: nobody else says that a queue gave up on a message.
//!
//! A passive declaration tells how many lie there, and needs no right.

use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use shared::broker::topology::DEAD_LETTERS;
use shared::broker::{Needs, connect, establish, within};
use shared::config::BrokerConfig;
use shared::entropy::Entropy;
use shared::lifecycle::{Component, Interruption, supervise};
use shared::metrics::{Gauges, Metrics};
use tokio_util::sync::CancellationToken;

/// How often to look: as often as Prometheus usually asks.
const INTERVAL: Duration = Duration::from_secs(15);

/// How many dead letters there are. Clones share it.
#[derive(Debug, Clone)]
pub struct DeadLetterFigure(Gauges<0>);

impl DeadLetterFigure {
    /// Registers it.
    pub fn new(metrics: &Metrics) -> Self {
        Self(metrics.gauges(
            "dead_letters_messages",
            "Messages in the queue dead.letters, which a queue gave up on, but for those that a command has in hand; absent while \
             RabbitMQ can't be asked",
            [],
        ))
    }
}

/// Counts until `stop`. What can't be counted is absent.
pub async fn count(
    (broker, instance): (&BrokerConfig, &str),
    figure: &DeadLetterFigure,
    component: &Component,
    entropy: &Entropy,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    supervise(component, stop, entropy, || async {
        let ended = look_again_and_again((broker, instance), figure, component, stop).await;
        figure.0.clear();
        ended
    })
    .await
}

async fn look_again_and_again(
    (broker, instance): (&BrokerConfig, &str),
    figure: &DeadLetterFigure,
    component: &Component,
    stop: &CancellationToken,
) -> Result<(), Interruption> {
    let deadline = broker.connection_timeout;
    let (connection, channel) = within(deadline, open(broker, instance)).await?;
    loop {
        let messages = within(deadline, depth(&channel)).await?;
        figure.0.of([]).set(f64::from(messages));
        component.up();
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    // Whether the broker hears the farewell or not, nothing is in hand.
    let _ = within(deadline, connection.close(200, "done".into())).await;
    Ok(())
}

async fn open(broker: &BrokerConfig, instance: &str) -> Result<(Connection, Channel), Interruption> {
    let connection = connect(broker, instance, "counts dead letters").await?;
    let needs = Needs::Queue(DEAD_LETTERS);
    // Whether the program is to stop is said by who consumes.
    establish(&connection, broker.topology, needs).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn depth(channel: &Channel) -> Result<u32, lapin::Error> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare(DEAD_LETTERS.into(), options, FieldTable::default()).await?;
    Ok(queue.message_count())
}
