//! Ctrl-C, SIGTERM and a closed terminal, as a question that every waiting loop asks.
//!
//! The first one asks for an orderly stop: [`check`] fails with [`Interrupted`], which travels up as an ordinary
//! error, and destructors stop what was started. The second one insists: whoever is stopping things kills instead.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

static REQUESTS: AtomicUsize = AtomicUsize::new(0);

/// Somebody asked the command to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Begins to listen for SIGINT, SIGTERM and SIGHUP, which from now on don't end the process by themselves.
pub fn listen() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("can't listen for Ctrl-C")?;
    thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            // A closing terminal sends the same wish two or three times: from the kernel, the shell, its session.
            let echo = Duration::from_millis(300);
            let mut last: Option<Instant> = None;
            for _signal in signals.forever() {
                if last.is_none_or(|last| last.elapsed() > echo) {
                    REQUESTS.fetch_add(1, Ordering::Relaxed);
                }
                last = Some(Instant::now());
            }
        })
        .context("can't start the thread that listens for Ctrl-C")?;
    Ok(())
}

/// Asks to stop from inside: what still runs in other threads is of no use any more.
pub fn request() {
    REQUESTS.fetch_add(1, Ordering::Relaxed);
}

/// True if this error, or one of its causes, is [`Interrupted`].
pub fn is_interrupted(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<Interrupted>)
}

/// True once somebody asked to stop.
pub fn requested() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 0
}

/// True once somebody asked a second time.
pub fn insisted() -> bool {
    REQUESTS.load(Ordering::Relaxed) > 1
}

/// Fails with [`Interrupted`] once somebody asked to stop.
pub fn check() -> Result<(), Interrupted> {
    if requested() { Err(Interrupted) } else { Ok(()) }
}
