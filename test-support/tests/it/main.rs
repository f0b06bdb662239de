//! Warren as a whole: the real programs over real servers, and what happens when any of them dies.
//!
//! Each test is a promise of the README. The comment above a test names what must be broken for it to go red.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong should end it")]

mod account_life;
mod broker_outage;
mod broker_rights;
mod browser;
mod conformance_against_django;
mod database_outage;
mod durations;
mod ends_of_the_road;
mod event_documents;
mod fault_suite;
mod fault_suite_told;
mod flush_expired_tokens;
mod foreign_worker;
mod gate;
mod hanging_mail_server;
mod import;
mod killed_programs;
mod limit_commands;
mod live;
mod live_ends;
mod live_faults;
mod metrics;
mod openapi;
mod orderly_end;
mod print_tasks;
mod python_consumer;
mod refusals;
mod refused_logins;
mod revocation;
mod schedule_commands;
mod schedules;
mod schedules_under_faults;
mod settings;
mod simplejwt_peer;
mod token_commands;
mod topology;
mod trail;
