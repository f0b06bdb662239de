//! Makes a planned fault happen, lets it last, and puts right again what it put wrong.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use tokio::sync::MutexGuard;
use tokio::time::{sleep, timeout};

use super::fault::{CONSUMER, Fault, Link, PROGRAMS, Replica, Touch};
use super::messages;
use super::notes::{Effect, Notes};
use super::plan::Planned;
use super::stage::Stage;
use super::witness::{FACTS, Witness};
use crate::faults::Alarm;
use crate::network::Traffic;
use crate::programs::RunningProgram;

/// What a policy makes of the queue of the trail when it is to be full, and from how many messages on it is.
const FULL: &str = r#"{"max-length":20}"#;
const FULL_AT: u32 = 20;
const FULL_POLICY: &str = "fault-suite-full";
/// How long it may take until it is full.
const FILLS_WITHIN: Duration = Duration::from_secs(15);
/// How long a program may take until it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// How late, and how slow, a slow network is.
const SLOW: Traffic = Traffic::Slow { delay: Duration::from_millis(50), bytes_per_second: 200_000 };

/// A fault did nothing that anybody could feel, and has left nothing to put right.
#[derive(Debug)]
struct LeftOut(String);

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for LeftOut {}

/// What came of a fault that failed: unless it says that it did nothing, it broke off in the middle.
pub fn effect_of(failure: &anyhow::Error) -> Effect {
    if failure.is::<LeftOut>() { Effect::Nothing } else { Effect::Part }
}

/// One fault from its beginning to its end. Fails if it did not take effect.
pub async fn inject(stage: &Stage, witness: &Witness, notes: &Notes, planned: Planned) -> anyhow::Result<()> {
    let Planned { fault, lasts, .. } = planned;
    match fault {
        Fault::KilledProgram(_) | Fault::RestartedProgram(_) | Fault::FrozenProgram(_) => {
            hit_program(stage, notes, fault, lasts).await
        }
        Fault::StoppedRabbitmq(node)
        | Fault::KilledRabbitmq(node)
        | Fault::FrozenRabbitmq(node)
        | Fault::MemoryAlarm(node)
        | Fault::DiskAlarm(node) => hit_node(stage, node, fault, lasts).await,
        Fault::StoppedPostgres
        | Fault::KilledPostgres
        | Fault::FrozenPostgres
        | Fault::TerminatedBackends => hit_postgres(stage, fault, lasts).await,
        Fault::CutLink(link)
        | Fault::StalledLink(link)
        | Fault::HalfOpenLink(link, _)
        | Fault::SlowLink(link)
        | Fault::ResetConnections(link, _) => hit_link(stage, link, fault, lasts).await,
        Fault::FullQueue => fill_queue(stage, witness, notes, lasts).await,
        Fault::DeletedQueue => delete_queue(stage, witness, notes, lasts).await,
        Fault::RemovedBinding(exchange) => remove_binding(stage, witness, exchange, lasts).await,
        Fault::DuplicatePublish => messages::publish_again(stage).await,
        Fault::PoisonMessage => messages::publish_poison(stage, notes).await,
    }
}

/// After a fault that failed, perhaps in the middle: everything that it touched works again.
pub async fn put_right(stage: &Stage, witness: &Witness, fault: Fault) -> anyhow::Result<()> {
    for touched in fault.touches() {
        match touched {
            Touch::Program(replica) => stage.program(replica).await.start_again(),
            Touch::Link(link) => {
                stage.link(link).pass(Traffic::Flows);
                stage.link(link).admit(true);
            }
            Touch::Postgres => stage.postgres().await.put_right().await,
            Touch::Rabbitmq => {
                for number in 0..stage.amqp_urls().len() {
                    let mut node = stage.node(number).await;
                    node.put_right().await;
                    for alarm in Alarm::ALL {
                        node.unblock_publishers(alarm).await;
                    }
                }
                // There may be no such policy.
                let _ = clear_policy(stage).await;
                messages::declare_topology(stage).await?;
                witness.look_again(&FACTS).await;
            }
        }
    }
    Ok(())
}

