//! The loop that answers: a message, its deed, the answer, the acknowledgement; then the next.

use std::time::Duration;

use anyhow::anyhow;
use shared::broker::topology::REPORTS_QUEUE;
use shared::broker::{Answers, Delivery, Subscription};
use shared::config::BrokerConfig;
use shared::lifecycle::{Backoff, Component, Interruption, supervise};
use shared::telemetry::error_chain;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::desk::ReportDesk;

/// How long a message is held while the database doesn't answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it looks at its connections while nobody asks.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// They are answered one by one, and each may be as large as the broker lets it be: others' wait in the queue, where another
/// replica may take them.
const PREFETCH: u16 = 1;

/// Answers workers of other programs, beside any number of others that do.
#[derive(Debug)]
pub struct Listener {
    /// What it answers with.
    pub desk: ReportDesk,
    /// The broker.
    pub broker: BrokerConfig,
    /// This replica's name there.
    pub instance: String,
    /// How it goes.
    pub component: Component,
}

impl Listener {
    /// Answers until `stop`.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        supervise(&self.component, &stop, &self.desk.entropy, || self.session(&stop)).await
    }

    /// Answers over two connections until something breaks.
    async fn session(&self, stop: &CancellationToken) -> Result<(), Interruption> {
        shared::database::ping(&self.desk.database).await?;
        let mut subscription =
            Subscription::open(&self.broker, &self.instance, REPORTS_QUEUE, PREFETCH).await?;
        let answers = Answers::open(&self.broker, &self.instance, &self.component).await?;
        answers.up_unless_blocked();
        tracing::info!(queue = REPORTS_QUEUE, "subscribed");
        let result = self.listen(&mut subscription, &answers, stop).await;
        let result = subscription.close_after(result).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = answers.close() => {}
        }
        result
    }

    async fn listen(
        &self,
        subscription: &mut Subscription,
        answers: &Answers,
        stop: &CancellationToken,
    ) -> Result<(), Interruption> {
        loop {
            let delivery = tokio::select! {
                // The stop goes first when both are there.
                biased;
                () = stop.cancelled() => return Ok(()),
                delivery = subscription.next() => delivery?,
                () = tokio::time::sleep(IDLE_INTERVAL) => {
                    if !answers.is_connected() {
                        return Err(Interruption::Passing(anyhow!("the connection for answers is closed")));
                    }
                    answers.up_unless_blocked();
                    continue;
                }
            };
            let Some(answer) = self.answer_patiently(&delivery, answers, stop).await? else { return Ok(()) };
            if let (Some(body), Some(reply_to)) = (answer.body, reply_to(&delivery)) {
                let correlation_id = delivery.properties.correlation_id().as_ref().map(ToString::to_string);
                answers.send(&reply_to, correlation_id.as_deref(), &body).await?;
            }
            subscription.ack_one(&delivery).await?;
        }
    }

    /// While the database doesn't answer the message stays in hand; an error when patience ends, `None` when the program stops
    /// first.
    async fn answer_patiently(
        &self,
        delivery: &Delivery,
        answers: &Answers,
        stop: &CancellationToken,
    ) -> Result<Option<Answered>, Interruption> {
        let started = Instant::now();
        let mut backoff = Backoff::for_servers();
        loop {
            let (key, reply_to) = (delivery.routing_key.as_str(), reply_to(delivery));
            let error = match self.desk.answer(key, &delivery.data, reply_to.as_deref()).await {
                Ok(answer) => {
                    answers.up_unless_blocked();
                    let body = answer.map(|answer| serde_json::to_vec(&answer)).transpose()?;
                    return Ok(Some(Answered { body }));
                }
                Err(error) => error,
            };
            let chain = error_chain(&error);
            self.component.down(&chain);
            if started.elapsed() >= PATIENCE {
                return Err(error.into());
            }
            let wait = backoff.next(&self.desk.entropy);
            tracing::warn!(error = chain, ?wait, "an ask about a run can't be answered, trying again");
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// What was done is committed.
struct Answered {
    /// What the asker is told, if he can be.
    body: Option<Vec<u8>>,
}

fn reply_to(delivery: &Delivery) -> Option<String> {
    delivery.properties.reply_to().as_ref().map(ToString::to_string)
}
