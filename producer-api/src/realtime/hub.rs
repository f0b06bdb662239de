//! Which sockets of which users are open on this replica, and how many there may be.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::ids::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::change::Change;
use super::mailbox::Mailbox;
use crate::config::RealtimeConfig;
use crate::limits::network;

/// The most sockets that read tasks from the database at once, and the most that ask for their sessions, however many
/// connections it may have.
const TURNS_MAX: usize = 4;

/// What bounds a socket.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// How many sockets may be open on this replica.
    pub sockets_max: usize,
    /// How many of them may be one user's.
    pub sockets_per_user: usize,
    /// How many of them may be strangers': opened without a token, which is still to come.
    pub strangers_max: usize,
    /// How many strangers there may be of one client address, an IPv6 /64 counting as one.
    pub strangers_per_address: usize,
    /// How long a client may take to send its token.
    pub authenticate_within: Duration,
    /// How often a socket is looked at that has nothing to tell: whether its session goes on.
    pub look_every: Duration,
    /// How often a client is pinged.
    pub ping_every: Duration,
    /// How long nothing may come from a client.
    pub silence_max: Duration,
    /// How long a client may take for one message.
    pub take_within: Duration,
    /// How many changed tasks wait for a client; when there are more it gets the list.
    pub waiting_max: usize,
    /// How many tasks are known to be known to a client; when there are more it gets the list.
    pub known_max: usize,
    /// How many sockets read tasks from the database at once. All of them want the list when the broker is back.
    pub readers_max: usize,
    /// How many sockets ask for their sessions at once. All of them do when nothing remembered may be believed. It is quick,
    /// and must not wait for lists.
    pub askers_max: usize,
}

impl LiveSettings {
    /// The usual bounds, with the numbers of sockets and of connections to the database as configured.
    pub fn of(config: &RealtimeConfig, pool_max: u32) -> Self {
        // The other half is for requests.
        let half = usize::try_from(pool_max / 2).unwrap_or(usize::MAX);
        let readers = half / 2;
        Self {
            sockets_max: config.sockets_max,
            sockets_per_user: config.sockets_per_user,
            // Strangers leave room for whoever brings a token, and one of them leaves room for the others.
            strangers_max: (config.sockets_max / 2).max(1),
            strangers_per_address: (config.sockets_max / 20).max(1),
            authenticate_within: Duration::from_secs(10),
            // Of the second within which a stream ends with its session, the notice and the farewell have the rest.
            look_every: Duration::from_millis(250),
            ping_every: Duration::from_secs(20),
            silence_max: Duration::from_mins(1),
            take_within: Duration::from_secs(30),
            waiting_max: 256,
            known_max: 1_024,
            readers_max: readers.clamp(1, TURNS_MAX),
            askers_max: (half - readers).clamp(1, TURNS_MAX),
        }
    }
}

/// The open sockets of this replica. Clones share them.
#[derive(Debug, Clone)]
pub struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: LiveSettings,
    hub: Mutex<Hub>,
    places: Arc<Semaphore>,
    readers: Semaphore,
    askers: Semaphore,
    sockets: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Hub {
    /// Whether changes are heard of.
    listening: bool,
    users: HashMap<UserId, Vec<Arc<Mailbox>>>,
    /// How many sockets without a token there are, and from where.
    strangers: usize,
    strangers_of: HashMap<IpAddr, usize>,
    /// When the database last answered a socket that asked for its session.
    answered_at: Option<Instant>,
}

/// A socket's place on this replica, from before its handshake on.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Keeps an orderly stop waiting until the socket has said farewell.
    _tracked: TaskTrackerToken,
}

/// A socket whose token is still to come. Dropped, it is none any more.
#[derive(Debug)]
pub(super) struct Stranger {
    live: Live,
    network: Option<IpAddr>,
}

/// A socket whose user is known. Dropped, it hears of nothing any more.
#[derive(Debug)]
pub(super) struct Seat {
    live: Live,
    user: UserId,
    mailbox: Arc<Mailbox>,
}

