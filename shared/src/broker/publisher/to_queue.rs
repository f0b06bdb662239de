//! Publishing one message straight into a queue, whatever its properties: what an operator sends again.

use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Confirmation};

use super::{ConfirmedChannel, PublishError, Verdict};

impl ConfirmedChannel {
    /// Publishes a message into `queue` by the default exchange, and waits for its confirm at most `deadline`.
    ///
    /// Strangers' messages may have no id or share one, so each is a window of its own: whatever is returned is this one.
    pub async fn publish_to_queue(
        &self,
        queue: &str,
        properties: BasicProperties,
        body: &[u8],
        deadline: Duration,
    ) -> Result<Verdict, PublishError> {
        let published = tokio::time::timeout(deadline, self.publish_alone(queue, properties, body)).await;
        published.unwrap_or(Err(PublishError::Deadline(deadline)))
    }

    async fn publish_alone(
        &self,
        queue: &str,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<Verdict, PublishError> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = self
            .channel
            .basic_publish("".into(), queue.into(), options, body, properties)
            .await
            .map_err(PublishError::Interrupted)?;
        let confirmation = confirm.await.map_err(PublishError::Interrupted)?;
        // A return may have been handed to nobody's confirm.
        let left = self.channel.wait_for_confirms().await.map_err(PublishError::Interrupted)?.pop();
        let (acked, returned) = match confirmation {
            Confirmation::Ack(returned) => (true, returned.or(left)),
            Confirmation::Nack(returned) => (false, returned.or(left)),
            Confirmation::NotRequested => return Err(PublishError::NotConfirming),
        };
        Ok(match returned {
            Some(returned) => Verdict::Returned(format!("{} {}", returned.reply_code, returned.reply_text)),
            None if acked => Verdict::Acked,
            None => Verdict::Nacked,
        })
    }
}
