//! The one token endpoint that tells no story: verify.

mod verify;

pub use verify::{VERIFY, verify};
