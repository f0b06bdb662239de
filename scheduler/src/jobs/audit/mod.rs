//! Jobs that keep the audit trail in shape.

pub mod make_partitions;
