//! Accounts: registering, proving addresses, passwords forgotten and changed, profiles, what operators' commands do to
//! them, and those that come from Django.

mod ask_for_mail;
mod change_password;
mod confirm_password;
mod delete_account;
mod email_address;
pub mod http;
pub mod import;
mod mail_links;
mod mail_store;
mod new_password;
mod notices;
mod office;
mod register;
mod reset_password;
mod set_active;
mod set_password;
pub mod staff;
mod store;
mod update_profile;
mod username;
mod verify_email;

pub use ask_for_mail::{Asked, ask_for_password_reset, resend_verification};
pub use change_password::{ChangePasswordError, change_password};
pub use confirm_password::ConfirmPasswordError;
pub use delete_account::delete_account;
pub use email_address::EmailAddress;
pub use mail_links::LinkError;
pub use office::Office;
pub use register::{NewAccount, RegisterError, Registered, Registry, register};
pub use reset_password::{ResetPasswordError, reset_password};
pub use set_active::{ChangeError, SetActive, set_active};
pub use set_password::{SetPasswordError, set_password};
pub use store::Profile;
pub use update_profile::{ProfileChange, UpdateProfileError, profile, update_profile};
pub use username::Username;
pub use verify_email::verify_email;
