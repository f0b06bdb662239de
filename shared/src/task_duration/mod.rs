//! How long a task takes, read and written as Django REST framework's `DurationField` does it.

mod decimal_digits;

use std::fmt;
use std::ops::Range;

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// What Python's `timedelta` holds.
const TIMEDELTA: Range<i128> = -DAYS_MAX * DAY..(DAYS_MAX + 1) * DAY;
const DAYS_MAX: i128 = 999_999_999;

/// A longer number is too large in any unit, and is taken for [`TOO_LARGE`]: so nothing here can overflow.
const DIGITS_MAX: usize = 15;
const TOO_LARGE: i128 = 1_000_000_000_000_000;
/// Digits of a fraction beyond these change no microsecond of any unit.
const FRACTION_DIGITS_MAX: usize = 12;

/// A duration in whole microseconds, which is what PostgreSQL and Django keep. It may be negative: whoever plans a
/// task decides whether that makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskDuration(i64);

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotADuration {
    /// It has none of the forms that Django reads.
    #[error("write a duration as [DD] [HH:[MM:]]ss[.uuuuuu]")]
    WrongFormat,
    /// Python has no duration of so many days.
    #[error("write a duration of at most {DAYS_MAX} days")]
    TooManyDays,
}

impl TaskDuration {
    /// A duration of that many microseconds.
    pub const fn from_microseconds(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// How many microseconds it is.
    pub const fn microseconds(self) -> i64 {
        self.0
    }

    /// Reads what Django's `parse_duration` reads: `[D ][[HH:]MM:]SS[.ffffff]`, `D days, HH:MM:SS`, ISO 8601 such as
    /// `P1DT2H`, PostgreSQL's `1 day 02:00:00`, and a number of seconds. What Python has and no 64-bit number of
    /// microseconds holds becomes the longest or the shortest that there is here.
    ///
    /// # Errors
    /// Where `parse_duration` finds none or raises `OverflowError`.
    pub fn parse(text: &str) -> Result<Self, NotADuration> {
        // In Python the end of a text is also before its last line break.
        let text = decimal_digits::in_ascii(text.strip_suffix('\n').unwrap_or(text));
        let [days, clock] = standard(&text)
            .or_else(|| iso_8601(&text))
            .or_else(|| postgres(&text))
            .ok_or(NotADuration::WrongFormat)?;
        let all = days + clock;
        if ![days, clock, all].iter().all(|part| TIMEDELTA.contains(part)) {
            return Err(NotADuration::TooManyDays);
        }
        let longest = if all < 0 { i64::MIN } else { i64::MAX };
        Ok(Self(i64::try_from(all).unwrap_or(longest)))
    }
}

/// As DRF writes it: `[D ]HH:MM:SS[.ffffff]`, where a negative duration has negative days and a positive rest.
impl fmt::Display for TaskDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = i128::from(self.0);
        let (days, rest) = (total.div_euclid(DAY), total.rem_euclid(DAY));
        if days != 0 {
            write!(formatter, "{days} ")?;
        }
        let (hours, minutes, seconds) = (rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE / SECOND);
        write!(formatter, "{hours:02}:{minutes:02}:{seconds:02}")?;
        match rest % SECOND {
            0 => Ok(()),
            microseconds => write!(formatter, ".{microseconds:06}"),
        }
    }
}

/// `[D [days, ]][-][[HH:]MM:]SS[.ffffff]`; the sign is the clock part's alone. The days and the clock part.
fn standard(text: &str) -> Option<[i128; 2]> {
    let (days, clock) = match text.split_once(' ') {
        None => (0, text),
        Some((days, rest)) => {
            let rest = rest.strip_prefix("days, ").or_else(|| rest.strip_prefix("day, ")).unwrap_or(rest);
            (signed(days)?, rest)
        }
    };
    let (sign, clock) = clock.strip_prefix('-').map_or((1, clock), |clock| (-1, clock));
    let (whole, fraction) = match clock.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, fraction_of_a_second(fraction, FRACTION_DIGITS_MAX)?),
        None => (clock, 0),
    };
    let parts = whole.split(':').map(digits).collect::<Option<Vec<_>>>()?;
    let clock = match parts[..] {
        [seconds] => seconds * SECOND,
        [minutes, seconds] => minutes * MINUTE + seconds * SECOND,
        [hours, minutes, seconds] => hours * HOUR + minutes * MINUTE + seconds * SECOND,
        _ => return None,
    };
    Some([days * DAY, sign * (clock + fraction)])
}

