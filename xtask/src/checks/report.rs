//! Runs lanes one after the other, stops at the first that fails, and sums up.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::lane::Lane;
use super::session::Session;
use crate::console::{Colour, Console};
use crate::interrupt::is_interrupted;

/// Runs the lanes. The error says which one failed and how to repeat it; its own complaints stand above.
pub(super) fn run(session: &mut Session, lanes: &[Lane]) -> Result<()> {
    let console = session.console.clone();
    let mut passed = Vec::new();
    for &lane in lanes {
        session.console.step(format_args!("{}: {}", lane.name(), lane.promise()));
        let started = Instant::now();
        let outcome = lane.run(session);
        let elapsed = started.elapsed();
        if let Err(error) = outcome {
            if is_interrupted(&error) {
                return Err(error);
            }
            console.fail(&error);
            summarise(&console, lanes, &passed, Some(elapsed));
            return Err(anyhow!("the lane {0} failed; alone it is `cargo xtask check {0}`", lane.name()));
        }
        console.detail(format_args!("{} passed in {}", lane.name(), readable(elapsed)));
        passed.push(elapsed);
    }
    summarise(&console, lanes, &passed, None);
    Ok(())
}

/// The table at the end, unless one lane was all there is to tell.
fn summarise(console: &Console, lanes: &[Lane], passed: &[Duration], failed: Option<Duration>) {
    if lanes.len() < 2 {
        return;
    }
    let (good, bad, none) = (
        console.paint(Colour::Green, "passed"),
        console.paint(Colour::Red, "failed"),
        console.paint(Colour::Faint, "not run"),
    );
    let mut table = String::new();
    let mut total = Duration::ZERO;
    for (position, lane) in lanes.iter().enumerate() {
        let elapsed = passed.get(position).copied();
        let (word, elapsed) = match (elapsed, failed) {
            (Some(elapsed), _) => (&good, elapsed),
            (None, Some(elapsed)) if position == passed.len() => (&bad, elapsed),
            (None, _) => (&none, Duration::ZERO),
        };
        total += elapsed;
        let time = if elapsed.is_zero() { String::new() } else { readable(elapsed) };
        // Writing to a String can't fail.
        let _ = writeln!(table, "{:>10} {time:>9}  {word}", lane.name());
    }
    let _ = write!(table, "{:>10} {:>9}", "all", readable(total));
    console.line(format_args!("\n{table}"));
}

/// Seconds as a person would say them.
fn readable(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = elapsed.as_secs();
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(readable(Duration::from_millis(340)), "0.3 s");
        assert_eq!(readable(Duration::from_millis(187_400)), "3 min 07 s");
    }
}
