//! The views for operators: each against rows that belong into it and rows that almost do.

mod accounts;
mod activity;
mod attacks;
mod pipeline;
mod reading;
