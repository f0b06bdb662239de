//! What a setting is, and the pages printed from a table of them.

use std::fmt::Write;

use super::reader::Reader;

/// One setting, as data.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// What counts when it is not set; `None`: nothing does.
    pub default: Option<&'static str>,
    /// Whether its value is never shown, and may be given as `NAME_FILE`.
    pub secret: bool,
    /// What it means: units, range, what happens without it.
    pub about: &'static str,
}

impl Setting {
    /// A setting with a default.
    pub const fn new(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self { name, default: Some(default), secret: false, about }
    }

    /// A setting without a default.
    pub const fn optional(name: &'static str, about: &'static str) -> Self {
        Self { name, default: None, secret: false, about }
    }

    /// A secret, which never has a default.
    pub const fn secret(name: &'static str, about: &'static str) -> Self {
        Self { name, default: None, secret: true, about }
    }
}

/// A Markdown table of settings for the reference page.
pub fn reference_table(settings: &[&Setting]) -> String {
    let mut table = String::from("| setting | default | meaning |\n|---|---|---|\n");
    for setting in settings {
        let default = setting.default.map_or_else(|| "-".to_owned(), |value| format!("`{value}`"));
        let secret = if setting.secret { " Secret: also as a file named by `" } else { "" };
        let file = if setting.secret { format!("{}_FILE`.", setting.name) } else { String::new() };
        // Writing to a String can't fail.
        let _ = writeln!(table, "| `{}` | {default} | {}{secret}{file} |", setting.name, setting.about);
    }
    table
}

/// `NAME=value` lines of what is in force, secrets masked: the output of `config`.
pub fn effective_values(reader: &Reader, settings: &[&Setting]) -> String {
    let mut lines = String::new();
    for setting in settings {
        let value = match reader.value(setting) {
            None => "(not set)".to_owned(),
            Some(_) if setting.secret => "********".to_owned(),
            Some(value) => value,
        };
        // Writing to a String can't fail.
        let _ = writeln!(lines, "{}={value}", setting.name);
    }
    lines
}
