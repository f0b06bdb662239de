//! Which instants are due, and what is done with each: run it, or say that it was missed. Pure.
//!
//! Every instant between the watermark and now is answered exactly once: it becomes a run or it lies in a gap. The
//! work of one plan is bounded; what it leaves is due at once and comes next.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::cron_time::Cron;

/// The most runs one plan writes.
pub const RUNS_MAX: usize = 100;
/// The most instants one plan looks at: an outage of years is recorded in portions.
pub const EXAMINED_MAX: usize = 20_000;
/// An instant this young is on time: it runs whatever the rule for late ones.
pub const ON_TIME: Duration = Duration::from_secs(15);

/// What is done with instants that passed while nobody was ticking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// The newest so many of them are run; 0: none.
    pub max: usize,
    /// Only those not older than this.
    pub window: Duration,
}

/// Why instants were not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// They were too old, or too many, when somebody looked.
    Missed,
}

impl GapReason {
    /// As `job_gaps.reason` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
        }
    }
}

/// Instants in a row that were not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub first_at: DateTime<Utc>,
    /// The last.
    pub last_at: DateTime<Utc>,
    /// How many.
    pub instants: i64,
    /// Why.
    pub reason: GapReason,
}

/// The answer to what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// To be run, in order.
    pub runs: Vec<DateTime<Utc>>,
    /// Not to be run; earlier than all runs.
    pub gaps: Vec<Gap>,
    /// Everything up to here is answered now.
    pub watermark: DateTime<Utc>,
    /// When to look again; not later than now when this plan left something.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// The instants later than `after` and not later than `until`, at most `limit`.
pub fn due_instants(
    cron: &Cron,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: usize,
) -> impl Iterator<Item = DateTime<Utc>> {
    cron.instants_after(after).take_while(move |instant| *instant <= until).take(limit)
}

/// Answers the instants between `watermark` and `now`.
pub fn plan(watermark: DateTime<Utc>, now: DateTime<Utc>, cron: &Cron, catch_up: CatchUp) -> Plan {
    let mut missed = None;
    let mut late = VecDeque::new();
    let mut on_time = Vec::new();
    let mut examined = 0;
    for instant in due_instants(cron, watermark, now, EXAMINED_MAX) {
        examined += 1;
        if instant > now - ON_TIME {
            on_time.push(instant);
            continue;
        }
        late.push_back(instant);
        let too_old = instant <= now - catch_up.window;
        if too_old || late.len() > catch_up.max {
            missed = late.pop_front().map(|oldest| extend(missed, oldest));
        }
    }
    let mut answered = missed.map_or(watermark, |gap: Gap| gap.last_at);
    let mut runs = Vec::new();
    // A plan that has not seen every instant doesn't know yet which late ones are the newest.
    if examined < EXAMINED_MAX {
        runs.extend(late.into_iter().chain(on_time).take(RUNS_MAX));
        answered = runs.last().copied().unwrap_or(answered);
    }
    Plan {
        runs,
        gaps: missed.into_iter().collect(),
        watermark: answered,
        next_due_at: cron.next_after(answered),
    }
}

