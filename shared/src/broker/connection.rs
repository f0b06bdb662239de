//! Connections to RabbitMQ. Each gives its role as its name, so that the management UI shows who is who.

use deadpool_lapin::{Manager, Pool};
use futures_util::StreamExt;
use lapin::{Connection, ConnectionProperties, Event};
use tokio::task::JoinHandle;

use crate::config::BrokerConfig;
use crate::lifecycle::Component;

/// Opens a connection, called `instance (role)` in the management UI.
pub async fn connect(config: &BrokerConfig, instance: &str, role: &str) -> Result<Connection, lapin::Error> {
    Connection::connect(config.url.expose(), properties(instance, role)).await
}

/// A pool from which the relay borrows its one connection for as long as it works. To be made inside a Tokio runtime.
pub fn pool(config: &BrokerConfig, instance: &str, role: &'static str) -> anyhow::Result<Pool> {
    let instance = instance.to_owned();
    let runtime = lapin::runtime::default_runtime()?;
    let manager = Manager::new(config.url.expose(), move || properties(&instance, role), runtime);
    Ok(Pool::builder(manager).max_size(1).build()?)
}

fn properties(instance: &str, role: &str) -> ConnectionProperties {
    ConnectionProperties::default().with_connection_name(format!("{instance} ({role})").into())
}

/// Reports a connection that the broker blocks (memory or disk alarm) on `component`, until the connection ends. The
/// caller ends it by aborting the handle. One listener a connection: lapin's listeners compete for events.
pub fn watch_blocked(connection: &Connection, component: Component) -> JoinHandle<()> {
    let mut events = connection.events_listener();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::ConnectionBlocked(reason) => {
                    tracing::warn!(component = component.name(), reason, "the broker blocks publishing");
                    component.down(format!("the broker blocks publishing: {reason}"));
                }
                Event::ConnectionUnblocked => {
                    tracing::info!(component = component.name(), "the broker takes messages again");
                    component.up();
                }
                _ => {}
            }
        }
    })
}
