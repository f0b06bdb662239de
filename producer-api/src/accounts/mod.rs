//! Accounts: registering, what operators' commands do to them, and those that come from Django.

mod email_address;
pub mod http;
pub mod import;
mod office;
mod register;
mod set_active;
mod set_password;
mod store;
mod username;

pub use email_address::EmailAddress;
pub use office::Office;
pub use register::{NewAccount, RegisterError, Registered, Registry, register};
pub use set_active::{ChangeError, SetActive, set_active};
pub use set_password::{SetPasswordError, set_password};
pub use username::Username;
