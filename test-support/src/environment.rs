//! Where the servers and programs of a test run are, as `cargo xtask test` says it in the environment.

use std::path::{Path, PathBuf};

/// A URL of the private PostgreSQL's superuser.
pub fn database_url() -> String {
    required("WARREN_TEST_DATABASE_URL")
}

/// The migrated database that tests clone, if there is one.
pub fn template() -> Option<String> {
    std::env::var("WARREN_TEST_TEMPLATE").ok().filter(|name| !name.is_empty())
}

/// An AMQP URL of the private RabbitMQ's administrator.
pub fn amqp_url() -> String {
    required("WARREN_TEST_AMQP_URL")
}

/// The management API of the private RabbitMQ, login included.
pub fn management_url() -> String {
    required("WARREN_TEST_MANAGEMENT_URL")
}

/// The folder of the built programs.
pub fn programs_folder() -> PathBuf {
    PathBuf::from(required("WARREN_TEST_BIN_DIR"))
}

/// Python with SimpleJWT, and all that the other tests with Python need.
pub fn python() -> PathBuf {
    PathBuf::from(required("WARREN_TEST_PYTHON"))
}

/// Node.js, which is one of Python's packages.
pub fn node() -> PathBuf {
    python().with_file_name("node")
}

/// The folder whose `node_modules` [`node`] needs.
pub fn node_folder() -> PathBuf {
    let environment = python().parent().and_then(Path::parent).map(Path::to_owned);
    environment.expect("an interpreter in the bin folder of its environment")
}

/// The Chromium that shows the page.
pub fn chromium() -> PathBuf {
    PathBuf::from(required("WARREN_TEST_CHROMIUM"))
}

/// Prometheus' own tool.
pub fn promtool() -> PathBuf {
    PathBuf::from(required("WARREN_TEST_PROMTOOL"))
}

/// The folder for pictures of the page.
pub fn screenshots_folder() -> PathBuf {
    PathBuf::from(required("WARREN_TEST_SCREENSHOTS"))
}

fn required(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!(
            "run `cargo xtask test`, which starts servers for the tests and sets {name}: it is not set"
        ),
    }
}
