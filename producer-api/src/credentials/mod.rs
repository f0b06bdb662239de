//! Passwords: what is allowed, and how they are hashed and checked, those that came from Django included. Knows no
//! user, except that some of them still have an imported hash; whose password it judges it is told in words.

mod argon2_memory;
mod django_hashes;
mod hashing_pool;
mod password_hashing;
mod password_policy;
mod store;
mod stored_hash;

pub use hashing_pool::HashingError;
pub use password_hashing::{Checked, PasswordHasher};
pub use password_policy::{PersonalWords, password_faults};
pub use store::imported_hashes_remain;
pub use stored_hash::{Unverifiable, algorithm_name, unverifiable};
