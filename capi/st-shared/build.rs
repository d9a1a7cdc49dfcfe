//! Gives the shared library its SONAME: programs that were linked with the original ask for it by this name.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libzookeeper_st.so.2");
}
