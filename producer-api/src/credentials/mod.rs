//! Passwords: what is allowed, and how they are hashed and checked. Knows no user.

mod password_hashing;
mod password_policy;

pub use password_hashing::{HashingError, PasswordHasher};
pub use password_policy::password_faults;

#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "temporary")]
pub struct Checked {
    pub matches: bool,
    pub outdated: bool,
}
#[expect(missing_docs, reason = "temporary")]
pub fn algorithm_name(_: &str) -> &str {
    "argon2id"
}
#[expect(missing_docs, reason = "temporary")]
pub async fn imported_hashes_remain(_c: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    Ok(false)
}
