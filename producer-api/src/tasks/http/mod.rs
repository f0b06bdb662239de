//! The endpoints of tasks.

mod body;
mod create;
mod list;

pub use create::create;
pub use list::list;

use crate::middleware::{Endpoint, EndpointField};

/// What OPTIONS tells.
pub const TASKS: Endpoint = Endpoint {
    name: "Task List",
    description: "Lists the caller's last four tasks, and makes a task.",
    methods: &["GET", "POST"],
    fields: &[EndpointField::required("title", "Title"), EndpointField::required("duration", "Duration")],
};
