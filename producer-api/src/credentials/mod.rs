//! Passwords: what is allowed, and how they are hashed and checked. Knows no user.

mod password_hashing;
mod password_policy;

pub use password_hashing::{HashingError, PasswordHasher};
pub use password_policy::password_faults;
