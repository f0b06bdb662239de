//! Which instants are due, and what is done with each: run it, or say why not. Pure.
//!
//! Every instant between the watermark and now is answered exactly once: it becomes a run or it lies in a gap. The
//! work of one plan is bounded; what it leaves is due at once and comes next.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::timetable::Timetable;

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

/// What is done with instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// With late ones.
    pub catch_up: CatchUp,
    /// Those later than this are not run: somebody has paused the schedule.
    pub paused_from: Option<DateTime<Utc>>,
    /// At most so many runs: others are not over, and may not overlap.
    pub room: usize,
}

/// Why instants were not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// They were too old, or too many, when somebody looked.
    Missed,
    /// Another run was not over.
    Skipped,
    /// The schedule was paused.
    Paused,
}

impl GapReason {
    /// As `job_gaps.reason` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::Paused => "paused",
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
    /// Not to be run, in order: those that were missed are earlier than all runs, the others later.
    pub gaps: Vec<Gap>,
    /// Everything up to here is answered now.
    pub watermark: DateTime<Utc>,
    /// When to look again; not later than now when this plan left something.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// The instants later than `after` and not later than `until`, at most `limit`.
pub fn due_instants(
    timetable: &Timetable,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: usize,
) -> impl Iterator<Item = DateTime<Utc>> {
    timetable.instants_after(after).take_while(move |instant| *instant <= until).take(limit)
}

/// Answers the instants between `watermark` and `now`, but for those that are `answered` already.
pub fn plan(
    watermark: DateTime<Utc>,
    now: DateTime<Utc>,
    timetable: &Timetable,
    rules: Rules,
    answered: &BTreeSet<DateTime<Utc>>,
) -> Plan {
    let mut gaps = Gaps { answered, missed: Vec::new(), skipped: Vec::new(), paused: Vec::new() };
    let mut late = VecDeque::new();
    let mut on_time = Vec::new();
    let (mut examined, mut last) = (0, watermark);
    for instant in due_instants(timetable, watermark, now, EXAMINED_MAX) {
        (examined, last) = (examined + 1, instant);
        if answered.contains(&instant) {
            continue;
        }
        if rules.paused_from.is_some_and(|from| instant > from) {
            gaps.add(GapReason::Paused, instant);
        } else if instant > now - ON_TIME {
            on_time.push(instant);
        } else {
            late.push_back(instant);
            // What is to be once is late and not missed.
            let too_old = instant <= now - rules.catch_up.window || late.len() > rules.catch_up.max;
            if too_old
                && !timetable.is_once()
                && let Some(oldest) = late.pop_front()
            {
                gaps.add(GapReason::Missed, oldest);
            }
        }
    }
    let mut runs = Vec::new();
    // A plan that has not seen every instant that is not paused doesn't know yet which late ones are the newest.
    let watermark = if examined < EXAMINED_MAX || !gaps.paused.is_empty() {
        let mut chosen: VecDeque<_> = late.into_iter().chain(on_time).collect();
        runs.extend(chosen.drain(..chosen.len().min(rules.room).min(RUNS_MAX)));
        if runs.len() >= rules.room {
            chosen.drain(..).for_each(|instant| gaps.add(GapReason::Skipped, instant));
        }
        if chosen.is_empty() {
            last
        } else {
            // What this plan leaves comes before what is paused.
            gaps.paused.clear();
            runs.last().copied().unwrap_or(watermark)
        }
    } else {
        // All up to the first that is left: those are missed, or were answered already.
        let left = late.front().or(on_time.first()).copied();
        let passed = left.map_or(Some(last), |left| answered.range(..left).next_back().copied());
        let missed = gaps.missed.last().map(|gap| gap.last_at);
        [passed, missed].into_iter().flatten().fold(watermark, DateTime::max)
    };
    let next_due_at = timetable.next_after(watermark);
    Plan { runs, gaps: [gaps.missed, gaps.skipped, gaps.paused].concat(), watermark, next_due_at }
}

/// The gaps of instants of which none is run, in order, but for those that are `answered` already.
pub fn not_run(
    instants: impl Iterator<Item = DateTime<Utc>>,
    reason: GapReason,
    answered: &BTreeSet<DateTime<Utc>>,
) -> Vec<Gap> {
    let mut gaps = Gaps { answered, missed: Vec::new(), skipped: Vec::new(), paused: Vec::new() };
    instants.filter(|instant| !answered.contains(instant)).for_each(|instant| gaps.add(reason, instant));
    [gaps.missed, gaps.skipped, gaps.paused].concat()
}

/// Gaps while they grow: an instant that is answered already lies in none.
struct Gaps<'a> {
    answered: &'a BTreeSet<DateTime<Utc>>,
    missed: Vec<Gap>,
    skipped: Vec<Gap>,
    paused: Vec<Gap>,
}

