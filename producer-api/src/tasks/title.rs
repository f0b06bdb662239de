//! A task's title.

/// The longest title.
pub(super) const CHARACTERS_MAX: usize = 200;

/// One to two hundred characters, trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTitle(String);

impl TaskTitle {
    /// Checks a trimmed, non-empty text.
    ///
    /// # Errors
    /// The message for its field.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > CHARACTERS_MAX {
            return Err(format!("Ensure this field has no more than {CHARACTERS_MAX} characters."));
        }
        Ok(Self(text.to_owned()))
    }

    /// The title.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
