//! Jobs about what users plan.

pub mod print_user_tasks;
mod store;
