//! Policies that change what is ours, as they are set: what is in force the broker tells only when it next gathers statistics.

use regex::Regex;
use shared::broker::rights::REPLICA_QUEUES;
use shared::broker::topology::{EXCHANGES, QUEUES};

use super::is_a_replicas;
use crate::topology::difference::{Difference, Finding, Thing};
use crate::topology::found::{Found, FoundPolicy};

/// Each policy that is meant for something of ours, also if one of a higher priority goes before it today.
pub(super) fn differences(found: &Found) -> Vec<Difference> {
    let policies = found.policies.iter().map(|policy| (policy, false));
    let policies = policies.chain(found.operator_policies.iter().map(|policy| (policy, true)));
    policies.flat_map(|(policy, operator)| changed(found, policy, operator)).collect()
}

fn changed(found: &Found, policy: &FoundPolicy, operator: bool) -> Vec<Difference> {
    let finding =
        || Finding::Policy { policy: policy.name.clone(), operator, sets: policy.definition.clone() };
    let exchanges =
        EXCHANGES.iter().map(|exchange| exchange.name).filter(|name| policy.means("exchanges", name));
    let exchanges = exchanges.map(|name| Thing::Exchange { name: name.to_owned() });
    let queues = QUEUES.iter().map(|queue| queue.name).filter(|name| policy.means("quorum_queues", name));
    let queues = queues.map(|name| Thing::Queue { name: name.to_owned() });
    let replicas = REPLICA_QUEUES.iter().filter(|reader| {
        let beginning = format!("{reader}.");
        let names = found.queues.iter().filter(|queue| is_a_replicas(queue)).map(|queue| queue.name.as_str());
        // One that is there, and one that may come.
        let to_come = format!("{beginning}api.0123456789abcdef");
        let mut names = names.filter(|name| name.starts_with(&beginning)).chain([to_come.as_str()]);
        names.any(|name| policy.means("classic_queues", name))
    });
    let replicas = replicas.map(|reader| Thing::Queue { name: format!("{reader}.*") });
    let things = exchanges.chain(queues).chain(replicas);
    things.map(|thing| Difference { thing, finding: finding() }).collect()
}

impl FoundPolicy {
    /// Whether it is for what is called `name`, which is an exchange or a queue of a type.
    fn means(&self, kind: &str, name: &str) -> bool {
        let is_for_kind = match self.apply_to.as_str() {
            "exchanges" => kind == "exchanges",
            "queues" => kind != "exchanges",
            queues @ ("classic_queues" | "quorum_queues" | "streams") => kind == queues,
            _ => true,
        };
        // What Erlang can read and we can't, such as a look-ahead, may mean anything.
        is_for_kind && Regex::new(&self.pattern).map_or(true, |pattern| pattern.is_match(name))
    }
}
