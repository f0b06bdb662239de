//! The plan of a run: which faults, in which order, when and for how long. Pure: the same seed gives the same plan.

use std::array::IntoIter;
use std::collections::BTreeMap;
use std::iter::Cycle;
use std::time::Duration;

use shared::entropy::Entropy;

use super::fault::{Fault, Kind, Link, Replica, Server};
use crate::network::Way;

/// After so many faults the suite leaves Warren alone for a while.
pub const BURST: usize = 10;
/// A plan of so many faults has one outage of the database that is longer than the consumers' patience (60 s).
const LONG_PLAN: usize = 50;
const LONG_OUTAGE: Duration = Duration::from_secs(65);
/// One freeze in so many is longer than a lease and than any deadline of the relay.
const LONG_FREEZE_IN: usize = 4;
const LONG_FREEZE: Duration = Duration::from_secs(35);
/// One cut in so many is longer than a lease, where that is asked for.
const LONG_CUT_IN: usize = 2;
const LONG_CUT: Duration = Duration::from_secs(40);

/// One fault of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Which.
    pub fault: Fault,
    /// How long after the one before it begins; later if that one or another must end first.
    pub pause: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// What to draw.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How many faults a whole plan has.
    pub faults: usize,
    /// How many of them are played, the first ones: a shortened plan has the same faults as the whole one.
    pub first: usize,
    /// In which time all of them, the quiet included.
    pub time: Duration,
    /// How long it is quiet after each burst.
    pub quiet: Duration,
    /// Of which kinds; each comes up once before any comes up twice, and so do the targets of a kind.
    pub kinds: Vec<Kind>,
    /// Whether every other one that keeps a program from the database lasts longer than a lease.
    pub outlasts_leases: bool,
    /// Which programs they hit.
    pub programs: Vec<Replica>,
    /// How many nodes the broker has.
    pub nodes: usize,
}

/// Draws a plan: bursts of faults, each burst followed by quiet.
pub fn draw(seed: u64, shape: &Shape) -> Vec<Vec<Planned>> {
    assert!(!shape.kinds.is_empty(), "a plan needs kinds of faults");
    let chance = Entropy::seeded(seed);
    let bursts = shape.faults.div_ceil(BURST);
    let quiet = shape.quiet * u32::try_from(bursts).unwrap_or(u32::MAX);
    let faults = u32::try_from(shape.faults.max(1)).unwrap_or(u32::MAX);
    let spacing = shape.time.saturating_sub(quiet) / faults;
    let mut kinds = Bag::of(shape.kinds.clone());
    let mut targets: BTreeMap<Kind, Targets> = BTreeMap::new();
    let mut planned = Vec::new();
    for _ in 0..shape.faults {
        let kind = kinds.take(&chance);
        let targets = targets.entry(kind).or_insert_with(|| Targets::all(&shape.programs, shape.nodes));
        planned.push(Planned {
            fault: aim(kind, targets, &chance),
            // Evenly from none to twice the spacing, so that faults overlap and don't.
            pause: chance.jitter(spacing * 2),
            lasts: Duration::from_millis(500) + lasts(kind, &chance),
        });
    }
    if shape.faults >= LONG_PLAN
        && let Some(outage) = planned.iter_mut().find(|planned| planned.fault == Fault::StoppedPostgres)
    {
        outage.lasts = LONG_OUTAGE;
    }
    if shape.outlasts_leases {
        let cuts = planned.iter_mut().filter(|planned| cuts_off_from_postgres(planned.fault));
        cuts.step_by(LONG_CUT_IN).for_each(|planned| planned.lasts = LONG_CUT);
    }
    planned.truncate(shape.first);
    planned.chunks(BURST).map(<[_]>::to_vec).collect()
}

fn cuts_off_from_postgres(fault: Fault) -> bool {
    let (Fault::CutLink(link) | Fault::StalledLink(link) | Fault::HalfOpenLink(link, _)) = fault else {
        return false;
    };
    link.server == Server::Postgres
}

