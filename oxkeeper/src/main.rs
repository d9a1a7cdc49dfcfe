//! The oxkeeper program: only dispatches to the libraries.

fn main() {}
