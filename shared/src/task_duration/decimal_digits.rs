//! The decimal digits of all scripts: Python's `\d` finds them and its `float` reads them.

use std::borrow::Cow;

/// The zeros; the other nine follow each. Unicode 14, as in Python 3.11.
const ZEROS: [u32; 65] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0,
    0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30,
    0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0,
    0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC,
    0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// The text with ASCII's digits in place of all others.
pub(super) fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    text.chars().map(|character| value(character).unwrap_or(character)).collect::<String>().into()
}

fn value(character: char) -> Option<char> {
    let code = u32::from(character);
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= code)].last()?;
    char::from_digit(code - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_all_scripts_become_asciis_and_nothing_else_changes() {
        for (text, ascii) in [
            ("12:30", "12:30"),
            ("\u{660}\u{669}:\u{ff15}\u{1fbf9}", "09:59"),
            ("\u{1d7ce}\u{1d7ff}", "09"),
            (
                "\u{65f}\u{66a}\u{b2}\u{2460}\u{4e00}é\u{10ffff}",
                "\u{65f}\u{66a}\u{b2}\u{2460}\u{4e00}é\u{10ffff}",
            ),
        ] {
            assert_eq!(in_ascii(text), ascii);
        }
        assert!(ZEROS.is_sorted());
    }
}
