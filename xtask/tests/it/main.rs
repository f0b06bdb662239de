//! Private servers for real: they start, survive a kill, and leave nothing behind.

mod postgres;
mod rabbitmq;
