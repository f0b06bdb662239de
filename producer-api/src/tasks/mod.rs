//! Tasks: what users plan.
//!
//! Each use case is one statement that writes the event, too (see [`EventDraft`](shared::outbox::EventDraft)). A user has
//! only his own: another's is as good as none, and asking for it is counted.

mod create;
mod deed;
mod delete;
mod find;
pub mod http;
mod list;
mod once;
mod owned;
mod place;
mod rename;
pub(crate) mod store;
mod title;
mod walk;

pub use create::{CreateTaskError, NewTask, create};
pub use delete::delete;
pub use find::find;
pub use list::{Page, RECENT, list};
pub use once::{BadKey, CreateOnceError, Created, IdempotencyKey, create_once};
pub use owned::Owned;
pub use place::{NotACursor, Place};
pub use rename::{RenameTaskError, TaskChange, rename};
pub use store::Task;
pub use title::TaskTitle;
pub use walk::{WalkedTask, count_behind, walk};
