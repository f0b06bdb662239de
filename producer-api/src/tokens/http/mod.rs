//! The one endpoint that tells no story: the key set.

mod documented;
mod jwks;

pub use documented::operations;
pub use jwks::{JWKS, jwks};
