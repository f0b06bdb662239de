//! Makes a planned fault happen, lets it last, and puts right again what it put wrong.

use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep, timeout};

use super::fault::{CONSUMER, Fault, Link, PROGRAMS};
use super::messages;
use super::notes::Notes;
use super::plan::Planned;
use super::stage::Stage;
use super::witness::Witness;
use crate::network::Traffic;
use crate::programs::RunningProgram;

/// What a policy makes of the queue of the trail when it is to be full.
const FULL: &str = r#"{"max-length":20}"#;
const FULL_POLICY: &str = "fault-suite-full";
/// How long a program may take until it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// How late, and how slow, a slow network is.
const SLOW: Traffic = Traffic::Slow { delay: Duration::from_millis(50), bytes_per_second: 200_000 };

/// One fault from its beginning to its end.
pub async fn inject(stage: &Stage, witness: &Witness, notes: &Notes, planned: Planned) {
    let Planned { fault, lasts, .. } = planned;
    match fault {
        Fault::KilledProgram(_) | Fault::RestartedProgram(_) | Fault::FrozenProgram(_) => {
            hit_program(stage, fault, lasts).await;
        }
        Fault::StoppedRabbitmq(node)
        | Fault::KilledRabbitmq(node)
        | Fault::FrozenRabbitmq(node)
        | Fault::MemoryAlarm(node) => hit_node(stage, node, fault, lasts).await,
        Fault::StoppedPostgres
        | Fault::KilledPostgres
        | Fault::FrozenPostgres
        | Fault::TerminatedBackends => hit_postgres(stage, fault, lasts).await,
        Fault::CutLink(link)
        | Fault::StalledLink(link)
        | Fault::HalfOpenLink(link, _)
        | Fault::SlowLink(link)
        | Fault::ResetConnections(link, _) => hit_link(stage, link, fault, lasts).await,
        Fault::FullQueue => fill_queue(stage, lasts).await,
        Fault::DeletedQueue => delete_queue(stage, witness, notes, lasts).await,
        Fault::RemovedBinding => remove_binding(stage, witness, lasts).await,
        Fault::DuplicatePublish => messages::publish_again(stage).await,
        Fault::PoisonMessage => messages::publish_poison(stage, notes).await,
    }
}

async fn hit_program(stage: &Stage, fault: Fault, lasts: Duration) {
    match fault {
        Fault::RestartedProgram(replica) => {
            let mut program = stage.program(replica).await;
            program.ask_to_stop();
            program.ended().await;
            sleep(lasts).await;
            start_again(&mut program).await;
        }
        Fault::FrozenProgram(replica) => {
            let program = stage.program(replica).await;
            program.stand_still();
            sleep(lasts).await;
            program.go_on();
        }
        Fault::KilledProgram(replica) => {
            let mut program = stage.program(replica).await;
            program.kill();
            sleep(lasts).await;
            start_again(&mut program).await;
        }
        _ => {}
    }
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

async fn hit_node(stage: &Stage, node: usize, fault: Fault, lasts: Duration) {
    let mut node = stage.node(node).await;
    match fault {
        Fault::FrozenRabbitmq(_) => {
            node.freeze(true);
            sleep(lasts).await;
            node.freeze(false);
        }
        Fault::MemoryAlarm(_) => {
            node.block_publishers().await;
            sleep(lasts).await;
            node.unblock_publishers().await;
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
}

async fn hit_postgres(stage: &Stage, fault: Fault, lasts: Duration) {
    let mut postgres = stage.postgres().await;
    match fault {
        Fault::FrozenPostgres => {
            postgres.freeze(true);
            sleep(lasts).await;
            postgres.freeze(false);
        }
        Fault::TerminatedBackends => {
            for _ in 0..=lasts.as_secs() {
                // The suite's own connections have no name. If the statement fails, so does that of another.
                let half = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                            WHERE datname = current_database() AND application_name <> '' AND random() < 0.5";
                let _ = sqlx::query(half).execute(stage.database.pool()).await;
                sleep(Duration::from_secs(1)).await;
            }
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
}

async fn hit_link(stage: &Stage, link: Link, fault: Fault, lasts: Duration) {
    let network = stage.link(link);
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
    if matches!(fault, Fault::HalfOpenLink(..)) {
        // As it ends in life: what was on its way is lost.
        network.reset_connections();
    }
    network.pass(Traffic::Flows);
    network.admit(true);
}

/// Without a consumer, and with a limit that a policy lowers: from the twentieth message on the broker refuses.
async fn fill_queue(stage: &Stage, lasts: Duration) {
    let mut consumers = Vec::new();
    for replica in PROGRAMS.into_iter().filter(|replica| replica.program == CONSUMER) {
        consumers.push(stage.program(replica).await);
    }
    for consumer in &mut consumers {
        consumer.kill();
    }
    let host = stage.broker().virtual_host();
    let pattern = r"^audit\.events$";
    let mut node = stage.node(0).await;
    node.control(&["set_policy", "-p", host, FULL_POLICY, pattern, FULL, "--apply-to", "queues"]).await;
    sleep(lasts).await;
    node.control(&["clear_policy", "-p", host, FULL_POLICY]).await;
    for consumer in &mut consumers {
        consumer.start_again();
    }
}

/// Nothing is sent while the queue is away, see [`messages::replace_the_empty_queue`]; its consumers must find the new one.
async fn delete_queue(stage: &Stage, witness: &Witness, notes: &Notes, lasts: Duration) {
    // With the programs restarting, the trail may take a while to be complete.
    stage.wait_until_ready().await;
    if messages::replace_the_empty_queue(stage, witness, notes).await {
        sleep(lasts).await;
    } else {
        notes.left_out("the queue of the trail did not become empty, and was not deleted");
    }
}

/// Facts of jobs alone: those of tasks and sessions also go to queues of the API's replicas, so that the broker returns
/// none of them (`docs/FAULTS.md`, "What it found").
const RETURNED: &str = "job.events";

async fn remove_binding(stage: &Stage, witness: &Witness, lasts: Duration) {
    witness.look_away(&[RETURNED]).await;
    let began = Instant::now();
    // So long that some facts come, are returned, and parked; a program that connects anew makes the binding again.
    while began.elapsed() < Duration::from_secs(3) + lasts {
        messages::unbind(stage, RETURNED).await;
        sleep(Duration::from_millis(300)).await;
    }
    messages::declare_topology(stage).await;
    witness.look_again(&[RETURNED]).await;
}
