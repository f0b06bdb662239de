//! Jobs about tokens and the sessions they belong to.

pub mod purge_expired;
mod store;