fn extend(gap: Option<Gap>, instant: DateTime<Utc>) -> Gap {
    let begun = Gap { first_at: instant, last_at: instant, instants: 0, reason: GapReason::Missed };
    let gap = gap.unwrap_or(begun);
    Gap { last_at: instant, instants: gap.instants + 1, ..gap }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-21T{text}Z").parse().unwrap()
    }

    fn minutely() -> Cron {
        "* * * * *".parse().unwrap()
    }

    fn catch_up(max: usize, window_seconds: u64) -> CatchUp {
        CatchUp { max, window: Duration::from_secs(window_seconds) }
    }

    /// `runs`, and `first..last xN` of each gap, as minutes of the hour.
    fn told(plan: &Plan) -> String {
        let mut words: Vec<String> = plan
            .gaps
            .iter()
            .map(|gap| {
                format!("{}..{} x{}", gap.first_at.format("%M"), gap.last_at.format("%M"), gap.instants)
            })
            .collect();
        words.extend(plan.runs.iter().map(|run| run.format("%M").to_string()));
        words.join(" ")
    }

    #[test]
    fn each_instant_is_run_or_missed_by_its_age_and_rank() {
        for (watermark, now, rule, expected) in [
            ("09:00:00", "09:00:59", catch_up(5, 300), ""),
            ("09:00:00", "09:01:00", catch_up(5, 300), "01"),
            ("09:00:00", "09:01:14", catch_up(0, 300), "01"),
            ("09:00:00", "09:01:15", catch_up(0, 300), "01..01 x1"),
            ("09:00:00", "09:03:01", catch_up(0, 300), "01..02 x2 03"),
            ("09:00:00", "09:03:01", catch_up(1, 300), "01..01 x1 02 03"),
            ("09:00:00", "09:20:07", catch_up(5, 300), "01..15 x15 16 17 18 19 20"),
            ("09:00:00", "09:20:30", catch_up(5, 300), "01..15 x15 16 17 18 19 20"),
            ("09:00:00", "09:20:30", catch_up(2, 300), "01..18 x18 19 20"),
            (
                "09:00:00",
                "09:20:30",
                catch_up(100, 3_600),
                "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20",
            ),
        ] {
            let plan = plan(at(watermark), at(now), &minutely(), rule);
            assert_eq!(told(&plan), expected, "{watermark} {now} {rule:?}");
            assert!(plan.next_due_at.unwrap() > at(now));
        }
    }

    #[test]
    fn a_watermark_ahead_of_now_answers_nothing_and_stays() {
        let plan = plan(at("10:00:00"), at("09:00:00"), &minutely(), catch_up(5, 300));
        assert_eq!((plan.runs.len(), plan.gaps.len(), plan.watermark), (0, 0, at("10:00:00")));
    }

    #[test]
    fn an_outage_of_a_year_is_recorded_in_portions_and_then_the_present_runs() {
        let now = at("09:00:01");
        let mut watermark = now - TimeDelta::days(365);
        let (mut missed, mut rounds) = (0, 0);
        loop {
            let plan = plan(watermark, now, &minutely(), catch_up(5, 300));
            missed += plan.gaps.iter().map(|gap| gap.instants).sum::<i64>();
            watermark = plan.watermark;
            rounds += 1;
            if plan.next_due_at.unwrap() > now {
                assert_eq!(plan.runs.len(), 5);
                break;
            }
            assert!(plan.runs.is_empty(), "the newest are not known yet");
        }
        assert_eq!(missed, 365 * 24 * 60 - 5);
        assert_eq!(rounds, 365 * 24 * 60 / EXAMINED_MAX + 1);
    }

    #[test]
    fn more_than_a_hundred_on_time_are_run_in_portions() {
        let secondly: Cron = "* * * * * *".parse().unwrap();
        let now = at("09:10:00");
        let first = plan(at("09:00:00"), now, &secondly, catch_up(100, 600));
        assert_eq!((first.runs.len(), first.gaps[0].instants), (RUNS_MAX, 600 - 115));
        assert!(first.next_due_at.unwrap() <= now);
        let second = plan(first.watermark, now, &secondly, catch_up(100, 600));
        assert_eq!((second.runs.len(), second.gaps.len()), (15, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_instant_up_to_now_is_in_exactly_one_run_or_gap(
            expression in prop_oneof![
                Just("* * * * *"), Just("*/7 * * * *"), Just("*/20 * * * * *"), Just("0 * * * *"), Just("13 4 * * 1-5"),
            ],
            max in 0_usize..=100,
            window in 1_u64..100_000,
            looks in proptest::collection::vec(0_i64..200_000, 1..6),
        ) {
            let cron: Cron = expression.parse().unwrap();
            let rule = catch_up(max, window);
            let begin = at("00:00:30");
            let (mut now, mut watermark) = (begin, begin);
            let mut answered = Vec::new();
            for wait in looks {
                now += TimeDelta::seconds(wait);
                loop {
                    let plan = plan(watermark, now, &cron, rule);
                    prop_assert!(plan.runs.len() <= RUNS_MAX);
                    for gap in &plan.gaps {
                        let inside: Vec<_> =
                            due_instants(&cron, gap.first_at - TimeDelta::seconds(1), gap.last_at, usize::MAX).collect();
                        prop_assert_eq!(inside.len(), usize::try_from(gap.instants).unwrap());
                        answered.extend(inside);
                    }
                    for run in &plan.runs {
                        prop_assert!(*run > now - ON_TIME || *run > now - rule.window, "too old to run");
                    }
                    answered.extend(&plan.runs);
                    prop_assert!(plan.watermark >= watermark);
                    watermark = plan.watermark;
                    if plan.next_due_at.is_none_or(|next| next > now) {
                        break;
                    }
                }
            }
            let all: Vec<_> = due_instants(&cron, begin, now, usize::MAX).collect();
            prop_assert_eq!(answered, all);
        }
    }
}