impl Live {
    /// No socket yet. They end when `stop` is cancelled. Without [`Live::run`] they hear of nothing.
    pub fn new(settings: LiveSettings, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            hub: Mutex::default(),
            places: Arc::new(Semaphore::new(settings.sockets_max)),
            readers: Semaphore::new(settings.readers_max),
            askers: Semaphore::new(settings.askers_max),
            settings,
            sockets: TaskTracker::new(),
            stop,
        }))
    }

    pub(super) fn settings(&self) -> &LiveSettings {
        &self.0.settings
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// How many sockets are open.
    pub fn sockets(&self) -> usize {
        self.0.settings.sockets_max.saturating_sub(self.0.places.available_permits())
    }

    /// A place for one more socket, if there is one.
    pub(super) fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit, _tracked: self.0.sockets.token() })
    }

    /// Registers a socket whose token is still to come. None if there are too many, or too many from there.
    pub(super) fn stranger(&self, address: Option<IpAddr>) -> Option<Stranger> {
        let network = address.map(network);
        let mut hub = self.hub();
        let settings = &self.0.settings;
        let from_there = network.and_then(|network| hub.strangers_of.get(&network)).copied().unwrap_or(0);
        if hub.strangers >= settings.strangers_max || from_there >= settings.strangers_per_address {
            return None;
        }
        hub.strangers += 1;
        if let Some(network) = network {
            hub.strangers_of.insert(network, from_there + 1);
        }
        drop(hub);
        Some(Stranger { live: self.clone(), network })
    }

    /// Registers a socket of `user`: from here on its mailbox misses nothing. None if the user has too many.
    pub(super) fn sit_down(&self, user: UserId) -> Option<Seat> {
        let mut hub = self.hub();
        let is_stale = !hub.listening;
        let mailboxes = hub.users.entry(user).or_default();
        if mailboxes.len() >= self.0.settings.sockets_per_user {
            return None;
        }
        let mailbox = Arc::new(Mailbox::new(self.0.settings.waiting_max, is_stale));
        mailboxes.push(Arc::clone(&mailbox));
        Some(Seat { live: self.clone(), user, mailbox })
    }

    /// Whether `user` may open another socket.
    pub(super) fn has_room_for(&self, user: UserId) -> bool {
        self.hub().users.get(&user).is_none_or(|open| open.len() < self.0.settings.sockets_per_user)
    }

    /// The turn to read tasks from the database.
    pub(super) async fn reader(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.readers.acquire().await.ok()
    }

    /// The turn to ask the database for a session.
    pub(super) async fn asker(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.askers.acquire().await.ok()
    }

    /// The database answered a socket that asked for its session.
    pub(super) fn answered(&self) {
        self.hub().answered_at = Some(Instant::now());
    }

    /// Whether it did so just now: then it is there, and whoever has no answer yet waits for his turn.
    pub(super) fn was_answered_within(&self, time: Duration) -> bool {
        self.hub().answered_at.is_some_and(|at| at.elapsed() < time)
    }

    /// Whether any socket of `user` is open here.
    pub(super) fn watches(&self, user: UserId) -> bool {
        self.hub().users.contains_key(&user)
    }

    /// Puts a change into the mailboxes of its owner.
    pub(super) fn tell(&self, user: UserId, change: Change) {
        let change = Arc::new(change);
        if let Some(mailboxes) = self.hub().users.get(&user) {
            for mailbox in mailboxes {
                mailbox.put(&change);
            }
        }
    }

    /// Something that can't be known changed for `user`.
    pub(super) fn doubt(&self, user: UserId) {
        if let Some(mailboxes) = self.hub().users.get(&user) {
            for mailbox in mailboxes {
                mailbox.doubt();
            }
        }
    }

    /// From now on every change is heard of; none is known of those before. Says how many sockets there are.
    pub(super) fn doubt_everything(&self) -> usize {
        let mut hub = self.hub();
        hub.listening = true;
        hub.mailboxes().map(|mailbox| mailbox.doubt()).count()
    }

    /// Changes are not heard of any more. Says how many sockets there are.
    pub(super) fn stop_listening(&self) -> usize {
        let mut hub = self.hub();
        hub.listening = false;
        hub.mailboxes().map(|mailbox| mailbox.mark_stale()).count()
    }

    /// Waits until every socket has ended, once `stop` is cancelled.
    pub(super) async fn ended(&self) {
        self.0.stop.cancelled().await;
        self.0.sockets.close();
        self.0.sockets.wait().await;
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.0.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    fn mailboxes(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.users.values().flatten()
    }
}

impl Seat {
    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut hub = self.live.hub();
        hub.strangers -= 1;
        let Some(network) = self.network else { return };
        if let Entry::Occupied(mut from_there) = hub.strangers_of.entry(network) {
            *from_there.get_mut() -= 1;
            if *from_there.get() == 0 {
                from_there.remove();
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut hub = self.live.hub();
        if let Entry::Occupied(mut mailboxes) = hub.users.entry(self.user) {
            mailboxes.get_mut().retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            if mailboxes.get().is_empty() {
                mailboxes.remove();
            }
        }
    }
}
