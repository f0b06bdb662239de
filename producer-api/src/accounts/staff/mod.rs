//! What staff does about other people's accounts: see them, switch them off and on, unlock them.
//!
//! Rights are the user's as the database has them now, not the token's. Staff can't switch off its own account, nor touch
//! a superuser's unless it is a superuser's. Whoever does something holds the rows of both accounts from the judgement to
//! the commit, and names the account by its id: a name may be another's a moment later.

mod documented;
pub mod http;
mod list;
mod store;
mod switch;

pub use list::{Page, User, find_user, list_users};
pub use switch::{StaffError, switch, unlock};
