//! Timetables against croniter, by which many Python services schedule, on lines that nobody thought of. In UTC: where clocks change
//! croniter does otherwise, on which nobody could rely.

use std::io::Write;
use std::process::{Command, Stdio};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::entropy::Entropy;
use shared::schedules::timetable::Timetable;
use test_support::environment;

const LINES: usize = 4_000;
const INSTANTS: usize = 8;

fn below(entropy: &Entropy, end: u64) -> u64 {
    u64::from_le_bytes(entropy.bytes()) % end
}

/// A field of random values between `first` and `last`.
fn field(entropy: &Entropy, first: u64, last: u64, names: &[&str]) -> String {
    let value = || below(entropy, last - first + 1) + first;
    let written = |value: u64| match names.get(usize::try_from(value - first).unwrap()) {
        Some(name) if below(entropy, 2) == 0 => (*name).to_owned(),
        _ => value.to_string(),
    };
    let range = || {
        let (one, other) = (value(), value());
        if one == other {
            // croniter takes 5-5 for every value there is, against its manual.
            return written(one);
        }
        format!("{}-{}", written(one.min(other)), written(one.max(other)))
    };
    let step = || below(entropy, (last - first).min(20)) + 1;
    match below(entropy, 10) {
        0..=2 => "*".to_owned(),
        3 => format!("*/{}", step()),
        4..=5 => written(value()),
        6 => range(),
        7 => {
            let range = range();
            if range.contains('-') { format!("{range}/{}", step()) } else { range }
        }
        _ => (0..=below(entropy, 3) + 1)
            .map(|_| if below(entropy, 4) == 0 { range() } else { written(value()) })
            .collect::<Vec<_>>()
            .join(","),
    }
}

fn line(entropy: &Entropy) -> String {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let mut fields = vec![
        field(entropy, 0, 59, &[]),
        field(entropy, 0, 23, &[]),
        field(entropy, 1, 31, &[]),
        field(entropy, 1, 12, &MONTHS),
        field(entropy, 0, 6, &WEEKDAYS),
    ];
    if below(entropy, 4) == 0 {
        fields.insert(0, field(entropy, 0, 59, &[]));
    }
    fields.join(" ")
}

#[test]
fn on_thousands_of_random_lines_it_is_due_when_croniter_says() {
    let entropy = Entropy::seeded(7);
    let questions: Vec<(String, i64)> = (0..LINES)
        .map(|_| (line(&entropy), 1_700_000_000 + i64::try_from(below(&entropy, 400_000_000)).unwrap()))
        .collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../test-support/python/cron_peer.py");
    let mut peer = Command::new(environment::python())
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = peer.stdin.take().unwrap();
    let question = |(line, after): &(String, i64)| {
        json!({ "line": line, "after": after, "count": INSTANTS }).to_string()
    };
    let asked = questions.iter().map(question).collect::<Vec<_>>().join("\n") + "\n";
    // On a thread of its own: it answers while it reads.
    let asking = std::thread::spawn(move || input.write_all(asked.as_bytes()));
    let answered = peer.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    let answers = String::from_utf8(answered.stdout).unwrap();
    assert_eq!(answers.lines().count(), LINES);
    let mut compared = 0;
    for ((line, after), answer) in questions.iter().zip(answers.lines()) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        let timetable = Timetable::new(line, "UTC").unwrap();
        let after = DateTime::<Utc>::from_timestamp(*after, 0).unwrap();
        let due: Vec<_> =
            timetable.instants_after(after).take(INSTANTS).map(|instant| instant.timestamp()).collect();
        if due.len() < INSTANTS {
            // Such as 30 February; or its next instants are after 2100, where ours ends.
            continue;
        }
        assert_eq!(json!(due), answer, "{line} after {after}");
        compared += 1;
    }
    assert!(compared > LINES * 9 / 10, "{compared}");
}