/// `[+-]P[nD][T[nH][nM][nS]]`, each number with or without a fraction.
fn iso_8601(text: &str) -> Option<[i128; 2]> {
    let (sign, text) = strip_sign(text);
    let text = text.strip_prefix('P')?;
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let days = designated(date, &[('D', DAY)])?;
    let clock = designated(time, &[('H', HOUR), ('M', MINUTE), ('S', SECOND)])?;
    Some([sign * days, sign * clock])
}

/// `[D day[s]][ ][+-]HH:MM:SS[.ffffff]`, the way PostgreSQL prints an interval; nothing at all is zero, as in Django.
fn postgres(text: &str) -> Option<[i128; 2]> {
    let (days, clock) = match text.split_once(" day") {
        Some((days, rest)) => {
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            (signed(days)?, rest.strip_prefix(' ').unwrap_or(rest))
        }
        None => (0, text),
    };
    if clock.is_empty() {
        return Some([days * DAY, 0]);
    }
    let (sign, clock) = strip_sign(clock);
    let (whole, fraction) = match clock.split_once('.') {
        Some((whole, fraction)) => (whole, fraction_of_a_second(fraction, 6)?),
        None => (clock, 0),
    };
    let mut parts = whole.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || minutes.len() != 2 || seconds.len() != 2 {
        return None;
    }
    let clock = digits(hours)? * HOUR + digits(minutes)? * MINUTE + digits(seconds)? * SECOND;
    Some([days * DAY, sign * (clock + fraction)])
}