async fn hit_program(stage: &Stage, notes: &Notes, fault: Fault, lasts: Duration) -> anyhow::Result<()> {
    let (Fault::RestartedProgram(replica) | Fault::FrozenProgram(replica) | Fault::KilledProgram(replica)) =
        fault
    else {
        bail!("it hits no program");
    };
    let mut program = stage.program(replica).await;
    if note_if_ended(replica, &mut program, notes) {
        // At once, or its keeper notes it too.
        program.start_again();
        bail!(LeftOut(format!("{replica} had ended by itself")));
    }
    match fault {
        Fault::FrozenProgram(_) => {
            program.stand_still();
            sleep(lasts).await;
            program.go_on();
            return Ok(());
        }
        Fault::RestartedProgram(_) => {
            program.ask_to_stop();
            let status = program.ended().await;
            if !status.success() {
                notes.ended_otherwise(&format!("{replica}: {status}"));
            }
        }
        _ => program.kill(),
    }
    sleep(lasts).await;
    start_again(&mut program).await;
    Ok(())
}

/// Whether a program ended though nobody had asked it to; it is noted, as its keeper would if it came first.
fn note_if_ended(replica: Replica, program: &mut RunningProgram, notes: &Notes) -> bool {
    let has_ended = program.has_ended();
    if has_ended {
        notes.ended_by_itself(&replica.to_string(), &program.log());
    }
    has_ended
}

/// Until it answers at all, whatever it says: before that it is not there, and its clients can't know.
async fn start_again(program: &mut RunningProgram) {
    program.start_again();
    let client = program.client();
    let answers = async {
        while client.request(Method::GET, "/healthz").send().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    // One that can't start shows later.
    let _ = timeout(STARTS_WITHIN, answers).await;
}

async fn hit_node(stage: &Stage, node: usize, fault: Fault, lasts: Duration) -> anyhow::Result<()> {
    let mut node = stage.node(node).await;
    match fault {
        Fault::FrozenRabbitmq(_) => {
            node.freeze(true);
            sleep(lasts).await;
            node.freeze(false);
        }
        Fault::MemoryAlarm(_) | Fault::DiskAlarm(_) => {
            let alarm = if matches!(fault, Fault::DiskAlarm(_)) { Alarm::Disk } else { Alarm::Memory };
            node.block_publishers(alarm).await;
            sleep(lasts).await;
            node.unblock_publishers(alarm).await;
        }
        _ => {
            if matches!(fault, Fault::KilledRabbitmq(_)) {
                node.kill().await;
            } else {
                node.stop().await;
            }
            sleep(lasts).await;
            node.start_again().await;
        }
    }
    Ok(())
}

async fn hit_postgres(stage: &Stage, fault: Fault, lasts: Duration) -> anyhow::Result<()> {
    let mut postgres = stage.postgres().await;
    match fault {
        Fault::FrozenPostgres => {
            postgres.freeze(true);
            sleep(lasts).await;
            postgres.freeze(false);
        }
        Fault::TerminatedBackends => {
            let mut terminated = 0;
            for _ in 0..=lasts.as_secs() {
                // The suite's own connections have no name.
                let half = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                            WHERE datname = current_database() AND application_name <> '' AND random() < 0.5";
                let count: i64 = sqlx::query_scalar(half).fetch_one(stage.database.pool()).await?;
                terminated += count;
                sleep(Duration::from_secs(1)).await;
            }
            ensure!(terminated > 0, LeftOut("there was no connection to terminate".to_owned()));
        }
        _ => {
            if fault == Fault::KilledPostgres {
                postgres.kill().await;
            } else {
                postgres.stop().await;
            }
            sleep(lasts).await;
            postgres.start_again().await;
        }
    }
    Ok(())
}

async fn hit_link(stage: &Stage, link: Link, fault: Fault, lasts: Duration) -> anyhow::Result<()> {
    let network = stage.link(link);
    let before = network.touched();
    match fault {
        Fault::CutLink(_) => {
            network.admit(false);
            network.reset_connections();
        }
        Fault::StalledLink(_) => network.pass(Traffic::Silent),
        Fault::HalfOpenLink(_, way) => network.pass(Traffic::HalfOpen(way)),
        Fault::ResetConnections(_, bytes) => network.pass(Traffic::ResetAfter(bytes)),
        _ => network.pass(SLOW),
    }
    sleep(lasts).await;
    if matches!(fault, Fault::HalfOpenLink(..)) && network.touched() > before {
        // As it ends in life: what was on its way is lost.
        network.reset_connections();
    }
    network.pass(Traffic::Flows);
    network.admit(true);
    ensure!(network.touched() > before, LeftOut("nothing came that way".to_owned()));
    Ok(())
}

/// Without a consumer, and with a limit that a policy lowers: from the twentieth message on the broker refuses. The witness's
/// queue would take copies of what is refused, which came twice then with no doing of Warren's.
async fn fill_queue(stage: &Stage, witness: &Witness, notes: &Notes, lasts: Duration) -> anyhow::Result<()> {
    witness.look_away(&FACTS).await;
    let mut consumers = kill_consumers(stage, notes).await;
    let filled = async {
        set_policy(stage).await?;
        wait_until_full(stage).await?;
        sleep(lasts).await;
        anyhow::Ok(())
    }
    .await;
    let cleared = clear_policy(stage).await;
    // In any case: nobody must think that they ended by themselves.
    for consumer in &mut consumers {
        consumer.start_again();
    }
    witness.look_again(&FACTS).await;
    filled.and(cleared)
}

async fn kill_consumers<'a>(stage: &'a Stage, notes: &Notes) -> Vec<MutexGuard<'a, RunningProgram>> {
    let mut consumers = Vec::new();
    for replica in PROGRAMS.into_iter().filter(|replica| replica.program == CONSUMER) {
        let mut consumer = stage.program(replica).await;
        if !note_if_ended(replica, &mut consumer, notes) {
            consumer.kill();
        }
        consumers.push(consumer);
    }
    consumers
}

