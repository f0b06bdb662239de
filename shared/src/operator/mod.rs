//! What the commands of operators have in common, wherever the road of a message may end (parked, in quarantine, among the
//! dead letters): what may be asked for, which of what lies there is meant, who acts and why, and how it is told.
//!
//! What lies there, and what it means to replay it, each end knows itself.

mod actor;
mod arguments;
mod batches;
mod body;
mod filter;
mod operation;
mod report;
mod table;

pub use arguments::{
    ActArguments, EndCommand, FilterArguments, ListArguments, Selection, ShowArguments, WhoArguments,
};
pub use batches::{Batch, Pick, in_batches};
pub use body::{Body, shown};
pub use filter::{Filter, TypePattern};
pub use operation::Operation;
pub use report::{Counts, Deed, NotAllDone, Report, Verb, print, print_list};
pub use table::{cell, columns, harmless, instant, json_lines};