fn strip_sign(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Adds up `<number><letter>` pairs, which must come in the order of `units`.
fn designated(mut text: &str, units: &[(char, i128)]) -> Option<i128> {
    let mut total = 0;
    let mut units = units.iter();
    while !text.is_empty() {
        let end = text.find(|character: char| character.is_ascii_alphabetic())?;
        let (number, rest) = text.split_at(end);
        let (_, factor) = units.find(|(letter, _)| rest.starts_with(*letter))?;
        total += decimal(number, *factor)?;
        text = &rest[1..];
    }
    Some(total)
}

/// A decimal number times `factor`, rounded to the nearest whole, a half to the even one.
fn decimal(text: &str, factor: i128) -> Option<i128> {
    let Some((whole, fraction)) = text.split_once(['.', ',']) else { return Some(digits(text)? * factor) };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled = (digits(whole)? * scale + digits(fraction)?) * factor;
    let (quotient, twice_rest) = (scaled / scale, scaled % scale * 2);
    let up = twice_rest > scale || (twice_rest == scale && quotient % 2 == 1);
    Some(quotient + i128::from(up))
}

/// At most `digits_max` digits behind a point, in microseconds; what lies below a microsecond is cut off.
fn fraction_of_a_second(text: &str, digits_max: usize) -> Option<i128> {
    if text.len() > digits_max {
        return None;
    }
    // All of them must be digits, though six count.
    digits(text)?;
    digits(&format!("{text:0<6}")[..6])
}

fn signed(text: &str) -> Option<i128> {
    match text.strip_prefix('-') {
        Some(rest) => digits(rest).map(|number| -number),
        None => digits(text),
    }
}

fn digits(text: &str) -> Option<i128> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match text.trim_start_matches('0') {
        "" => Some(0),
        number if number.len() > DIGITS_MAX => Some(TOO_LARGE),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_djangos_duration_field_reads_is_read_and_written_as_it_writes_it() {
        for (text, written) in [
            ("90", "00:01:30"),
            ("90.5", "00:01:30.500000"),
            ("90,5", "00:01:30.500000"),
            ("0", "00:00:00"),
            ("15:30", "00:15:30"),
            ("01:15:30", "01:15:30"),
            ("1:2:3", "01:02:03"),
            ("100:00:00", "4 04:00:00"),
            ("4 15:30", "4 00:15:30"),
            ("3 08:32:01.123456", "3 08:32:01.123456"),
            ("3 08:32:01.1234567890", "3 08:32:01.123456"),
            ("3 days, 08:32:01", "3 08:32:01"),
            ("1 day, 0:00:00", "1 00:00:00"),
            ("4 0", "4 00:00:00"),
            ("-1 02:00:00", "-1 02:00:00"),
            ("1 -02:00:00", "22:00:00"),
            ("-15:30", "-1 23:44:30"),
            ("00:00:00.000001", "00:00:00.000001"),
            ("1.2", "00:00:01.200000"),
            ("P1DT2H", "1 02:00:00"),
            ("P", "00:00:00"),
            ("PT", "00:00:00"),
            ("-P1DT2H", "-2 22:00:00"),
            ("+PT5M", "00:05:00"),
            ("PT0.5H", "00:30:00"),
            ("PT0.000005S", "00:00:00.000005"),
            ("PT1,5S", "00:00:01.500000"),
            ("P0.5D", "12:00:00"),
            ("PT0.33333333333333333S", "00:00:00.333333"),
            ("1 day", "1 00:00:00"),
            ("2 days ", "2 00:00:00"),
            ("1 day 02:00:00", "1 02:00:00"),
            ("1 days -02:00:00.5", "21:59:59.500000"),
            ("+01:02:03", "01:02:03"),
            ("", "00:00:00"),
            ("5\n", "00:00:05"),
            ("٣", "00:00:03"),
            ("000000000000000000000005", "00:00:05"),
            ("99999999 00:00:00", "99999999 00:00:00"),
            ("P999999999D", "106751991 04:00:54.775807"),
            ("-999999999 0", "-106751992 19:59:05.224192"),
        ] {
            let read = TaskDuration::parse(text).map(|duration| duration.to_string());
            assert_eq!(read.as_deref(), Ok(written), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "abc",
            "3 08:32 01.123",
            "1:2:3:4",
            "5.",
            ".5",
            "1e3",
            "--5",
            "+5",
            " 5",
            "5 ",
            "1:-2:3",
            "3 days, ",
            "3days",
            "P1W",
            "P4Y",
            "PT1D",
            "PT1M1H",
            "P1",
            "1 day 2:3:4",
            "1 day 02:3",
            "0.1234567890123",
            "PT1.a٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣S",
            "5\n\n",
            "\u{b2}",
        ] {
            assert_eq!(TaskDuration::parse(text), Err(NotADuration::WrongFormat), "{text:?}");
        }
    }

    #[test]
    fn more_days_than_python_has_are_too_many() {
        let ages = "9".repeat(400);
        for text in [
            "86400000000000",
            "99999999999999999999",
            "1000000000 0",
            "-999999999 -0:00:01",
            "999999999 24:00:00",
            "P1000000000D",
            "-P999999999DT1S",
            &ages,
            &format!("{ages}:0:0"),
            &format!("P{ages}.{ages}D"),
            &format!("{ages} days"),
        ] {
            assert_eq!(TaskDuration::parse(text), Err(NotADuration::TooManyDays), "{text:?}");
        }
        assert!(TaskDuration::parse("86399999999999").is_ok());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(microseconds: i64) {
            let duration = TaskDuration::from_microseconds(microseconds);
            prop_assert_eq!(TaskDuration::parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn no_text_is_too_strange_to_be_refused_in_peace(text in ".{0,40}") {
            let _ = TaskDuration::parse(&text);
        }
    }
}
