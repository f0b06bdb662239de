//! The end of a program: asked for by a signal, or because a loop died.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::error_chain;

/// Why a program did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// A loop that should run as long as the program ended by itself.
    #[error("{0}")]
    LoopDied(String),
    /// Work in hand was not done in time.
    #[error("work in hand was not done within {} s of the signal to stop", .0.as_secs_f32())]
    TooSlow(Duration),
    /// A second signal came.
    #[error("ended at once by a second signal")]
    SecondSignal,
    /// Signals can't be received.
    #[error("can't listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Tracks a program's loops and stops them in order.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    loops: TaskTracker,
    died: Arc<Mutex<Option<String>>>,
}

impl Shutdown {
    /// Cancelled when the program should stop.
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a loop for the life of the program. It should end once the token is cancelled; if it ends before that,
    /// or with an error, the program stops and its exit code says so.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = self.clone();
        self.loops.spawn(async move {
            // A second task, so that a panic of the loop is seen as its death.
            let end = tokio::spawn(work).await;
            let reason = match end {
                Ok(Ok(())) if shutdown.stop.is_cancelled() => return,
                Ok(Ok(())) => format!("{name} ended by itself"),
                Ok(Err(error)) => format!("{name}: {}", error_chain(error.as_ref())),
                Err(panic) => format!("{name}: {panic}"),
            };
            tracing::error!(loop_name = name, reason, "a loop died, the program stops");
            shutdown.died.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
            shutdown.stop.cancel();
        });
    }

    /// Waits for a signal or a loop's death, then for the loops to finish, at most `timeout`.
    pub async fn run(self, timeout: Duration) -> Result<(), StopError> {
        let mut requests = StopRequests::listen()?;
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = requests.next() => tracing::info!("asked to stop, finishing work in hand"),
        }
        self.stop.cancel();
        self.loops.close();
        tokio::select! {
            () = self.loops.wait() => {}
            () = tokio::time::sleep(timeout) => return Err(StopError::TooSlow(timeout)),
            () = requests.next() => return Err(StopError::SecondSignal),
        }
        match self.died.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(reason) => Err(StopError::LoopDied(reason)),
            None => Ok(()),
        }
    }
}

/// Does a command's work, which ends by itself. The first SIGTERM or SIGINT cancels the token that `work` was given, and
/// standard error says so, since a command has no log; the second gives the work up.
pub async fn run_to_end<F, Fut>(program: &str, work: F) -> Result<Fut::Output, StopError>
where
    F: FnOnce(CancellationToken) -> Fut,
    Fut: Future,
{
    let (mut requests, stop) = (StopRequests::listen()?, CancellationToken::new());
    let mut work = pin!(work(stop.clone()));
    tokio::select! {
        output = &mut work => return Ok(output),
        () = requests.next() => stop.cancel(),
    }
    // Nobody can be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{program}: asked to stop, finishing work in hand");
    tokio::select! {
        output = work => Ok(output),
        () = requests.next() => Err(StopError::SecondSignal),
    }
}

/// The signals that ask a program to stop.
struct StopRequests {
    terminate: Signal,
    interrupt: Signal,
}

impl StopRequests {
    fn listen() -> Result<Self, StopError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(StopError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(StopError::Signals)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_ends_by_itself_stops_the_program_and_is_named() {
        let shutdown = Shutdown::default();
        let other = shutdown.token();
        shutdown.spawn("relay", async { anyhow::bail!("refused") });
        shutdown.spawn("listener", async move {
            other.cancelled().await;
            Ok(())
        });
        let end = shutdown.run(Duration::from_secs(5)).await;
        assert_eq!(end.unwrap_err().to_string(), "relay: refused");
    }

    #[tokio::test]
    async fn a_loop_that_panics_stops_the_program() {
        let shutdown = Shutdown::default();
        shutdown.spawn("relay", async { panic!("a fault") });
        assert!(matches!(shutdown.run(Duration::from_secs(5)).await, Err(StopError::LoopDied(_))));
    }
}