/// Some faults matter from the first moment on, others only once somebody has waited.
fn lasts(kind: Kind, chance: &Entropy) -> Duration {
    let longest = Duration::from_secs(match kind {
        Kind::DuplicatePublish | Kind::PoisonMessage => 0,
        Kind::KilledProgram | Kind::RestartedProgram | Kind::ResetConnections => 3,
        Kind::FrozenProgram | Kind::StalledLink | Kind::HalfOpenLink => 12,
        _ => 6,
    });
    match kind {
        Kind::FrozenProgram if below(LONG_FREEZE_IN, chance) == 0 => LONG_FREEZE,
        _ => chance.jitter(longest),
    }
}

/// Things of which each is taken once before any is taken twice.
#[derive(Debug)]
struct Bag<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Copy> Bag<T> {
    fn of(all: Vec<T>) -> Self {
        Self { all, left: Vec::new() }
    }

    fn take(&mut self, chance: &Entropy) -> T {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
        }
        self.left.swap_remove(below(self.left.len(), chance))
    }
}

/// What a kind of fault can be aimed at.
#[derive(Debug)]
struct Targets {
    programs: Bag<Replica>,
    links: Bag<Link>,
    ways: Bag<Way>,
    nodes: Bag<usize>,
    exchanges: Cycle<IntoIter<&'static str, 3>>,
}

impl Targets {
    fn all(programs: &[Replica], nodes: usize) -> Self {
        let servers = [Server::Rabbitmq, Server::Postgres];
        let links =
            programs.iter().flat_map(|program| servers.map(|server| Link { program: *program, server }));
        Self {
            programs: Bag::of(programs.to_vec()),
            links: Bag::of(links.collect()),
            ways: Bag::of(vec![Way::ToServer, Way::ToClient]),
            nodes: Bag::of((0..nodes.max(1)).collect()),
            // In turn, that of tasks first: the broker does not return those events, since live replicas take them.
            exchanges: ["task.events", "auth.events", "job.events"].into_iter().cycle(),
        }
    }
}

fn aim(kind: Kind, targets: &mut Targets, chance: &Entropy) -> Fault {
    let program = targets.programs.take(chance);
    let (link, way) = (targets.links.take(chance), targets.ways.take(chance));
    let bytes = u64::try_from(1_000 + below(200_000, chance)).unwrap_or(u64::MAX);
    let node = targets.nodes.take(chance);
    match kind {
        Kind::KilledProgram => Fault::KilledProgram(program),
        Kind::RestartedProgram => Fault::RestartedProgram(program),
        Kind::FrozenProgram => Fault::FrozenProgram(program),
        Kind::StoppedRabbitmq => Fault::StoppedRabbitmq(node),
        Kind::KilledRabbitmq => Fault::KilledRabbitmq(node),
        Kind::FrozenRabbitmq => Fault::FrozenRabbitmq(node),
        Kind::StoppedPostgres => Fault::StoppedPostgres,
        Kind::KilledPostgres => Fault::KilledPostgres,
        Kind::FrozenPostgres => Fault::FrozenPostgres,
        Kind::TerminatedBackends => Fault::TerminatedBackends,
        Kind::CutLink => Fault::CutLink(link),
        Kind::StalledLink => Fault::StalledLink(link),
        Kind::HalfOpenLink => Fault::HalfOpenLink(link, way),
        Kind::SlowLink => Fault::SlowLink(link),
        Kind::ResetConnections => Fault::ResetConnections(link, bytes),
        Kind::MemoryAlarm => Fault::MemoryAlarm(node),
        Kind::DiskAlarm => Fault::DiskAlarm(node),
        Kind::FullQueue => Fault::FullQueue,
        Kind::DeletedQueue => Fault::DeletedQueue,
        Kind::RemovedBinding => Fault::RemovedBinding(targets.exchanges.next().unwrap_or("task.events")),
        Kind::DuplicatePublish => Fault::DuplicatePublish,
        Kind::PoisonMessage => Fault::PoisonMessage,
    }
}

