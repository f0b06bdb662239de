//! The migrations are part of this crate: a new file among them is a reason to build it again.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
