//! The jobs, each a small file with a verb name: idempotent, in batches, with a limit on everything.
//!
//! A job folder sees `shared` and what stands in this room, nothing else of the scheduler. To add a job, write its
//! file and name it in [`all`].

mod audit;
mod batches;
mod job;
mod mail;
mod outbox;
mod printer;
mod runs;
mod tasks;
mod tokens;

pub use audit::{drop_partitions, make_partitions};
pub use job::{Definition, Job, JobContext, JobError, JobResult};
pub use mail::{
    MailConfig, Mailer, config as mail_config, purge as purge_mail, send as send_mail, smtp_config,
};
pub use outbox::purge_parked_ticks;
pub use printer::Printer;
pub use runs::purge_runs;
pub use tasks::print_user_tasks;
pub use tokens::purge_expired;

use shared::entropy::Entropy;

/// Every job of this build; mails leave by `mailer`, the secrets in them come from `entropy`.
pub fn all(mailer: Mailer, entropy: Entropy) -> Vec<Job> {
    vec![
        print_user_tasks::job(),
        purge_expired::job(),
        make_partitions::job(),
        drop_partitions::job(),
        send_mail::job(mailer, entropy),
        purge_mail::job(),
        purge_runs::job(),
        purge_parked_ticks::job(),
    ]
}
