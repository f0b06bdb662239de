//! The topology in RabbitMQ's format of definitions, as it is committed in `docs/`.

use std::fs;
use std::path::Path;

use shared::broker::definitions::definitions;

#[test]
fn the_committed_definitions_are_those_of_the_topology_in_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/definitions.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&definitions("/")).unwrap());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/definitions.json is stale: run `UPDATE_DOCS=1 cargo xtask test -p shared --test it -- definitions`"
    );
}
