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

pub use blacklist::{Whose, blacklist_presented, blacklist_sessions, record_presented, tell_blacklisted};
pub use claims::{ClaimNames, Claims, TokenFault, TokenKind, UserClaim};
pub use issuer::{Holder, Issued, MintError, TokenIssuer, password_mark};
pub use judge::{Audience, decode_unproven};
pub use store::{
    Blacklisted, Outstanding, Row as OutstandingRow, Successor, extend as extend_outstanding,
    find as find_outstanding, is_blacklisted, record as record_outstanding, rotate as rotate_outstanding,
    successor_of,
};
