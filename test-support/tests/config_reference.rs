//! `docs/CONFIG.md` is what the programs print about their settings.

#![expect(clippy::expect_used, reason = "what goes wrong in a helper should fail the test")]

use std::path::Path;
use std::process::Command;

use shared::config::shared_reference;
use test_support::environment;

const HEAD: &str = "# Settings\n\n\
    Read from the environment; `--set NAME=VALUE` on the command line goes before it. Durations: seconds (`300`), `5m`, \
    `1h30m`,\n`1d`, or ISO 8601 (`PT5M`). Every mistake is reported at once, with exit code 2. `<program> config` prints what \
    is in force,\nsecrets masked. This page is generated: `UPDATE_DOCS=1 cargo xtask check tests` writes it anew.\n\n";

/// The page as it should be.
fn page() -> String {
    let mut page = format!("{HEAD}{}", shared_reference());
    for program in ["producer-api", "audit-consumer", "scheduler"] {
        let output = Command::new(environment::programs_folder().join(program))
            .args(["config", "--reference"])
            .output()
            .expect("the program runs");
        assert!(output.status.success());
        page.push_str(&String::from_utf8(output.stdout).expect("text"));
    }
    format!("{}\n", page.trim_end())
}

#[test]
fn the_settings_page_is_what_the_programs_print() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/CONFIG.md can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/CONFIG.md is stale: run `UPDATE_DOCS=1 cargo xtask check tests`");
}

#[test]
fn every_setting_stands_in_the_example_environment() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let example = std::fs::read_to_string(root.join(".env.example")).expect(".env.example is there");
    let page = page();
    let settings = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let missing: Vec<_> = settings.filter(|name| !example.contains(&format!("{name}="))).collect();
    assert!(missing.is_empty(), "not in .env.example: {missing:?}");
}
