//! Connections to RabbitMQ. Each gives its role as its name, so that the management UI shows who is who.

use std::io;
use std::time::Duration;

use deadpool_lapin::{Manager, Pool};
use futures_util::StreamExt;
use lapin::{Connection, ConnectionProperties, Event};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::BrokerConfig;
use crate::contracts::Exchange;
use crate::lifecycle::Component;
use crate::metrics::Gauge;

/// Gives up after `deadline` what the broker is to answer. lapin has no time limit of its own: it doesn't read the URL's
/// `connection_timeout`, waits for ever for a broker that accepts and says nothing, and forgets whoever waits if the
/// connection ends in the moment before his frame is queued (4.12.3).
pub async fn within<T, E: From<lapin::Error>>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| {
        let words = format!("RabbitMQ did not answer within {deadline:?}");
        Err(lapin::Error::from(io::Error::new(io::ErrorKind::TimedOut, words)).into())
    })
}

/// Opens a connection, called `instance (role)` in the management UI.
pub async fn connect(config: &BrokerConfig, instance: &str, role: &str) -> Result<Connection, lapin::Error> {
    within(config.connection_timeout, Connection::connect(config.url.expose(), properties(instance, role)))
        .await
}

/// A pool for each exchange, from which a relay borrows its one connection for as long as it works. To be made inside a Tokio
/// runtime.
pub fn relay_pools(config: &BrokerConfig, instance: &str) -> anyhow::Result<[Pool; Exchange::ALL.len()]> {
    let [auth, task, job, ticks] =
        Exchange::ALL.map(|exchange| pool(config, instance, &format!("relay {}", exchange.name())));
    Ok([auth?, task?, job?, ticks?])
}

/// A pool of one connection. To be made inside a Tokio runtime.
pub fn pool(config: &BrokerConfig, instance: &str, role: &str) -> anyhow::Result<Pool> {
    let (instance, role) = (instance.to_owned(), role.to_owned());
    let runtime = lapin::runtime::default_runtime()?;
    let manager = Manager::new(config.url.expose(), move || properties(&instance, &role), runtime);
    Ok(Pool::builder(manager).max_size(1).build()?)
}

fn properties(instance: &str, role: &str) -> ConnectionProperties {
    ConnectionProperties::default().with_connection_name(format!("{instance} ({role})").into())
}

/// Whether the broker blocks a connection (memory or disk alarm). It watches until it is dropped.
#[derive(Debug)]
pub struct BlockedWatch {
    component: Component,
    /// The broker's words while it does.
    reason: watch::Receiver<Option<String>>,
    watching: JoinHandle<()>,
}

impl BlockedWatch {
    /// Watches `connection` and reports on `gauge`, and on `component` that it is down; that it is up again says who uses it, by
    /// [`BlockedWatch::up_unless_blocked`]. One a connection: lapin's listeners compete for events.
    pub fn of(connection: &Connection, component: Component, gauge: Gauge) -> Self {
        let mut events = connection.events_listener();
        let (blocks, reason) = watch::channel(None);
        let reported = component.clone();
        let watching = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(%component, reason, "the broker blocks publishing");
                        // In this order: who calls it up meanwhile learns of it.
                        let words = blocked(&reason);
                        blocks.send_replace(Some(reason));
                        component.down(words);
                        gauge.set(1.0);
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!(%component, "the broker takes messages again");
                        gauge.set(0.0);
                        blocks.send_replace(None);
                    }
                    _ => {}
                }
            }
        });
        Self { component: reported, reason, watching }
    }

    /// Says that the component is up, unless the broker blocks the connection now.
    pub fn up_unless_blocked(&self) {
        if self.reason.borrow().is_some() {
            return;
        }
        self.component.up();
        // What came in between has been said before, and is said again.
        if let Some(reason) = &*self.reason.borrow() {
            self.component.down(blocked(reason));
        }
    }

    /// Waits while the broker blocks `connection` and it lasts. To be done before one is dropped: lapin writes nothing over
    /// a blocked connection, not even its end, so that each would leave a thread, a socket and all that it was to send, until
    /// the alarm is over (4.12.3).
    pub async fn ended(&mut self, connection: &Connection) {
        while self.reason.borrow_and_update().is_some() && connection.status().connected() {
            // Whether it lasts is looked at now and then: lapin tells of its end by no event that surely comes.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.reason.changed()).await;
        }
    }
}

fn blocked(reason: &str) -> String {
    format!("the broker blocks publishing: {reason}")
}

impl Drop for BlockedWatch {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::broker::{ExclusiveQueue, ExclusiveSubscription, Subscription};
    use crate::entropy::Entropy;
    use crate::lifecycle::Interruption;
    use crate::telemetry::error_chain;

    const WORDS: &str = "RabbitMQ did not answer within 100ms";

    /// A broker whose kernel accepts connections while the broker itself never says a word.
    async fn mute_broker() -> (TcpListener, BrokerConfig) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("amqp://guest:guest@{}/?connection_timeout=100", listener.local_addr().unwrap());
        (listener, BrokerConfig::at(&url).unwrap())
    }

    fn passes_and_says_why(interruption: &Interruption) -> bool {
        matches!(interruption, Interruption::Passing(error) if error_chain(error.as_ref()).contains(WORDS))
    }

    #[tokio::test]
    async fn who_opens_over_a_broker_that_says_nothing_is_told_so_and_may_try_again() {
        let (_listener, config) = mute_broker().await;
        let error = connect(&config, "test", "test").await.unwrap_err();
        assert!(error.to_string().contains(WORDS), "{error}");

        let interruption = Subscription::open(&config, "test", "audit.events", 1).await.unwrap_err();
        assert!(passes_and_says_why(&interruption), "{interruption:?}");

        let queue = ExclusiveQueue { reader: "test", exchange: Exchange::AuthEvents, patterns: &["#"] };
        let entropy = Entropy::seeded(1);
        let interruption = ExclusiveSubscription::open(&config, "test", &queue, &entropy).await.unwrap_err();
        assert!(passes_and_says_why(&interruption), "{interruption:?}");
    }
}
