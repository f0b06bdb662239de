//! An error with its causes in one line.

use std::error::Error;

/// `what failed: because: because`. A cause that the text before it has told already is left out: many libraries repeat
/// their source.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn a_cause_told_already_is_not_told_again() {
        let root = Layer("refused", None);
        let middle = Layer("IO error: refused", Some(Box::new(root)));
        let outer = Layer("can't connect", Some(Box::new(middle)));
        assert_eq!(error_chain(&outer), "can't connect: IO error: refused");
    }
}