async fn wait_until_full(stage: &Stage) -> anyhow::Result<()> {
    let filled = timeout(FILLS_WITHIN, async {
        while !messages::waiting(stage).await.is_ok_and(|waiting| waiting >= FULL_AT) {
            sleep(Duration::from_millis(200)).await;
        }
    });
    filled.await.context("the queue did not become full")
}

async fn set_policy(stage: &Stage) -> anyhow::Result<()> {
    let (host, pattern) = (stage.broker().virtual_host(), r"^audit\.events$");
    let set = ["set_policy", "-p", host, FULL_POLICY, pattern, FULL, "--apply-to", "queues"];
    stage.node(0).await.control(&set).await
}

async fn clear_policy(stage: &Stage) -> anyhow::Result<()> {
    let host = stage.broker().virtual_host();
    stage.node(0).await.control(&["clear_policy", "-p", host, FULL_POLICY]).await
}

/// With what is in it: without a consumer some messages are. The suite declares it anew.
async fn delete_queue(
    stage: &Stage,
    witness: &Witness,
    notes: &Notes,
    lasts: Duration,
) -> anyhow::Result<()> {
    witness.look_away(&FACTS).await;
    let mut consumers = kill_consumers(stage, notes).await;
    let filled = wait_until_full(stage).await;
    let deleted = messages::delete_queue(stage).await;
    if let Ok(messages) = &deleted {
        notes.deleted(*messages);
    }
    // Some find no queue when they come.
    for consumer in &mut consumers {
        consumer.start_again();
    }
    sleep(lasts).await;
    messages::declare_topology(stage).await?;
    witness.look_again(&FACTS).await;
    deleted?;
    filled
}

async fn remove_binding(
    stage: &Stage,
    witness: &Witness,
    exchange: &'static str,
    lasts: Duration,
) -> anyhow::Result<()> {
    witness.look_away(&[exchange]).await;
    let unbound = messages::unbind(stage, exchange).await;
    // So long that some facts come.
    sleep(Duration::from_secs(3) + lasts).await;
    messages::declare_topology(stage).await?;
    witness.look_again(&[exchange]).await;
    unbound
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_fault_that_failed_was_felt_unless_it_says_that_it_was_not() {
        let left_out = || -> anyhow::Result<()> { bail!(LeftOut("nothing came that way".to_owned())) };
        for (failure, effect) in [
            (left_out().unwrap_err(), Effect::Nothing),
            (left_out().context("the link").unwrap_err(), Effect::Nothing),
            (anyhow!("the node does not run"), Effect::Part),
        ] {
            assert_eq!(effect_of(&failure), effect, "{failure:#}");
        }
    }
}