impl Gaps<'_> {
    /// Adds an instant that is later than the others of its reason.
    fn add(&mut self, reason: GapReason, instant: DateTime<Utc>) {
        let gaps = match reason {
            GapReason::Missed => &mut self.missed,
            GapReason::Skipped => &mut self.skipped,
            GapReason::Paused => &mut self.paused,
        };
        match gaps.last_mut() {
            Some(gap) if self.answered.range(gap.last_at..instant).next().is_none() => {
                gap.last_at = instant;
                gap.instants += 1;
            }
            _ => gaps.push(Gap { first_at: instant, last_at: instant, instants: 1, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-21T{text}Z").parse().unwrap()
    }

    fn minutely() -> Timetable {
        Timetable::new("* * * * *", "UTC").unwrap()
    }

    fn catch_up(max: usize, window_seconds: u64) -> Rules {
        let catch_up = CatchUp { max, window: Duration::from_secs(window_seconds) };
        Rules { catch_up, paused_from: None, room: usize::MAX }
    }

    /// Runs, and `first..last xN` of each gap, with its reason's first letter if that isn't `missed`, in order; as minutes of the
    /// hour.
    fn told(plan: &Plan) -> String {
        let mut words: Vec<(DateTime<Utc>, String)> =
            plan.runs.iter().map(|run| (*run, run.format("%M").to_string())).collect();
        words.extend(plan.gaps.iter().map(|gap| {
            let reason = match gap.reason {
                GapReason::Missed => "",
                GapReason::Skipped => "s",
                GapReason::Paused => "p",
            };
            let (first, last) = (gap.first_at.format("%M"), gap.last_at.format("%M"));
            (gap.first_at, format!("{first}..{last} x{}{reason}", gap.instants))
        }));
        words.sort();
        words.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    }

    /// Else a schedule whose watermark was set back by hours would be planned again and again, for ever.
    #[test]
    fn a_plan_that_sees_nothing_but_what_is_answered_passes_over_it() {
        let secondly = Timetable::new("* * * * * *", "UTC").unwrap();
        let (watermark, now) = (at("00:00:00"), at("10:00:00"));
        let left = at("03:00:00");
        for unanswered in [None, Some(left)] {
            let answered: BTreeSet<_> = due_instants(&secondly, watermark, now, EXAMINED_MAX)
                .filter(|instant| Some(*instant) != unanswered)
                .collect();
            let plan = plan(watermark, now, &secondly, catch_up(5, 86_400), &answered);
            let expected = unanswered
                .map_or(watermark + TimeDelta::seconds(20_000), |left| left - TimeDelta::seconds(1));
            assert_eq!((plan.watermark, plan.runs.len(), plan.gaps.len()), (expected, 0, 0));
        }
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
            let plan = plan(at(watermark), at(now), &minutely(), rule, &BTreeSet::new());
            assert_eq!(told(&plan), expected, "{watermark} {now} {rule:?}");
            assert!(plan.next_due_at.unwrap() > at(now));
        }
    }

    #[test]
    fn what_may_not_overlap_is_skipped_and_what_is_paused_is_not_run() {
        let rules = |room, paused_from: Option<&str>| Rules {
            room,
            paused_from: paused_from.map(at),
            ..catch_up(3, 300)
        };
        for (now, rules, expected) in [
            ("09:01:02", rules(1, None), "01"),
            ("09:01:02", rules(0, None), "01..01 x1s"),
            ("09:05:02", rules(1, None), "01..01 x1 02 03..05 x3s"),
            ("09:05:02", rules(0, None), "01..01 x1 02..05 x4s"),
            ("09:05:02", rules(9, None), "01..01 x1 02 03 04 05"),
            ("09:05:02", rules(9, Some("09:06:00")), "01..01 x1 02 03 04 05"),
            ("09:05:02", rules(9, Some("09:03:00")), "01 02 03 04..05 x2p"),
            ("09:05:02", rules(1, Some("09:03:59")), "01 02..03 x2s 04..05 x2p"),
            ("09:05:02", rules(9, Some("09:00:00")), "01..05 x5p"),
            ("09:05:02", rules(9, Some("08:00:00")), "01..05 x5p"),
        ] {
            let plan = plan(at("09:00:00"), at(now), &minutely(), rules, &BTreeSet::new());
            assert_eq!(told(&plan), expected, "{now} {rules:?}");
            assert_eq!(plan.watermark, at(now) - TimeDelta::seconds(2), "all are answered");
        }
    }

    #[test]
    fn what_is_due_once_runs_however_late_and_once() {
        let once = Timetable::new("at 2026-11-21T09:00:00Z", "UTC").unwrap();
        let new = once.begin(at("23:59:00"));
        let first = plan(new, at("23:59:00"), &once, catch_up(0, 1), &BTreeSet::new());
        assert_eq!((first.runs, first.gaps.len(), first.next_due_at), (vec![at("09:00:00")], 0, None));
        let second = plan(first.watermark, at("23:59:59"), &once, catch_up(5, 300), &BTreeSet::new());
        assert!(second.runs.is_empty());
        assert_eq!(once.begin(at("08:00:00")), at("08:00:00"));
        assert_eq!(minutely().begin(at("08:00:00")), at("08:00:00"));
    }

    #[test]
    fn a_watermark_ahead_of_now_answers_nothing_and_stays() {
        let plan = plan(at("10:00:00"), at("09:00:00"), &minutely(), catch_up(5, 300), &BTreeSet::new());
        assert_eq!((plan.runs.len(), plan.gaps.len(), plan.watermark), (0, 0, at("10:00:00")));
    }

    #[test]
    fn an_outage_of_a_year_is_recorded_in_portions_and_then_the_present_runs() {
        let now = at("09:00:01");
        let mut watermark = now - TimeDelta::days(365);
        let (mut missed, mut rounds) = (0, 0);
        loop {
            let plan = plan(watermark, now, &minutely(), catch_up(5, 300), &BTreeSet::new());
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
        let secondly = Timetable::new("* * * * * *", "UTC").unwrap();
        let now = at("09:10:00");
        let first = plan(at("09:00:00"), now, &secondly, catch_up(100, 600), &BTreeSet::new());
        assert_eq!((first.runs.len(), first.gaps[0].instants), (RUNS_MAX, 600 - 115));
        assert!(first.next_due_at.unwrap() <= now);
        let second = plan(first.watermark, now, &secondly, catch_up(100, 600), &BTreeSet::new());
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
            looks in proptest::collection::vec((0_i64..200_000, prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..3], 0_i64..400_000), 1..6),
            known in proptest::collection::vec(proptest::bool::weighted(0.2), 0..200),
        ) {
            let timetable = Timetable::new(expression, "UTC").unwrap();
            let begin = at("00:00:30");
            let (mut now, mut watermark) = (begin, begin);
            let ahead = timetable.instants_after(begin).take(200);
            let known: BTreeSet<_> = ahead.zip(known).filter(|(_, known)| *known).map(|(instant, _)| instant).collect();
            let mut answered = Vec::new();
            for (wait, room, paused) in looks {
                now += TimeDelta::seconds(wait);
                // Sometimes later than now: not paused yet.
                let paused_from = (paused < 300_000).then(|| begin + TimeDelta::seconds(paused));
                let rules = Rules { paused_from, room, ..catch_up(max, window) };
                loop {
                    let plan = plan(watermark, now, &timetable, rules, &known);
                    prop_assert!(plan.runs.len() <= room);
                    prop_assert!(plan.runs.len() <= RUNS_MAX);
                    for gap in &plan.gaps {
                        let inside: Vec<_> =
                            due_instants(&timetable, gap.first_at - TimeDelta::seconds(1), gap.last_at, usize::MAX).collect();
                        prop_assert_eq!(inside.len(), usize::try_from(gap.instants).unwrap());
                        answered.extend(inside);
                    }
                    for run in &plan.runs {
                        let window = rules.catch_up.window;
                        prop_assert!(*run > now - ON_TIME || *run > now - window, "too old to run");
                        prop_assert!(paused_from.is_none_or(|from| *run <= from), "paused");
                    }
                    answered.extend(&plan.runs);
                    prop_assert!(plan.watermark >= watermark);
                    watermark = plan.watermark;
                    if plan.next_due_at.is_none_or(|next| next > now) {
                        break;
                    }
                }
            }
            prop_assert!(answered.iter().all(|instant| !known.contains(instant)));
            answered.extend(known.iter().filter(|instant| **instant <= now));
            answered.sort();
            let all: Vec<_> = due_instants(&timetable, begin, now, usize::MAX).collect();
            prop_assert_eq!(answered, all);
        }
    }
}
