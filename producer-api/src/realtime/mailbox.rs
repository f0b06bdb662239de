//! What waits for one socket: at most so many changed tasks, each in its newest state. What is more becomes the list.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::ids::TaskId;
use tokio::sync::Notify;

use super::change::Change;

/// One socket's mailbox: the hub puts in, the socket takes out.
#[derive(Debug)]
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    filled: Notify,
    changes_max: usize,
}

#[derive(Debug)]
struct Inbox {
    /// The list is due, and with it everything that changed before it is read.
    list: bool,
    /// The client is to be told that changes are not heard of.
    stale: bool,
    changes: HashMap<TaskId, Arc<Change>>,
}

/// What a socket has to tell next.
#[derive(Debug)]
pub(super) enum Due {
    /// The present list, to be read from now on.
    List,
    /// That changes are not heard of for now.
    Stale,
    /// These, of different tasks, in the order in which they happened.
    Changes(Vec<Arc<Change>>),
}

impl Mailbox {
    /// The mailbox of a new socket: the list is due. It holds at most `changes_max` tasks.
    pub(super) fn new(changes_max: usize, is_stale: bool) -> Self {
        let inbox = Inbox { list: true, stale: is_stale, changes: HashMap::new() };
        Self { inbox: Mutex::new(inbox), filled: Notify::new(), changes_max }
    }

    /// A task changed.
    pub(super) fn put(&self, change: &Arc<Change>) {
        let mut inbox = self.inbox();
        // The list is read after this, and so knows of it.
        if inbox.list {
            return;
        }
        let is_full = inbox.changes.len() >= self.changes_max;
        match inbox.changes.get_mut(&change.task) {
            Some(waiting) if waiting.version < change.version => *waiting = Arc::clone(change),
            Some(_) => {}
            None if is_full => inbox.want_list(),
            None => {
                inbox.changes.insert(change.task, Arc::clone(change));
            }
        }
        drop(inbox);
        self.filled.notify_one();
    }

    /// Something may have been missed, and changes are heard of again: the list.
    pub(super) fn doubt(&self) {
        let mut inbox = self.inbox();
        inbox.stale = false;
        inbox.want_list();
        drop(inbox);
        self.filled.notify_one();
    }

    /// Changes are not heard of for now.
    pub(super) fn mark_stale(&self) {
        self.inbox().stale = true;
        self.filled.notify_one();
    }

    /// What is due, if anything.
    pub(super) fn take(&self) -> Option<Due> {
        let mut inbox = self.inbox();
        if std::mem::take(&mut inbox.list) {
            return Some(Due::List);
        }
        if std::mem::take(&mut inbox.stale) {
            return Some(Due::Stale);
        }
        if inbox.changes.is_empty() {
            return None;
        }
        let mut changes: Vec<_> = std::mem::take(&mut inbox.changes).into_values().collect();
        drop(inbox);
        changes.sort_by_key(|change| change.sequence);
        Some(Due::Changes(changes))
    }

    /// Waits until something may be due.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn want_list(&mut self) {
        self.list = true;
        self.changes = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(task: i64, version: i64) -> Arc<Change> {
        let text = "".into();
        Arc::new(Change { task: TaskId(task), version, deleted: false, sequence: task * 10 + version, text })
    }

    /// A mailbox whose first list was taken already.
    fn mailbox(changes_max: usize) -> Mailbox {
        let mailbox = Mailbox::new(changes_max, false);
        assert!(matches!(mailbox.take(), Some(Due::List)));
        assert!(mailbox.take().is_none());
        mailbox
    }

    fn taken(mailbox: &Mailbox) -> Vec<(i64, i64)> {
        match mailbox.take() {
            Some(Due::Changes(changes)) => {
                changes.iter().map(|change| (change.task.0, change.version)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_several_changes_of_a_task_the_newest_waits_whatever_their_order() {
        let mailbox = mailbox(10);
        for (task, version) in [(2, 1), (1, 2), (1, 3), (1, 1), (2, 1)] {
            mailbox.put(&change(task, version));
        }
        assert_eq!(taken(&mailbox), [(1, 3), (2, 1)]);
        assert!(mailbox.take().is_none());
    }

    #[test]
    fn more_tasks_than_it_may_hold_become_one_list() {
        let mailbox = mailbox(3);
        for task in 1..=100 {
            mailbox.put(&change(task, 1));
            assert!(mailbox.inbox().changes.len() <= 3);
        }
        assert!(matches!(mailbox.take(), Some(Due::List)));
        assert!(mailbox.take().is_none(), "the list has all of them");
        mailbox.put(&change(7, 2));
        assert_eq!(taken(&mailbox), [(7, 2)]);
    }

    #[test]
    fn what_changes_while_a_list_is_being_read_is_told_after_it() {
        let mailbox = Mailbox::new(10, false);
        mailbox.put(&change(1, 1));
        assert!(matches!(mailbox.take(), Some(Due::List)));
        mailbox.put(&change(1, 2));
        assert_eq!(taken(&mailbox), [(1, 2)]);
    }

    #[test]
    fn a_client_is_told_once_that_nothing_is_heard_and_gets_the_list_when_it_is_again() {
        let mailbox = mailbox(10);
        mailbox.mark_stale();
        assert!(matches!(mailbox.take(), Some(Due::Stale)));
        assert!(mailbox.take().is_none());
        mailbox.mark_stale();
        mailbox.doubt();
        assert!(matches!(mailbox.take(), Some(Due::List)));
        assert!(mailbox.take().is_none(), "it would be told after the list, and believe it");
    }
}
