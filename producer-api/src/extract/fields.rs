//! The members of a body by name, before anybody has asked what they mean.

use std::collections::HashMap;
use std::fmt;

use serde_json::value::RawValue;

/// What a body says under one name.
#[derive(Clone)]
pub enum Member {
    /// A JSON value as it was written, so that a number's text is not lost.
    Json(Box<RawValue>),
    /// A form's value.
    Text(String),
    /// A file of a multipart form; what is in it is nobody's business here.
    File,
}

/// A body's members. Of several with one name the last one counts. Shown by their names alone: passwords are among them.
#[derive(Clone, Default)]
pub struct Fields {
    members: HashMap<String, Member>,
    from_form: bool,
}

impl fmt::Debug for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.members.keys()).finish()
    }
}

impl Fields {
    /// An empty body's.
    pub fn none() -> Self {
        Self::default()
    }

    pub(super) fn of_json(members: HashMap<String, Box<RawValue>>) -> Self {
        let members = members.into_iter().map(|(name, value)| (name, Member::Json(value))).collect();
        Self { members, from_form: false }
    }

    pub(super) fn of_form(members: impl IntoIterator<Item = (String, Member)>) -> Self {
        Self { members: members.into_iter().collect(), from_form: true }
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.get(name)
    }

    /// Whether an optional field of this name was left out. A form can't leave a field out, only leave it empty.
    pub(super) fn is_left_out(&self, name: &str) -> bool {
        match self.get(name) {
            None => true,
            Some(Member::Text(text)) => self.from_form && text.is_empty(),
            Some(_) => false,
        }
    }
}
