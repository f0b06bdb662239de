//! Warren's developer commands, and the private servers that tests borrow from them.
//!
//! Rooms, from the bottom up: [`console`], [`interrupt`], [`wait`] and [`http`] know nothing of Warren; [`process`]
//! starts, recognises and ends processes; [`servers`] runs a private PostgreSQL and a private RabbitMQ; [`stack`] is
//! `cargo xtask up` and its sisters; [`checks`] is `cargo xtask test`; [`cli`] chooses. Everything here is for Linux, reads
//! `/proc`, and is never linked into a program.

pub mod checks;
pub mod cli;
pub mod console;
pub mod exit;
pub mod http;
pub mod interrupt;
pub mod process;
pub mod servers;
pub mod stack;
pub mod wait;
