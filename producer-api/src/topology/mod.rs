//! The broker's exchanges, queues, bindings and users as an administrator sees them: by the management API, and for
//! commands alone. What they should be is `shared::broker`'s to say.

mod apply;
mod check;
mod compare;
mod difference;
mod found;
mod management;

pub use apply::{Applied, UserApplied, apply};
pub use check::{Checked, check};
pub use difference::Difference;
pub use management::{Management, ManagementError};
