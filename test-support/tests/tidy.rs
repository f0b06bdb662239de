//! The repository's own rules, as far as a machine can judge them. Reads files only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a file outside its tests: about 300 is the aim, and this is where it becomes a fault.
const LINES_MAX: usize = 400;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "miscellaneous"];

/// Hosts of package registries, in pieces, so that this file passes its own test.
const REGISTRIES: [&str; 10] = [
    concat!("crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
    concat!("dl-cdn.alpinelinux", ".org"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("rubygems", ".org"),
    concat!("repo.maven", ".apache.org"),
    concat!("proxy.golang", ".org"),
    concat!("registry-1.docker", ".io"),
];

#[test]
fn every_rust_file_begins_by_saying_what_it_is_for() {
    let offenders = rust_files().into_iter().filter(|file| !file.text.starts_with("//! "));
    assert_none("these files do not begin with `//!`", offenders.map(|file| file.name));
}

#[test]
fn rooms_are_small() {
    let large = rust_files().into_iter().filter(|file| !file.is_test()).filter_map(|file| {
        let lines = file.text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        (lines > LINES_MAX).then(|| format!("{} ({lines} lines)", file.name))
    });
    assert_none("these files have grown too large", large);
}

#[test]
fn rooms_have_names_that_say_something() {
    let nameless = files().into_iter().filter(|file| {
        let path = Path::new(&file.name).with_extension("");
        path.components().any(|part| EMPTY_NAMES.iter().any(|name| part.as_os_str() == *name))
    });
    assert_none("these names say nothing", nameless.map(|file| file.name));
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_for_later() {
    let in_rust = [concat!("#[", "ignore"), concat!("to", "do!(")];
    let anywhere = [concat!("FIX", "ME"), concat!("XX", "X")];
    let found = files().into_iter().filter(|file| file.name != "Cargo.lock").flat_map(|file| {
        let marks = anywhere.iter().filter(|mark| has_word(&file.text, mark));
        let in_rust = in_rust.iter().filter(|mark| file.is_rust() && file.text.contains(**mark));
        let found: Vec<String> = marks.chain(in_rust).map(|mark| format!("{}: {mark}", file.name)).collect();
        found
    });
    assert_none("these were left for later", found);
}

#[test]
fn every_dependency_has_a_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, section) = manifest.split_once("[workspace.dependencies]").unwrap();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let is_dependency = |line: &&str| line.contains('=') && !line.starts_with('#');
    // Our own crates are their own reason.
    let theirs: Vec<&str> = lines.filter(is_dependency).filter(|line| !line.contains("path = ")).collect();
    assert!(theirs.len() > 10, "the dependencies were not found");
    let silent =
        theirs.into_iter().filter(|line| line.split_once(" # ").is_none_or(|(_, reason)| reason.len() < 5));
    assert_none("these dependencies lack a comment that says why", silent.map(str::to_owned));
}

#[test]
fn migrations_say_when_what_and_why() {
    let migrations: Vec<File> =
        files().into_iter().filter(|file| file.name.starts_with("migrations/")).collect();
    assert!(!migrations.is_empty(), "the migrations were not found");
    let misnamed = migrations.iter().filter(|file| !is_migration_name(&file.name));
    assert_none(
        "migrations are called YYYYMMDDHHMMSS_verb_object.sql",
        misnamed.map(|file| file.name.clone()),
    );
    let silent = migrations.iter().filter(|file| !file.text.starts_with("-- "));
    assert_none("these migrations do not begin by saying why", silent.map(|file| file.name.clone()));
}

#[test]
fn two_migrations_never_share_a_moment() {
    let mut moments: Vec<String> = files()
        .into_iter()
        .filter(|file| is_migration_name(&file.name))
        .map(|file| file.name[..25].to_owned())
        .collect();
    moments.sort();
    let twice = moments.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone());
    assert_none("these moments are taken twice", twice);
}

#[test]
fn nothing_names_a_package_registry() {
    // Whoever builds Warren chooses where packages come from; the lock file records where ours came from.
    let named = files().into_iter().filter(|file| file.name != "Cargo.lock").flat_map(|file| {
        let hosts = REGISTRIES.iter().filter(|host| file.text.contains(**host));
        hosts.map(|host| format!("{}: {host}", file.name)).collect::<Vec<_>>()
    });
    assert_none("these files name a package registry", named);
}

/// A text file of the repository, by its path from the root.
struct File {
    name: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        Path::new(&self.name).extension().is_some_and(|extension| extension == "rs")
    }

    fn is_test(&self) -> bool {
        self.name.split('/').any(|part| part == "tests")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What git tracks or would track; what it ignores is not ours.
fn files() -> Vec<File> {
    let listed = listed().unwrap_or_default();
    assert!(listed.contains("Cargo.toml"), "git does not list this repository's files");
    let names = listed.split('\0').filter(|name| !name.is_empty());
    // Neither a deleted file nor one that is no text has anything to say here.
    let read =
        |name: &str| Some(File { text: fs::read_to_string(root().join(name)).ok()?, name: name.to_owned() });
    names.filter_map(read).collect()
}

fn listed() -> io::Result<String> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn rust_files() -> Vec<File> {
    files().into_iter().filter(File::is_rust).collect()
}

fn is_migration_name(name: &str) -> bool {
    let Some(stem) = name.strip_prefix("migrations/").and_then(|name| name.strip_suffix(".sql")) else {
        return false;
    };
    let Some((moment, words)) = stem.split_once('_') else { return false };
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    moment.len() == 14
        && moment.bytes().all(|byte| byte.is_ascii_digit())
        && words.split('_').count() >= 2
        && words.split('_').all(is_word)
}

/// Is the word in the text, and not as a part of another?
fn has_word(text: &str, word: &str) -> bool {
    let is_inside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(position, _)| {
        let before = text[..position].chars().next_back();
        let after = text[position + word.len()..].chars().next();
        !is_inside(before) && !is_inside(after)
    })
}

#[track_caller]
fn assert_none(complaint: &str, offenders: impl IntoIterator<Item = String>) {
    let offenders: Vec<String> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{complaint}:\n  {}", offenders.join("\n  "));
}
