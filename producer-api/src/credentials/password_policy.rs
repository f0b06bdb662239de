//! Which passwords an account may have. Length alone, and no composition rules.

const CHARACTERS_MIN: usize = 8;
const CHARACTERS_MAX: usize = 128;

/// What is wrong with a new password, as messages for its field; empty if nothing is.
pub fn password_faults(password: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let characters = password.chars().count();
    if password.trim() != password {
        // Login trims, as SimpleJWT does: such a password could never log in.
        faults.push("This password may not begin or end with white space.".to_owned());
    }
    if characters < CHARACTERS_MIN {
        faults.push(format!(
            "This password is too short. It must contain at least {CHARACTERS_MIN} characters."
        ));
    }
    if characters > CHARACTERS_MAX {
        faults.push(format!("Ensure this field has no more than {CHARACTERS_MAX} characters."));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_and_outer_white_space_is_refused() {
        assert!(password_faults("пароль-8").is_empty());
        assert!(password_faults(&"x".repeat(128)).is_empty());
        assert_eq!(password_faults("short").len(), 1);
        assert_eq!(password_faults(&"x".repeat(129)).len(), 1);
        assert_eq!(
            password_faults(" long enough "),
            ["This password may not begin or end with white space."]
        );
    }
}
