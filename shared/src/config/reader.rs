//! Reads settings and gathers what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration::parse_duration;
use super::secret::Secret;
use super::setting::Setting;

/// Every mistake in the settings, one line each. A program that meets it exits with code 2.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the settings are wrong in {} place(s):", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(formatter, "\n  - {problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// A mistake that shows only when a setting is put to use.
    pub fn of(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }
}

/// Reads settings by name. A wrong or missing value is noted, a stand-in is returned, and [`Reader::finish`] gives
/// the value built from them only if nothing was noted.
#[derive(Debug)]
pub struct Reader {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader {
    /// Reads the process environment, with `overrides` (`NAME=VALUE`, from the command line) before it.
    pub fn from_environment(overrides: &[String]) -> Self {
        let mut reader = Self::from_values(std::env::vars_os().filter_map(|(name, value)| {
            // A variable that is not UTF-8 can't be one of ours.
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        for pair in overrides {
            match pair.split_once('=') {
                Some((name, value)) => {
                    reader.values.insert(name.trim().to_owned(), value.to_owned());
                }
                None => reader.problems.push(format!("--set {pair}: write NAME=VALUE")),
            }
        }
        reader
    }

    /// Reads from given values: a test's environment.
    pub fn from_values(values: impl IntoIterator<Item = (String, String)>) -> Self {
        // An empty variable is how compose files and shells say "not set".
        let values = values.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { values, problems: Vec::new() }
    }

    /// The raw value in force, default included; a secret's file is read.
    pub fn value(&self, setting: &Setting) -> Option<String> {
        self.raw(setting).ok().flatten()
    }

    fn raw(&self, setting: &Setting) -> Result<Option<String>, String> {
        let direct = self.values.get(setting.name).cloned();
        let file = self.values.get(&format!("{}_FILE", setting.name)).filter(|_| setting.secret);
        match (direct, file) {
            (Some(_), Some(_)) => Err(format!("{0} and {0}_FILE are both set; keep one", setting.name)),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(format!("{}_FILE: can't read {path}: {error}", setting.name)),
            },
            (Some(value), None) => Ok(Some(value)),
            (None, None) => Ok(setting.default.map(str::to_owned)),
        }
    }

    /// Notes a problem that concerns more than one setting.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// A setting that may be absent.
    pub fn optional(&mut self, setting: &Setting) -> Option<String> {
        self.raw(setting).unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        })
    }

    /// A secret that may be absent.
    pub fn optional_secret(&mut self, setting: &Setting) -> Option<Secret> {
        self.optional(setting).map(Secret::new)
    }

    /// A setting that must be there.
    pub fn required(&mut self, setting: &Setting) -> String {
        let noted = self.problems.len();
        let value = self.optional(setting);
        if value.is_none() && self.problems.len() == noted {
            let or_file = if setting.secret { format!(" (or {}_FILE)", setting.name) } else { String::new() };
            self.problems.push(format!("{}{or_file} is not set: {}", setting.name, setting.about));
        }
        value.unwrap_or_default()
    }

    /// A setting with a default that is read by `FromStr`; `what` says what would be right, as in "a port".
    pub fn parsed<T: FromStr + Default>(&mut self, setting: &Setting, what: &str) -> T {
        let text = self.required(setting);
        text.trim().parse().unwrap_or_else(|_| self.refuse(setting, &text, what))
    }

    /// A number of at least `min`.
    pub fn at_least<T: FromStr + Default + PartialOrd + fmt::Display + Copy>(
        &mut self,
        setting: &Setting,
        min: T,
    ) -> T {
        let what = format!("a whole number of at least {min}");
        let text = self.required(setting);
        match text.trim().parse() {
            Ok(number) if number >= min => number,
            _ => self.refuse(setting, &text, &what),
        }
    }

    /// A duration above zero.
    pub fn duration(&mut self, setting: &Setting) -> Duration {
        let text = self.required(setting);
        match parse_duration(&text) {
            Some(duration) if !duration.is_zero() => duration,
            _ => self.refuse(setting, &text, "a duration above zero, such as 300, 5m, 1d or PT5M"),
        }
    }

    /// A duration that may be zero.
    pub fn duration_or_zero(&mut self, setting: &Setting) -> Duration {
        let text = self.required(setting);
        match parse_duration(&text) {
            Some(duration) => duration,
            None => self.refuse(setting, &text, "a duration, such as 0, 10 or 500ms"),
        }
    }

    /// `true` or `false`, in the words that Django's users write.
    pub fn boolean(&mut self, setting: &Setting) -> bool {
        let text = self.required(setting);
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => self.refuse(setting, &text, "true or false"),
        }
    }

    /// Puts a value in the place of whatever was given for the setting called `name`; with `None` its default counts.
    pub fn put(&mut self, name: &str, value: Option<String>) {
        self.values.remove(&format!("{name}_FILE"));
        match value.filter(|value| !value.is_empty()) {
            Some(value) => self.values.insert(name.to_owned(), value),
            None => self.values.remove(name),
        };
    }

    fn refuse<T: Default>(&mut self, setting: &Setting, text: &str, what: &str) -> T {
        // A missing value was noted already; a secret's is not repeated.
        if !text.is_empty() {
            let shown = if setting.secret { "its value".to_owned() } else { format!("{text:?}") };
            self.problems.push(format!("{}: {shown} is not {what}", setting.name));
        }
        T::default()
    }

    /// Gives `value` if nothing was wrong, else every problem found.
    pub fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigError(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Setting = Setting::new("PORT", "5672", "the port");
    const KEY: Setting = Setting::secret("KEY", "the key");
    const LIFETIME: Setting = Setting::new("LIFETIME", "5m", "how long");

    fn reader(values: &[(&str, &str)]) -> Reader {
        Reader::from_values(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn every_mistake_is_reported_at_once_and_no_secret_is_repeated() {
        let mut reader = reader(&[("PORT", "many"), ("LIFETIME", "0")]);
        let _: u16 = reader.parsed(&PORT, "a port");
        let _ = reader.required(&KEY);
        let _ = reader.duration(&LIFETIME);
        let message = reader.finish(()).unwrap_err().to_string();
        assert!(message.contains("3 place(s)"), "{message}");
        assert!(message.contains(r#"PORT: "many" is not a port"#), "{message}");
        assert!(message.contains("KEY (or KEY_FILE) is not set: the key"), "{message}");
        assert!(message.contains("LIFETIME"), "{message}");
    }

    #[test]
    fn a_default_counts_where_nothing_or_an_empty_value_is_set() {
        let mut reader = reader(&[("PORT", "")]);
        assert_eq!(reader.parsed::<u16>(&PORT, "a port"), 5672);
        assert_eq!(reader.duration(&LIFETIME), Duration::from_mins(5));
        assert!(reader.finish(()).is_ok());
    }

    #[test]
    fn a_secret_may_stand_in_a_file_but_not_in_both_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cret\n").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(reader(&[("KEY_FILE", path)]).required(&KEY), "s3cret");
        let mut both = reader(&[("KEY_FILE", path), ("KEY", "x")]);
        let _ = both.required(&KEY);
        assert!(both.finish(()).unwrap_err().to_string().contains("both set"));
    }
}
