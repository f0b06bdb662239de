//! The one endpoint that tells no story: the key set.

mod jwks;

pub use jwks::{JWKS, jwks};
