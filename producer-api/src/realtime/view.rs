//! What one client was shown, and so what it may be shown next: never an older state of a task after a newer one.
//!
//! Pure and synchronous. Messages may come late, doubled and in any order; whoever calls this brings two things:
//! - *Nothing is missed from the beginning of the view on.* The socket is registered, and the subscription stands, before
//!   the list is read and [`View::begin`] is called; what breaks that begins the view anew.
//! - `sure_after`, the last sequence that the outbox had given out at some instant after that. A message with a higher
//!   one was written later, and so is every newer state of its task: they will all come.
//!
//! From this follows, for each message about a task:
//! - The client knows it: a higher version is news, whatever else is not. Gone is final.
//! - It says that the task is gone: that is final, too, and never in doubt.
//! - The client doesn't know it, and its sequence is higher than `sure_after`: news.
//! - Else in doubt: a newer state may have been told before anybody listened, the end of the task included. The database
//!   is asked for the task as it is now, which is [`View::found`] or [`View::not_found`]; whatever is newer will come.
//!
//! What is known is bounded. When there is no room for another task the view begins anew, with the list.

use std::collections::HashMap;

use shared::ids::TaskId;

/// What to do with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell the client.
    Show,
    /// Nothing: the client knows as much, or more.
    Drop,
    /// Ask the database for this task.
    Ask,
    /// There is no room: ask for the list.
    BeginAnew,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Version(i64),
    Gone,
}

/// What one client knows.
#[derive(Debug)]
pub(super) struct View {
    known: HashMap<TaskId, Known>,
    sure_after: i64,
    room: usize,
}

impl View {
    /// A client that knows nothing; every message is in doubt until [`View::begin`].
    pub(super) fn new(room: usize) -> Self {
        Self { known: HashMap::new(), sure_after: i64::MAX, room }
    }

    /// The client is told this list, and forgets everything else.
    pub(super) fn begin(&mut self, list: impl IntoIterator<Item = (TaskId, i64)>, sure_after: i64) {
        self.known = list.into_iter().map(|(task, version)| (task, Known::Version(version))).collect();
        self.sure_after = sure_after;
    }

    /// Judges a message; the client is told if the verdict is to show it.
    pub(super) fn judge(&mut self, task: TaskId, version: i64, deleted: bool, sequence: i64) -> Verdict {
        let news = if deleted { Known::Gone } else { Known::Version(version) };
        match self.known.get(&task) {
            Some(Known::Gone) => Verdict::Drop,
            Some(Known::Version(known)) if !deleted && version <= *known => Verdict::Drop,
            Some(Known::Version(_)) => self.learn(task, news),
            None if deleted || sequence > self.sure_after => self.learn(task, news),
            None => Verdict::Ask,
        }
    }

    /// The database has the task in this version.
    pub(super) fn found(&mut self, task: TaskId, version: i64) -> Verdict {
        self.judge(task, version, false, i64::MAX)
    }

    /// The database has no such task: it is gone, and the client never heard of it.
    pub(super) fn not_found(&mut self, task: TaskId) -> Verdict {
        match self.learn(task, Known::Gone) {
            Verdict::Show => Verdict::Drop,
            verdict => verdict,
        }
    }

    fn learn(&mut self, task: TaskId, news: Known) -> Verdict {
        if self.known.len() >= self.room && !self.known.contains_key(&task) {
            return Verdict::BeginAnew;
        }
        self.known.insert(task, news);
        Verdict::Show
    }
}

#[cfg(test)]
mod tests;
