//! What a setting is, and the pages printed from a table of them.

use std::fmt::Write;

use super::SECTIONS;
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

/// What `config` prints: every setting of a program as `NAME=value`, secrets masked.
pub fn effective_values(reader: &Reader, own: &[&[&Setting]]) -> String {
    let mut lines = String::new();
    let own = own.iter().copied().flatten();
    for setting in SECTIONS.iter().flat_map(|(_, settings)| *settings).chain(own) {
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

/// What `config --reference` prints: a program's part of `docs/CONFIG.md`.
pub fn reference(program: &str, own: &[&[&Setting]]) -> String {
    section(program, own.iter().copied().flatten().copied())
}

/// The part of `docs/CONFIG.md` that all programs share.
pub fn shared_reference() -> String {
    SECTIONS.iter().map(|(title, settings)| section(title, settings.iter().copied())).collect()
}

fn section<'a>(title: &str, settings: impl Iterator<Item = &'a Setting>) -> String {
    let mut text = format!("## {title}\n\n| setting | default | meaning |\n|---|---|---|\n");
    for setting in settings {
        let Setting { name, about, .. } = setting;
        let default = setting.default.map_or_else(|| "-".to_owned(), |value| format!("`{value}`"));
        let file =
            if setting.secret { format!(" Secret: also as a file, `{name}_FILE`.") } else { String::new() };
        // Writing to a String can't fail.
        let _ = writeln!(text, "| `{name}` | {default} | {about}{file} |");
    }
    text.push('\n');
    text
}
