//! Compiles the one C file: what is variadic cannot be written in stable Rust.

fn main() {
    println!("cargo::rerun-if-changed=src/log_message.c");
    cc::Build::new().file("src/log_message.c").flag("-fvisibility=hidden").warnings_into_errors(true).compile("oxkeeper_log_message");
}