fn below(bound: usize, chance: &Entropy) -> usize {
    let drawn = u64::from_le_bytes(chance.bytes());
    let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
    usize::try_from(drawn % bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::fault::PROGRAMS;
    use super::super::targets::Hits;
    use super::*;

    fn shape(faults: usize) -> Shape {
        let (time, quiet) = (Duration::from_mins(30), Duration::from_secs(30));
        let (outlasts_leases, programs) = (false, PROGRAMS.to_vec());
        Shape {
            faults,
            first: faults,
            time,
            quiet,
            kinds: Kind::ALL.to_vec(),
            outlasts_leases,
            programs,
            nodes: 3,
        }
    }

    #[test]
    fn a_long_plan_has_all_kinds_and_bursts_of_ten_within_its_time() {
        let plan = draw(1, &shape(200));
        assert!(plan.iter().all(|burst| burst.len() == BURST) && plan.len() == 20);
        let kinds: HashSet<Kind> = plan.iter().flatten().map(|planned| planned.fault.kind()).collect();
        assert_eq!(kinds.len(), Kind::ALL.len());
        let pauses: Duration = plan.iter().flatten().map(|planned| planned.pause).sum();
        let active = Duration::from_mins(20);
        assert!(pauses > active * 8 / 10 && pauses < active * 12 / 10, "{pauses:?}");
    }

    #[test]
    fn every_program_and_node_is_killed_in_a_long_run_and_most_links_are_cut() {
        let plan = draw(2, &shape(200));
        let hit: HashSet<Fault> = plan.iter().flatten().map(|planned| planned.fault).collect();
        for program in PROGRAMS {
            assert!(hit.contains(&Fault::KilledProgram(program)), "{program}");
            assert!(hit.contains(&Fault::FrozenProgram(program)), "{program}");
        }
        for node in 0..3 {
            assert!(hit.contains(&Fault::KilledRabbitmq(node)), "{node}");
        }
        let spared = Hits::of(hit.iter().copied(), 3).spared();
        assert!(spared.is_empty(), "{spared:?}");
        let cut = hit.iter().filter(|fault| fault.kind() == Kind::CutLink);
        assert!(cut.count() >= 9, "no link is cut twice before all were");
        let lasts = |kind: Kind, least: Duration| {
            let planned = plan.iter().flatten().filter(move |planned| planned.fault.kind() == kind);
            planned.filter(move |planned| planned.lasts >= least).count()
        };
        assert_eq!(lasts(Kind::StoppedPostgres, LONG_OUTAGE), 1);
        assert!((1..6).contains(&lasts(Kind::FrozenProgram, LONG_FREEZE)));
    }

    #[test]
    fn every_other_cut_from_the_database_outlasts_a_lease_where_that_is_asked_for() {
        let plan = draw(2, &Shape { outlasts_leases: true, ..shape(200) });
        let cuts = plan.iter().flatten().filter(|planned| cuts_off_from_postgres(planned.fault));
        let long: Vec<bool> = cuts.map(|planned| planned.lasts == LONG_CUT).collect();
        assert!(long.len() > 10 && long.chunks(2).all(|pair| pair[0] && !pair.get(1).is_some_and(|is| *is)));
    }

    #[test]
    fn each_binding_is_removed_before_any_is_removed_twice() {
        let plan = draw(3, &shape(200));
        let removed = plan.iter().flatten().filter_map(|planned| match planned.fault {
            Fault::RemovedBinding(exchange) => Some(exchange),
            _ => None,
        });
        let removed: Vec<&str> = removed.collect();
        assert_eq!(removed[..3], ["task.events", "auth.events", "job.events"]);
    }

    proptest! {
        #[test]
        fn a_seed_repeats_its_plan_and_another_gives_another(seed: u64, faults in 30..60_usize) {
            let plan = draw(seed, &shape(faults));
            prop_assert_eq!(&plan, &draw(seed, &shape(faults)));
            prop_assert_ne!(&plan, &draw(seed.wrapping_add(1), &shape(faults)));
            prop_assert_eq!(plan.iter().flatten().count(), faults);
        }

        #[test]
        fn a_shortened_plan_is_the_beginning_of_the_whole_one(seed: u64, first in 0..60_usize) {
            let whole: Vec<Planned> = draw(seed, &shape(60)).into_iter().flatten().collect();
            let short = draw(seed, &Shape { first, ..shape(60) }).into_iter().flatten();
            prop_assert_eq!(short.collect::<Vec<Planned>>(), &whole[..first]);
        }

        #[test]
        fn no_kind_comes_twice_before_all_came_once(seed: u64) {
            let plan = draw(seed, &shape(Kind::ALL.len()));
            let kinds: HashSet<Kind> = plan.iter().flatten().map(|planned| planned.fault.kind()).collect();
            prop_assert_eq!(kinds.len(), Kind::ALL.len());
        }
    }
}
