//! Mail: the job `send-mail`, and what it needs to write one and to hand it over.
//!
//! A run is told a user and a purpose, and reads and draws everything else when it sends. Each attempt goes three steps:
//!
//! 1. One transaction, which holds the run's row under the attempt's number: a row of `mail_attempts` ('begun') and, for
//!    a link, the SHA-256 of a secret drawn now. An attempt that has lost the run stores nothing.
//! 2. The mail is written and handed over. No transaction is open meanwhile.
//! 3. What became of it is noted in `mail_attempts`. A row that stays at 'begun' means that the worker died in between.
//!
//! SMTP can't promise that a mail arrives exactly once: if the connection ends after the last byte and before the
//! answer, nobody knows. Such an attempt is 'unconfirmed', the mail is sent again, and the rows of its run tell how often
//! it may have arrived. All mails of a run bear the same `Message-ID`, so that a receiver can drop the second.
//!
//! A secret is in the mail and nowhere else: not in a log, an output, an event or a row.

pub mod config;
mod delivery;
mod letter;
mod message;
mod plan;
pub mod purge;
mod purge_store;
mod reply;
pub mod send;
pub mod smtp_config;
mod store;

pub use config::MailConfig;
pub use delivery::Mailer;
