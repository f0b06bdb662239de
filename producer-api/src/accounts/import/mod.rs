//! Accounts that come from Django: from its database, or from a file.
//!
//! A source ([`source`]) gives one [`record::Record`] after the other; [`user`] judges each by itself, [`plan`] against
//! what is there already, [`addresses`] says whose address counts as verified, and [`import_users()`] writes them in batches, each a transaction with its events. At no time is
//! more than a batch in memory (a dry run remembers names and ids besides). A row that won't do is refused and the
//! others go on; running it again changes nothing.

mod addresses;
mod csv_file;
mod django_database;
mod import_users;
mod json_file;
mod plan;
mod record;
mod report;
mod source;
mod store;
mod user;

pub use import_users::{ImportError, Importer, import_users};
pub use record::Model;
pub use report::Report;
pub use source::{ReadError, Source};
