//! Helper commands of the project: `cargo xtask <command>`.

fn main() {}
