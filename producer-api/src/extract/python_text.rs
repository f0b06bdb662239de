//! Text as Python makes it: numbers turned into text, and text stripped of white space.

/// What `str(json.loads(number))` gives for a JSON number.
pub(super) fn of_number(number: &str) -> String {
    if number.contains(['.', 'e', 'E']) {
        // Every JSON number is one of Rust's floats, too; one too large for a double is infinite in both languages.
        return number.parse().map_or_else(|_| number.to_owned(), of_float);
    }
    if number == "-0" { "0".to_owned() } else { number.to_owned() }
}

/// `text.strip()`: Python's white space is Unicode's and the four separators U+001C to U+001F.
pub(super) fn stripped(text: &str) -> &str {
    text.trim_matches(|character: char| {
        character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
    })
}

/// What `repr` gives: the shortest digits that read back the same, written out for exponents from -4 to 15.
fn of_float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(-4..=15) => {
            let plain = number.to_string();
            if plain.contains('.') { plain } else { plain + ".0" }
        }
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        Err(_) => scientific,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_becomes_the_text_that_python_makes_of_it() {
        // Each pair is what Python 3 printed for `str(json.loads(number))`.
        for (number, text) in [
            ("123", "123"),
            ("-7", "-7"),
            ("0", "0"),
            ("-0", "0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("4.5", "4.5"),
            ("1e2", "100.0"),
            ("1E2", "100.0"),
            ("1.0", "1.0"),
            ("1.10", "1.1"),
            ("0.0", "0.0"),
            ("-0.0", "-0.0"),
            ("-0e5", "-0.0"),
            ("0.1", "0.1"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("0.000012345", "1.2345e-05"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("12345678901234567.0", "1.2345678901234568e+16"),
            ("123456.789e3", "123456789.0"),
            ("1e22", "1e+22"),
            ("1e100", "1e+100"),
            ("-1.5e-300", "-1.5e-300"),
            ("1e308", "1e+308"),
            ("1e400", "inf"),
            ("-1e400", "-inf"),
            ("1e-400", "0.0"),
            ("5e-324", "5e-324"),
            ("0.30000000000000004", "0.30000000000000004"),
        ] {
            assert_eq!(of_number(number), text, "{number}");
        }
    }

    #[test]
    fn white_space_is_unicodes_and_four_separators() {
        for space in [
            '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{1c}', '\u{1d}', '\u{1e}', '\u{1f}', ' ', '\u{85}',
            '\u{a0}', '\u{1680}', '\u{2000}', '\u{200a}', '\u{2028}', '\u{2029}', '\u{202f}', '\u{205f}',
            '\u{3000}',
        ] {
            assert_eq!(stripped(&format!("{space}a b{space}{space}")), "a b", "{space:?}");
        }
        for kept in ['\0', '\u{1b}', '\u{200b}', '\u{feff}', '\u{180e}'] {
            assert_eq!(stripped(&kept.to_string()), kept.to_string(), "{kept:?}");
        }
    }

    proptest! {
        #[test]
        fn the_text_of_a_float_reads_back_as_the_same_float(number in any::<f64>().prop_filter("JSON has no NaN", |n| n.is_finite())) {
            let text = of_float(number);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits());
            prop_assert!(text.contains(['.', 'e']));
        }
    }
}
