//! Makes the compiler expand every query macro once more, without spoiling what is already compiled.
//!
//! Cargo compiles a crate again when one of its files is younger than the last build, so each file with a query is
//! made younger. When the compiler is done, the files get their old age back: otherwise clippy, rustdoc and the test
//! build would do it all again for nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// The files that were made younger; dropping it undoes that.
#[derive(Debug)]
pub(super) struct ExpandAgain {
    touched: Vec<Touched>,
}

#[derive(Debug)]
struct Touched {
    file: PathBuf,
    before: SystemTime,
    since: SystemTime,
}

impl ExpandAgain {
    /// Touches every file with a query in the workspace's crates.
    pub(super) fn everywhere_in(root: &Path) -> Result<Self> {
        let now = time_of_the_file_system()?;
        let mut all = Self { touched: Vec::new() };
        for entry in fs::read_dir(root)? {
            let folder = entry?.path();
            if folder.join("Cargo.toml").is_file() {
                all.touch_below(&folder, now)
                    .with_context(|| format!("cannot touch {}", folder.display()))?;
            }
        }
        Ok(all)
    }

    fn touch_below(&mut self, folder: &Path, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.touch_below(&path, now)?;
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && has_query(&fs::read_to_string(&path)?)
            {
                let before = fs::metadata(&path)?.modified()?;
                set_time(&path, now)?;
                let since = fs::metadata(&path)?.modified()?;
                self.touched.push(Touched { file: path, before, since });
            }
        }
        Ok(())
    }
}

impl Drop for ExpandAgain {
    fn drop(&mut self) {
        for Touched { file, before, since } in &self.touched {
            // Somebody who saved the file meanwhile wants it compiled again. A file that keeps the younger age costs
            // one needless build.
            if fs::metadata(file).and_then(|metadata| metadata.modified()).is_ok_and(|now| now == *since) {
                let _ = set_time(file, *before);
            }
        }
    }
}

fn set_time(file: &Path, time: SystemTime) -> io::Result<()> {
    OpenOptions::new().append(true).open(file)?.set_modified(time)
}

/// The file system's own clock is the one that cargo's comparison goes by.
fn time_of_the_file_system() -> Result<SystemTime> {
    let file: File = tempfile::tempfile()?;
    Ok(file.metadata()?.modified()?)
}

/// Is one of sqlx's macros in it: `query!`, `query_as!`, `query_scalar!`, their `file` and `unchecked` sisters?
fn has_query(source: &str) -> bool {
    source.match_indices("query").any(|(position, word)| {
        let rest = &source[position + word.len()..];
        rest.trim_start_matches(|letter: char| letter.is_ascii_lowercase() || letter == '_').starts_with('!')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_macro_is_seen_and_a_plain_function_is_not() {
        for source in
            ["sqlx::query!(", "query_as!(Row, ", "sqlx::query_scalar!(\n", "query_file_as_unchecked!("]
        {
            assert!(has_query(source), "{source}");
        }
        for source in ["sqlx::query(\"SELECT 1\")", "a query, well!", "query_scalar::<_, i64>("] {
            assert!(!has_query(source), "{source}");
        }
    }

    #[test]
    fn a_touched_file_gets_its_age_back_unless_it_was_saved_meanwhile() {
        let root = tempfile::tempdir().unwrap();
        let member = root.path().join("member");
        fs::create_dir_all(member.join("src")).unwrap();
        fs::write(member.join("Cargo.toml"), "").unwrap();
        let file = member.join("src/store.rs");
        fs::write(&file, "sqlx::query!(\"SELECT 1\")").unwrap();
        set_time(&file, SystemTime::UNIX_EPOCH).unwrap();
        let age = || fs::metadata(&file).unwrap().modified().unwrap();

        let expand_again = ExpandAgain::everywhere_in(root.path()).unwrap();
        assert!(age() > SystemTime::UNIX_EPOCH);
        drop(expand_again);
        assert_eq!(age(), SystemTime::UNIX_EPOCH);

        let expand_again = ExpandAgain::everywhere_in(root.path()).unwrap();
        fs::write(&file, "sqlx::query!(\"SELECT 2\")").unwrap();
        drop(expand_again);
        assert!(age() > SystemTime::UNIX_EPOCH);
    }
}
