//! Whose a task is that somebody asked for.

/// What was found under an id for one user. Whoever asks is told the same of the last two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned<T> {
    /// His own.
    Own(T),
    /// Another user's.
    Anothers,
    /// Nothing.
    Missing,
}
