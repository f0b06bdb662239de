//! The endpoints of accounts.

mod register;

pub use register::{REGISTER, register};
