//! The endpoints of tasks.

mod body;
mod create;
mod documented;
mod fields;
mod list;
mod one;

pub use body::TaskBody;
pub use create::create;
pub use documented::operations;
pub use list::list;
pub use one::{delete, replace, show, update};

use crate::middleware::{Endpoint, EndpointField};

/// What OPTIONS tells of the list.
pub const TASKS: Endpoint = Endpoint {
    name: "Task List",
    description: "Lists the caller's last four tasks, or page by page with ?limit= and ?cursor=, and makes a task.",
    methods: &["GET", "POST"],
    fields: &[EndpointField::required("title", "Title"), EndpointField::required("duration", "Duration")],
};

/// What OPTIONS tells of one.
pub const TASK: Endpoint = Endpoint {
    name: "Task Instance",
    description: "Shows, renames or deletes one of your tasks. A task's duration can't be changed.",
    methods: &["GET", "PUT", "PATCH", "DELETE"],
    fields: &[EndpointField::required("title", "Title"), EndpointField::read_only("duration", "Duration")],
};
