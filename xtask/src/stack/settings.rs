//! The settings of the caller's environment that reach the programs.

use std::{collections::BTreeMap, env, fs};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// What belongs to the terminal, the shell or the compiler, and is nobody's setting.
const NOT_SETTINGS: [&str; 27] = [
    "PATH",
    "HOME",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "TERM",
    "COLORTERM",
    "TERM_PROGRAM",
    "COLUMNS",
    "LINES",
    "SHELL",
    "USER",
    "LOGNAME",
    "MAIL",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "LS_COLORS",
    "HOSTNAME",
    "TMUX",
    "NO_COLOR",
    "LD_LIBRARY_PATH",
    "DEBIAN_FRONTEND",
    "OUT_DIR",
];

/// Families of such names. `SQLX_OFFLINE` speaks to the compiler.
const NOT_SETTINGS_FAMILIES: [&str; 11] =
    ["CARGO", "PYENV", "RUST", "SSH", "XDG_", "DBUS_", "SUDO_", "LESS", "GPG_", "SQLX_", "INVOCATION_ID"];

/// Names and values, as the first `up` found them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The caller's. What isn't UTF-8 is no setting of ours.
    pub(super) fn of_the_caller() -> Self {
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(variables.filter(|(name, _)| is_setting(name)).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// A setting that isn't empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A secret setting, given as itself or as `<name>_FILE`.
    pub(super) fn secret(&self, name: &str) -> anyhow::Result<Option<String>> {
        let file = format!("{name}_FILE");
        match (self.get(name), self.get(&file)) {
            (Some(value), _) => Ok(Some(value.to_owned())),
            (None, None) => Ok(None),
            (None, Some(path)) => {
                let content =
                    fs::read_to_string(path).with_context(|| format!("can't read {file} ({path})"))?;
                Ok(Some(content.trim_end().to_owned()))
            }
        }
    }

    /// True if one of these settings is given, as itself or as `<name>_FILE`.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some() || self.get(&format!("{name}_FILE")).is_some())
    }

    /// The names whose values differ between the two.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).map(String::as_str).collect()
    }
}

fn is_setting(name: &str) -> bool {
    if name == "RUST_LOG" {
        return true;
    }
    !NOT_SETTINGS.contains(&name) && !NOT_SETTINGS_FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn the_terminals_and_the_compilers_variables_are_no_settings() {
        for name in [
            "PATH",
            "SHLVL",
            "_",
            "CARGO_MANIFEST_DIR",
            "RUSTUP_TOOLCHAIN",
            "SSH_AUTH_SOCK",
            "XDG_RUNTIME_DIR",
        ] {
            assert!(!is_setting(name), "{name}");
        }
    }

    #[test]
    fn everything_else_is_a_setting() {
        for name in
            ["DATABASE_URL", "RUST_LOG", "SESSION_POLICY", "SIMPLE_JWT_JSON", "http_proxy", "TZ", "LANG"]
        {
            assert!(is_setting(name), "{name}");
        }
    }

    #[test]
    fn an_empty_setting_is_none() {
        let settings = settings(&[("DATABASE_URL", ""), ("SECRET_KEY_FILE", "/run/secrets/key")]);
        assert_eq!(settings.get("DATABASE_URL"), None);
        assert!(!settings.has_any(&["DATABASE_URL"]));
        assert!(settings.has_any(&["SIGNING_KEY", "SECRET_KEY"]));
    }

    #[test]
    fn differing_settings_are_named() {
        let first = settings(&[("A", "1"), ("B", "1"), ("C", "1")]);
        let second = settings(&[("A", "1"), ("B", "2"), ("D", "1")]);
        assert_eq!(first.differing(&second), ["B", "C", "D"]);
    }
}
