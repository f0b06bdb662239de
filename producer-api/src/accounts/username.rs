//! A username: Django's rule, compared exactly.

/// The longest name.
pub(super) const CHARACTERS_MAX: usize = 150;

/// A name that an account may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Checks a name: at most 150 letters, digits and `@.+-_`.
    ///
    /// # Errors
    /// The messages for its field, in Django's words.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let allowed = |character: char| character.is_alphanumeric() || "@.+-_".contains(character);
        if !text.chars().all(allowed) {
            faults.push(
                "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."
                    .to_owned(),
            );
        }
        if text.chars().count() > CHARACTERS_MAX {
            faults.push(format!("Ensure this field has no more than {CHARACTERS_MAX} characters."));
        }
        if faults.is_empty() { Ok(Self(text.to_owned())) } else { Err(faults) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_digits_and_five_signs_make_a_name() {
        for name in ["froggly", "Ärger.9", "a@b+c-d_e", &"x".repeat(150)] {
            assert!(Username::parse(name).is_ok(), "{name}");
        }
        for (name, faults) in
            [("a b", 1), ("a/b", 1), ("<script>", 1), (&*"x".repeat(151), 1), (&*" ".repeat(151), 2)]
        {
            assert_eq!(Username::parse(name).unwrap_err().len(), faults, "{name}");
        }
    }
}
