//! Stacks that a message can't exhaust.
//!
//! The headers of a message may be nested thousands deep: RabbitMQ's frames have 128 KiB unless it is told otherwise, and a level takes
//! five bytes. Our AMQP client reads them by recursion, on a thread of its own making, and an overflow aborts the process with all that
//! it has in hand: whoever may publish anything could have that. How large the stacks of others' threads are, only the environment says.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::thread;

/// Of each thread that does not say otherwise, in bytes. What is not touched takes no memory.
const VARIABLE: &str = "RUST_MIN_STACK";
/// More than twice what the deepest headers take in such a build.
const STACK_BYTES: &str = if cfg!(debug_assertions) { "536870912" } else { "134217728" };

/// Does all `work` of a program as the same process with large stacks, unless the environment has said how large they are.
pub fn with_deep_stacks(work: impl FnOnce() -> ExitCode + Send + 'static) -> ExitCode {
    if env::var_os(VARIABLE).is_none() {
        begin_anew();
    }
    // That of the main thread is somebody else's business.
    thread::spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Comes back only if it fails; then it is as without it.
fn begin_anew() {
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let _ = command.args(arguments).env(VARIABLE, STACK_BYTES).exec();
}
