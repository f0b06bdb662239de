//! Which of what lies at an end of the road is meant. Pure; SQL is given the same four conditions.

use chrono::{DateTime, Utc};

/// All that meet every condition that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of which event type.
    pub event_type: Option<TypePattern>,
    /// What the reason has in it, in whatever case.
    pub reason_contains: Option<String>,
    /// Not come later than this.
    pub until: Option<DateTime<Utc>>,
    /// Not come earlier than this.
    pub since: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether something of this type, for this reason, that came then is meant. What has no type or no time does not
    /// meet a condition on it.
    pub fn takes(&self, event_type: Option<&str>, reason: &str, at: Option<DateTime<Utc>>) -> bool {
        let type_fits = self
            .event_type
            .as_ref()
            .is_none_or(|pattern| event_type.is_some_and(|event_type| pattern.fits(event_type)));
        let reason_fits = self
            .reason_contains
            .as_ref()
            .is_none_or(|part| reason.to_lowercase().contains(&part.to_lowercase()));
        let early_enough = self.until.is_none_or(|until| at.is_some_and(|at| at <= until));
        let late_enough = self.since.is_none_or(|since| at.is_some_and(|at| at >= since));
        type_fits && reason_fits && early_enough && late_enough
    }

    /// The condition on the type, as SQL's `LIKE` takes it.
    pub fn type_like(&self) -> Option<String> {
        self.event_type.as_ref().map(TypePattern::like)
    }
}

/// An event type's name; or, with `*` behind it, how the names begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypePattern {
    /// This one.
    Exactly(String),
    /// All that begin so.
    Beginning(String),
}

impl TypePattern {
    /// Reads what an operator wrote.
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(beginning) => Self::Beginning(beginning.to_owned()),
            None => Self::Exactly(text.to_owned()),
        }
    }

    fn fits(&self, event_type: &str) -> bool {
        match self {
            Self::Exactly(name) => event_type == name,
            Self::Beginning(beginning) => event_type.starts_with(beginning),
        }
    }

    fn like(&self) -> String {
        let (text, end) = match self {
            Self::Exactly(name) => (name, ""),
            Self::Beginning(beginning) => (beginning, "%"),
        };
        let mut pattern = String::new();
        for character in text.chars() {
            if ['%', '_', '\\'].contains(&character) {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern + end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn without_conditions_everything_is_meant() {
        assert!(Filter::default().takes(None, "", None));
    }

    #[test]
    fn every_condition_must_be_met() {
        let filter = Filter {
            event_type: Some(TypePattern::parse("task.*")),
            reason_contains: Some("no_route".to_owned()),
            until: Some(at(20)),
            since: Some(at(10)),
        };
        assert!(filter.takes(Some("task.created"), "312 NO_ROUTE", Some(at(10))));
        for (event_type, reason, at) in [
            (Some("auth.login.failed"), "312 NO_ROUTE", Some(at(15))),
            (None, "312 NO_ROUTE", Some(at(15))),
            (Some("task.created"), "other", Some(at(15))),
            (Some("task.created"), "312 NO_ROUTE", Some(at(9))),
            (Some("task.created"), "312 NO_ROUTE", Some(at(21))),
            (Some("task.created"), "312 NO_ROUTE", None),
        ] {
            assert!(!filter.takes(event_type, reason, at), "{event_type:?} {reason} {at:?}");
        }
        assert!(!Filter { event_type: Some(TypePattern::parse("task")), ..Filter::default() }.takes(
            Some("task.created"),
            "",
            None
        ));
    }

    #[test]
    fn what_means_something_to_like_means_itself() {
        assert_eq!(TypePattern::parse("auth.mail_token.*").like(), "auth.mail\\_token.%");
        assert_eq!(TypePattern::parse("100%\\").like(), "100\\%\\\\");
    }
}
