//! What a request says, read as Django REST framework reads it.
//!
//! [`Body`] reads JSON, forms and multipart forms into [`Fields`]; [`FieldCheck`] takes single fields out of them and
//! gathers everything that is wrong, so that all of it is reported together. Unknown members are ignored. Query strings
//! turn the pages of lists ([`PageAsked`]) and are no part of the fields. This room knows nothing of what a field means.

mod body;
mod field_check;
mod fields;
mod form;
mod json;
mod json_text;
pub(crate) mod media_type;
mod multipart;
mod page;
mod python_text;
pub mod query;
mod read;

pub use body::Body;
pub use field_check::FieldCheck;
pub use fields::{Fields, Member};
#[cfg(test)]
pub(crate) use json::parse as fields_of_json;
pub use page::{PageAsked, next_page};
pub use read::{BodyLimit, BodyTooSlow};
