//! The `rewindow` command.
fn main() {}
