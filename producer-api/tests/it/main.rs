//! The API over HTTP and a real database, in this process. RabbitMQ is needed by the tests of notices alone: no request
//! asks it.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

mod attacks;
mod bad_input;
mod event_documents;
mod events;
mod harness;
mod idempotency;
mod import;
mod jobs;
mod key_rotation;
mod keys;
mod limits;
mod live;
mod live_bounds;
mod live_frames;
mod live_turns;
mod mail_limits;
mod mail_links;
mod metrics;
mod odd_claims;
mod openapi;
mod outage;
mod overload;
mod page;
mod passwords;
mod policies;
mod profiles;
mod registering;
mod rehashing;
mod rotation;
mod round_trips;
mod secrets;
mod session_lifetime;
mod session_list;
mod sessions;
mod settings;
mod sliding;
mod staff;
mod standing_notices;
mod standings;
mod statements;
mod task_changes;
mod task_pages;
mod tasks;
mod tokens;
mod trail;
mod transport;
mod warm_replica;
mod who_exists;
