//! C: the header `zookeeper.jute.h`, the same structures in Rust with their allocators, and the functions that carry
//! them through archives. What an archive is belongs to `capi/archive`.

use crate::{Class, JuteFile, Kind};
use std::collections::BTreeSet;
use std::fmt::Write;

/// One thing that the header declares, in the order in which C needs it.
enum Item<'a> {
    /// `struct T_vector`, right before the first record that has one.
    Vector(&'a Kind),
    /// `struct T`.
    Record(&'a Class),
}

/// `zookeeper.jute.h`.
pub fn header(file: &JuteFile) -> String {
    let mut out = String::from(
        "/*\n \
         * The records of ZooKeeper's protocol and files as C structures.\n \
         * Written by `cargo xtask jute` from crates/proto/zookeeper.jute: edit that file, not this one.\n \
         *\n \
         * allocate_X_vector and deallocate_X use malloc and free. The serialize_ and deserialize_ functions are in the\n \
         * static archives only.\n \
         */\n\
         #ifndef __ZOOKEEPER_JUTE__\n#define __ZOOKEEPER_JUTE__\n\n#include \"recordio.h\"\n\n\
         #ifdef __cplusplus\nextern \"C\" {\n#endif\n",
    );
    for item in items(file) {
        let name = item.name();
        line(&mut out, format_args!("\nstruct {name} {{"));
        match &item {
            Item::Vector(element) => {
                line(&mut out, format_args!("    int32_t count;\n    {}*data;", c_type(element)));
            }
            Item::Record(class) => {
                for field in &class.fields {
                    line(&mut out, format_args!("    {}{};", c_type(&field.kind), field.name));
                }
            }
        }
        line(&mut out, format_args!("}};"));
        line(&mut out, format_args!("int serialize_{name}(struct oarchive *out, const char *tag, struct {name} *v);"));
        line(&mut out, format_args!("int deserialize_{name}(struct iarchive *in, const char *tag, struct {name} *v);"));
        match item {
            Item::Vector(_) => {
                line(&mut out, format_args!("int allocate_{name}(struct {name} *v, int32_t len);"));
                line(&mut out, format_args!("int deallocate_{name}(struct {name} *v);"));
            }
            Item::Record(_) => line(&mut out, format_args!("void deallocate_{name}(struct {name} *v);")),
        }
    }
    out.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    out
}

/// The structures in Rust with the functions that give and take back their memory, as calls of the macros in
/// `capi/src/memory.rs`.
pub fn rust_structures(file: &JuteFile) -> String {
    let mut out = String::from(
        "//! Written by `cargo xtask jute` from `zookeeper.jute`: the records as C structures.\n\n\
         use crate::memory::{Buffer, deallocate_Buffer, deallocate_String};\nuse std::ffi::c_char;\n",
    );
    for item in items(file) {
        let name = item.name();
        match item {
            Item::Vector(element) => line(
                &mut out,
                format_args!(
                    "\nvector!({name} of {}, allocate_{name}, deallocate_{name}, {});",
                    rust_type(element),
                    deallocator(element).unwrap_or_default()
                ),
            ),
            Item::Record(class) => {
                line(&mut out, format_args!("\nrecord!({name}, deallocate_{name} {{"));
                for field in &class.fields {
                    let free = deallocator(&field.kind).map(|free| format!(" => {free}")).unwrap_or_default();
                    line(&mut out, format_args!("    {}: {}{free},", rust_field(field), rust_type(&field.kind)));
                }
                line(&mut out, format_args!("}});"));
            }
        }
    }
    out
}

/// The functions that carry the structures through archives, as calls of the macros in `capi/archive/src/lib.rs`.
pub fn rust_archive(file: &JuteFile) -> String {
    let mut out = String::from(
        "//! Written by `cargo xtask jute` from `zookeeper.jute`: the records in archives.\n\n\
         use oxkeeper_capi::records::*;\n",
    );
    for item in items(file) {
        let name = item.name();
        match item {
            Item::Vector(element) => line(
                &mut out,
                format_args!("\nvector!({name}, serialize_{name}, deserialize_{name}, allocate_{name}, {});", archive_kind(element)),
            ),
            Item::Record(class) => {
                line(&mut out, format_args!("\nrecord!({name}, serialize_{name}, deserialize_{name} {{"));
                for field in &class.fields {
                    line(&mut out, format_args!("    {} {},", archive_kind(&field.kind), rust_field(field)));
                }
                line(&mut out, format_args!("}});"));
            }
        }
    }
    out
}

/// The archive's member for a primitive, the pair of functions for all else.
fn archive_kind(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "boolean".to_owned(),
        Kind::Int => "int".to_owned(),
        Kind::Long => "long".to_owned(),
        Kind::Buffer => "buffer".to_owned(),
        Kind::Ustring => "string".to_owned(),
        Kind::Vector(_) | Kind::Record(_) => format!("[serialize_{0} deserialize_{0}]", c_name(kind)),
    }
}

