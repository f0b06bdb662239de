//! The relay: empties the outbox into the broker. Any number may run side by side; each row is held by one at a time.
//!
//! Each exchange has a lane of its own (see [`super::lane`]): what holds up one is nothing to the others. The relay tells each lane when
//! something is due for it, and follows what has left.

use std::time::Duration;

use deadpool_lapin::Pool;
use futures_util::future::try_join_all;
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::append::Outbox;
use super::claim::{due, release_put_off};
use super::confirmed::{forget_arrived, park_missing};
use super::lane::{Common, Lane};
use super::metrics::RelayMetrics;
use super::parked::put_back;
use crate::clock::Clock;
use crate::config::TopologyAtStart;
use crate::contracts::Exchange;
use crate::database;
use crate::entropy::Entropy;
use crate::lifecycle::{Component, Interruption, supervise};

/// How often each relay looks at rows that have left the outbox: which parked ones' wait is over, and which confirmed ones
/// have arrived.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long what is committed is gathered after something was found due: a look for each commit would be too many.
const GATHERING: Duration = Duration::from_millis(1);

/// What bounds a relay.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The most messages in flight at once to each exchange. (RabbitMQ reads nothing more from a connection once a queue leaves some
    /// hundreds unanswered; nobody else's are behind them.)
    pub window: u16,
    /// How long the broker may take to let the relay in, and then to confirm a window; and the database for each of its
    /// answers.
    pub deadline: Duration,
    /// How often to look for rows that nobody told this relay about: those of other programs, and those whose wait
    /// is over.
    pub poll_interval: Duration,
    /// Who declares the topology.
    pub topology: TopologyAtStart,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            window: 500,
            deadline: Duration::from_secs(10),
            poll_interval: Duration::from_millis(250),
            topology: TopologyAtStart::default(),
        }
    }
}

/// A relay; see the room's page.
#[derive(Debug)]
pub struct Relay {
    /// The database that holds the outbox. The relay opens connections of its own as the pool does, one for each exchange, one to
    /// look what is due and one to follow what has left: they are held all the time, and requests need those of the pool.
    pub database: PgPool,
    /// For each exchange the pool from which its lane borrows its connection.
    pub broker: [Pool; Exchange::ALL.len()],
    /// The program's outbox, which wakes it.
    pub outbox: Outbox,
    /// The program's name: the AMQP `app_id`.
    pub program: &'static str,
    /// What time it is.
    pub clock: Clock,
    /// For waits.
    pub entropy: Entropy,
    /// What tells how it goes.
    pub component: Component,
    /// What counts it.
    pub metrics: RelayMetrics,
    /// What bounds it.
    pub settings: RelaySettings,
}

impl Relay {
    /// Sends until `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (looks, follows) = (self.component.branch("outbox"), self.component.branch("arrivals"));
        let common = Common::default();
        let lanes = Exchange::ALL.map(|exchange| Lane::new(&self, &common, exchange));
        let sending = try_join_all(lanes.iter().map(|lane| lane.run(&stop)));
        let looking =
            supervise(&looks, &stop, &self.entropy, || self.tell_what_is_due(&lanes, &looks, &stop));
        let following =
            supervise(&follows, &stop, &self.entropy, || self.follow_what_has_left(&follows, &stop));
        tokio::try_join!(sending, looking, following).map(|_| ())
    }

    /// Opens a connection to the database. One that saw an error or a deadline is never used again.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        database::within(self.settings.deadline, self.database.connect_options().connect()).await
    }

    /// Tells each lane for which something is due.
    async fn tell_what_is_due(
        &self,
        lanes: &[Lane<'_>],
        component: &Component,
        stop: &CancellationToken,
    ) -> Result<(), Interruption> {
        let deadline = self.settings.deadline;
        let mut database = self.connect().await?;
        loop {
            let exchanges = database::within(deadline, due(&mut database, self.clock.now())).await?;
            component.up();
            for lane in lanes.iter().filter(|lane| exchanges.contains(&lane.exchange())) {
                lane.wake();
            }
            if !exchanges.is_empty() {
                // Whatever is committed meanwhile is seen by one look.
                tokio::time::sleep(GATHERING).await;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.outbox.woken() => {}
                () = tokio::time::sleep(self.settings.poll_interval) => {}
            }
        }
    }

    /// Looks regularly at rows that have left the outbox. A trail that is locked for long keeps nothing from being sent.
    async fn follow_what_has_left(
        &self,
        component: &Component,
        stop: &CancellationToken,
    ) -> Result<(), Interruption> {
        let mut database = self.connect().await?;
        loop {
            self.put_parked_back(&mut database).await?;
            let has_more = self.follow_confirmed(&mut database).await?;
            component.up();
            let wait = if has_more { Duration::ZERO } else { LOOK_INTERVAL };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Gives parked rows whose wait is over another try.
    async fn put_parked_back(&self, database: &mut PgConnection) -> Result<(), Interruption> {
        let (deadline, limit) = (self.settings.deadline, i64::from(self.settings.window));
        let released = database::within(deadline, release_put_off(database, self.clock.now(), limit)).await?;
        if released > 0 {
            tracing::warn!(
                rows = released,
                "messages were put off for long by a program whose clock was ahead"
            );
        }
        let tried_again = database::within(deadline, put_back(database, self.clock.now(), limit)).await?;
        if tried_again > 0 {
            tracing::info!(rows = tried_again, "parked messages are tried again");
        }
        Ok(())
    }

    /// Forgets confirmed rows that have arrived where they were to, and parks those that are missing there; whether there may
    /// be more.
    async fn follow_confirmed(&self, database: &mut PgConnection) -> Result<bool, Interruption> {
        let (deadline, limit) = (self.settings.deadline, i64::from(self.settings.window));
        // As many as all lanes send, so that they don't become more while there is a backlog.
        let most =
            Exchange::ALL.into_iter().filter(|exchange| exchange.is_audited()).map(|_| limit).sum::<i64>();
        if database::within(deadline, forget_arrived(database, most)).await? == most.unsigned_abs() {
            return Ok(true);
        }
        let missing =
            database::within(deadline, park_missing(database, self.clock.now(), &self.entropy, limit))
                .await?;
        for exchange in Exchange::ALL {
            let rows = missing.iter().filter(|name| *name == exchange.name()).count();
            if rows > 0 {
                self.metrics.missing(exchange, rows);
                tracing::error!(
                    exchange = exchange.name(),
                    rows,
                    "RabbitMQ confirmed messages that the trail did not get: they were parked in outbox_parked to be sent \
                     again; is a binding of audit.events missing?"
                );
            }
        }
        Ok(missing.len() == usize::from(self.settings.window))
    }
}
