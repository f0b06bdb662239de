//! What two folders of recorded queries do not have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// How `.sqlx/` differs from what the macros find.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) missing: Vec<Recorded>,
    pub(super) differing: Vec<Recorded>,
    pub(super) orphaned: Vec<Recorded>,
}

/// One recorded query: its file and the beginning of its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recorded {
    pub(super) file: String,
    beginning: String,
}

impl Difference {
    /// Compares the committed folder with the one just made; only the meaning counts, not the layout.
    pub(super) fn between(committed: &Path, found: &Path) -> Result<Self> {
        let (committed, found) = (recorded_in(committed)?, recorded_in(found)?);
        let mut difference = Self::default();
        for (file, query) in &found {
            match committed.get(file) {
                None => difference.missing.push(Recorded::new(file, query)),
                Some(known) if known != query => difference.differing.push(Recorded::new(file, query)),
                Some(_) => {}
            }
        }
        for (file, query) in committed.iter().filter(|(file, _)| !found.contains_key(*file)) {
            difference.orphaned.push(Recorded::new(file, query));
        }
        Ok(difference)
    }

    /// Are they the same?
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [("missing", &self.missing), ("differing", &self.differing), ("orphaned", &self.orphaned)];
        for (kind, queries) in kinds {
            for Recorded { file, beginning } in queries {
                writeln!(formatter, "{kind:>12}: {file}  {beginning}")?;
            }
        }
        Ok(())
    }
}

impl Recorded {
    fn new(file: &str, content: &Value) -> Self {
        let words =
            content["query"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { file: file.to_owned(), beginning: words.chars().take(60).collect() }
    }
}

/// The recorded queries of a folder, by file name; none if there is no such folder.
pub(super) fn recorded_in(folder: &Path) -> Result<BTreeMap<String, Value>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut recorded = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("query-") && entry.path().extension().is_some_and(|extension| extension == "json")
        {
            let content = fs::read_to_string(entry.path())?;
            // One that can't be read differs from every other.
            recorded.insert(name, serde_json::from_str(&content).unwrap_or(Value::Null));
        }
    }
    Ok(recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_differing_and_orphaned_queries_are_told_apart() {
        let (committed, found) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |folder: &tempfile::TempDir, name: &str, content: &str| {
            fs::write(folder.path().join(name), content).unwrap();
        };
        write(&committed, "query-same.json", r#"{"query": "SELECT 1", "hash": "1"}"#);
        write(&found, "query-same.json", "{\"hash\":\"1\",\n\"query\":\"SELECT 1\"}");
        write(&committed, "query-changed.json", r#"{"query": "SELECT 2", "columns": []}"#);
        write(&found, "query-changed.json", r#"{"query": "SELECT 2", "columns": [1]}"#);
        write(&committed, "query-old.json", r#"{"query": "SELECT\n  3"}"#);
        write(&committed, "README.md", "");
        write(&found, "query-new.json", r#"{"query": "SELECT 4"}"#);

        let difference = Difference::between(committed.path(), found.path()).unwrap();
        assert_eq!(
            difference.missing,
            [Recorded { file: "query-new.json".into(), beginning: "SELECT 4".into() }]
        );
        assert_eq!(difference.differing[0].file, "query-changed.json");
        assert_eq!(
            difference.orphaned,
            [Recorded { file: "query-old.json".into(), beginning: "SELECT 3".into() }]
        );
        assert!(difference.to_string().contains("orphaned: query-old.json  SELECT 3"));
        assert!(!difference.is_empty());
    }

    #[test]
    fn a_folder_that_was_never_made_holds_no_queries() {
        let found = tempfile::tempdir().unwrap();
        assert!(Difference::between(Path::new("/nonexistent"), found.path()).unwrap().is_empty());
    }
}
