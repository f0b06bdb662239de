//! What an API asks its database, statement by statement: where two questions make it ask the same, no time can tell them
//! apart that is not noise.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// The statements of this test's API. It must run on the test's own thread, as a plain `#[tokio::test]` has it.
pub(crate) struct Statements {
    seen: Arc<Mutex<Vec<String>>>,
    _watch: DefaultGuard,
    /// As long as there is only one subscriber, tracing asks that of whichever thread comes by a place first: another test's
    /// has none, and the place is never heard of again.
    _another: Dispatch,
}

impl Statements {
    pub(crate) fn watch() -> Self {
        let another = Dispatch::new(tracing_subscriber::registry());
        let seen = Arc::default();
        let layer = Seen(Arc::clone(&seen));
        let watch = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        Self { seen, _watch: watch, _another: another }
    }

    /// Those since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

struct Seen(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut statement = Statement::default();
            event.record(&mut statement);
            self.0.lock().unwrap().push(statement.0);
        }
    }
}

/// sqlx tells the beginning and, if that is not all, the whole.
#[derive(Default)]
struct Statement(String);

impl Visit for Statement {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if ["summary", "db.statement"].contains(&field.name()) {
            self.0.push_str(value);
        }
    }
}
