//! Lists, as people read them and as programs do.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// The longest text in a cell, in characters.
const CELL_CHARS_MAX: usize = 60;

/// Columns under their titles, as wide as what stands in them; the last line, too, ends in a line break.
pub fn columns<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(str::to_owned);
    let mut widths = [0; N];
    for row in rows.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in [&titles].into_iter().chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// One object a line.
pub fn json_lines<T: Serialize>(rows: &[T]) -> serde_json::Result<String> {
    rows.iter().map(|row| serde_json::to_string(row).map(|line| line + "\n")).collect()
}

/// An instant, to the second.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A stranger's text in a cell: cut, and without what a terminal would obey.
pub fn cell(text: &str) -> String {
    let mut kept: String = harmless(text).chars().take(CELL_CHARS_MAX).collect();
    if text.chars().nth(CELL_CHARS_MAX).is_some() {
        kept.push('…');
    }
    kept
}

/// A stranger's text on a terminal, which must not obey it.
pub fn harmless(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        if character.is_control() {
            // Writing to a String can't fail.
            let _ = write!(kept, "\\u{{{:x}}}", u32::from(character));
        } else {
            kept.push(character);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell_and_no_line_ends_in_blanks() {
        let rows = [["ä".to_owned(), String::new()], ["bbbb".to_owned(), "x".to_owned()]];
        assert_eq!(columns(["A", "LAST"], &rows), "A     LAST\nä\nbbbb  x\n");
        assert_eq!(columns(["A"], &[]), "A\n");
    }

    #[test]
    fn a_cell_is_one_short_line_that_no_terminal_obeys() {
        assert_eq!(cell("red\u{1b}[31m\nline"), "red\\u{1b}[31m\\u{a}line");
        let long = cell(&"x".repeat(500));
        assert_eq!((long.chars().count(), long.ends_with('…')), (CELL_CHARS_MAX + 1, true));
    }
}
