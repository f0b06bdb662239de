//! Where the programs of packages lie.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The folder with `initdb` and `postgres`: the newest of Debian's, else the one on `PATH`.
pub(super) fn postgres_folder() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    let debian = versions.into_iter().rev().map(|(_, folder)| folder);
    debian.chain(path_folders()).find(|folder| has_all(folder, &["initdb", "postgres"]))
}

/// The script that becomes RabbitMQ: the package's own, since the one on `PATH` wants to be root; else that one.
pub(super) fn rabbitmq_server() -> Option<PathBuf> {
    rabbitmq_program("rabbitmq-server")
}

/// RabbitMQ's tool for operators, likewise.
pub(super) fn rabbitmqctl() -> Option<PathBuf> {
    rabbitmq_program("rabbitmqctl")
}

fn rabbitmq_program(name: &str) -> Option<PathBuf> {
    let package = PathBuf::from("/usr/lib/rabbitmq/bin");
    let folders = [package].into_iter().chain(path_folders());
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Erlang's port mapper.
pub(super) fn epmd() -> Option<PathBuf> {
    let bundled = fs::read_dir("/usr/lib/erlang").into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        entry.file_name().to_str()?.starts_with("erts-").then(|| entry.path().join("bin"))
    });
    path_folders().chain(bundled).map(|folder| folder.join("epmd")).find(|program| program.is_file())
}

/// Every `python3`: those on `PATH`, then the system's.
pub(super) fn pythons() -> impl Iterator<Item = PathBuf> {
    let folders = path_folders().chain([PathBuf::from("/usr/bin")]);
    folders.map(|folder| folder.join("python3")).filter(|program| program.is_file())
}

/// Chromium, or a browser that is the same but for its name. `CHROMIUM` goes first, and is not replaced by another if it
/// leads nowhere.
pub(super) fn chromium() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM").filter(|named| !named.is_empty()) {
        return Some(PathBuf::from(named)).filter(|program| program.is_file());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let mut found = names.iter().flat_map(|name| path_folders().map(move |folder| folder.join(name)));
    found.find(|program| program.is_file())
}

fn path_folders() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|folder| folder.is_absolute()).collect::<Vec<_>>().into_iter()
}

fn has_all(folder: &Path, programs: &[&str]) -> bool {
    programs.iter().all(|program| folder.join(program).is_file())
}
