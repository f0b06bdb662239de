//! Lists, as people read them and as programs do.

use serde::Serialize;

/// Columns under their titles, as wide as what stands in them; the last line, too, ends in a line break.
pub(super) fn columns<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
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
pub(super) fn json_lines<T: Serialize>(rows: &[T]) -> serde_json::Result<String> {
    rows.iter().map(|row| serde_json::to_string(row).map(|line| line + "\n")).collect()
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
}
