//! What is wrong with which field, in the order in which the fields were checked.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The name under which DRF reports what is wrong with the body as a whole.
pub const NON_FIELD_ERRORS: &str = "non_field_errors";

/// Field name to texts, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(String, Vec<String>)>);

impl FieldErrors {
    /// Nothing wrong so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text to a field's list.
    pub fn add(&mut self, field: &str, text: impl Into<String>) {
        match self.0.iter_mut().find(|(name, _)| name == field) {
            Some((_, texts)) => texts.push(text.into()),
            None => self.0.push((field.to_owned(), vec![text.into()])),
        }
    }

    /// Whether something is wrong with the field.
    pub fn contains(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| name == field)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (field, texts) in &self.0 {
            map.serialize_entry(field, texts)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_the_order_in_which_they_were_checked_and_their_texts_are_gathered() {
        let mut errors = FieldErrors::new();
        errors.add("username", "one");
        errors.add("password", "two");
        errors.add("username", "three");
        assert_eq!(
            serde_json::to_string(&errors).unwrap(),
            r#"{"username":["one","three"],"password":["two"]}"#
        );
        assert!(errors.contains("password") && !errors.contains("email"));
    }
}
