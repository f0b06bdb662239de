//! The document of the API (OpenAPI 3.1) and the page that shows it.
//!
//! Each domain's `http` folder says in a file `documented.rs` what its endpoints take and give: an [`Operation`] for each
//! method of an [`Endpoint`](crate::middleware::Endpoint). Its bodies are the types that the handlers answer with, its
//! refusals are the very [`Problem`](crate::problem::Problem)s. Paths, and who may call, come from the router; what can happen
//! to any request of a kind is added here once (`everywhere`). This room knows no domain.

mod answer;
mod document;
mod documented;
mod everywhere;
mod fields;
mod http;
mod operation;
mod security;
mod swagger;

#[cfg(test)]
mod tests;

pub use document::Document;
pub use documented::{operations, probes};
pub use fields::{
    Field, duration, email_address, exact_text, instant, long_text, name_of_user, number, short_text, text,
};
pub use http::{SCHEMA, schema};
pub use operation::Operation;
pub use security::SecurityScheme;
pub use swagger::{SWAGGER, SWAGGER_FILE, swagger, swagger_file};
