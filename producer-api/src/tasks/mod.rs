//! Tasks: what users plan.

mod create;
pub mod http;
mod list_recent;
mod store;
mod title;

pub use create::{CreateTaskError, NewTask, create};
pub use list_recent::list_recent;
pub use store::Task;
pub use title::TaskTitle;
