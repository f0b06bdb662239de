//! Jobs that keep the audit trail in shape.

pub mod drop_partitions;
pub mod make_partitions;
mod store;
