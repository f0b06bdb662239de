//! Accounts: registering, and the superuser that a command makes.

mod email_address;
pub mod http;
mod register;
mod store;
mod username;

pub use email_address::EmailAddress;
pub use register::{NewAccount, RegisterError, Registered, Registry, register};
pub use username::Username;
