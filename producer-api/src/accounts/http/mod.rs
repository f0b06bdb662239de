//! The endpoints of accounts.

mod documented;
mod email;
mod me;
mod pages;
mod password;
mod register;

pub use documented::operations;
pub use email::{RESEND, VERIFY_EMAIL, resend, verify, verify_page};
pub use me::{ME, delete, read, update};
pub use password::{CHANGE, CONFIRM_RESET, RESET, change, confirm_reset, confirm_reset_page, reset};
pub use register::{REGISTER, register};
