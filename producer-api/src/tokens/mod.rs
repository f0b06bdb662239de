//! Mechanics of JSON Web Tokens: minting, judging, recording, blacklisting. Knows no story: `sessions` tells those.
//!
//! The contract is SimpleJWT's. `jsonwebtoken` signs and verifies; parsing and judging is [`judge`], a pure function of
//! ours, because the library reads the system's clock and rounds fractions.

mod blacklist;
mod claims;
pub mod http;
mod issuer;
mod judge;
pub mod keys;
mod store;

pub use blacklist::{Holder, blacklist_presented, blacklist_session, reject_blacklisted};
pub use claims::{Claims, TokenFault, TokenKind, UserClaim};
pub use issuer::{Issued, SigningError, TokenIssuer};
pub use store::record as record_outstanding;