/// `type` is a member of C structures and a keyword of Rust.
fn rust_field(field: &crate::Field) -> String {
    if field.name == "type" { "r#type".to_owned() } else { field.name.to_string() }
}

fn items(file: &JuteFile) -> Vec<Item<'_>> {
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for class in file.modules.iter().flat_map(|m| &m.classes) {
        for field in &class.fields {
            if let Kind::Vector(element) = &field.kind
                && seen.insert(c_name(&field.kind))
            {
                items.push(Item::Vector(element));
            }
        }
        items.push(Item::Record(class));
    }
    items
}

impl Item<'_> {
    fn name(&self) -> String {
        match self {
            Item::Vector(element) => format!("{}_vector", c_name(element)),
            Item::Record(class) => class.name.to_string(),
        }
    }
}

fn c_name(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "Bool".to_owned(),
        Kind::Int => "Int".to_owned(),
        Kind::Long => "Long".to_owned(),
        Kind::Ustring => "String".to_owned(),
        Kind::Buffer => "Buffer".to_owned(),
        Kind::Vector(element) => format!("{}_vector", c_name(element)),
        Kind::Record(name) => name.to_string(),
    }
}

/// The type with what stands between it and the member's name.
fn c_type(kind: &Kind) -> String {
    match kind {
        Kind::Boolean | Kind::Int => "int32_t ".to_owned(),
        Kind::Long => "int64_t ".to_owned(),
        Kind::Ustring => "char *".to_owned(),
        Kind::Buffer => "struct buffer ".to_owned(),
        Kind::Vector(_) | Kind::Record(_) => format!("struct {} ", c_name(kind)),
    }
}

fn rust_type(kind: &Kind) -> String {
    match kind {
        Kind::Boolean | Kind::Int => "i32".to_owned(),
        Kind::Long => "i64".to_owned(),
        Kind::Ustring => "*mut c_char".to_owned(),
        Kind::Buffer => "Buffer".to_owned(),
        Kind::Vector(_) | Kind::Record(_) => c_name(kind),
    }
}

fn deallocator(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Boolean | Kind::Int | Kind::Long => None,
        _ => Some(format!("deallocate_{}", c_name(kind))),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_what_the_idl_says() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let idl = std::fs::read_to_string(format!("{root}/crates/proto/zookeeper.jute")).unwrap();
        let file = crate::parse(&idl).unwrap();
        for (path, text) in [
            ("include/zookeeper/zookeeper.jute.h", header(&file)),
            ("capi/src/records.rs", rust_structures(&file)),
            ("capi/archive/src/records.rs", rust_archive(&file)),
        ] {
            let committed = std::fs::read_to_string(format!("{root}/{path}")).unwrap();
            assert!(committed == text, "{path} is stale: run `cargo xtask jute`");
        }
    }

    #[test]
    fn a_vector_stands_before_the_first_record_that_has_it() {
        let file = crate::parse("module m { class A { int a; } class B { vector<A> many; vector<A> more; } }").unwrap();
        let text = header(&file);
        let order: Vec<_> = ["struct A {", "struct A_vector {", "struct B {"].iter().map(|s| text.find(s).unwrap()).collect();
        assert!(order.is_sorted());
        assert_eq!(text.matches("struct A_vector {").count(), 1);
    }
}
