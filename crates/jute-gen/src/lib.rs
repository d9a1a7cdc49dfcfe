//! The IDL: reads a `.jute` file and writes Rust records, and the C library's structures.
//!
//! A record becomes a struct with one public field per jute field and an implementation of
//! `crate::jute::Record`. What the bytes of a primitive look like belongs to `oxkeeper-proto`.

#![forbid(unsafe_code)]

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::collections::BTreeMap;
use std::fmt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, Token, braced};

pub mod c;

/// A whole `.jute` file.
pub struct JuteFile {
    /// The modules in the order of the file.
    pub modules: Vec<Module>,
}

/// `module name { class ... }`
pub struct Module {
    /// The last part of the Java package: `data`, `proto`, `txn` ...
    pub name: Ident,
    /// The records in the order of the file.
    pub classes: Vec<Class>,
}

/// `class Name { type field; ... }`
pub struct Class {
    /// The record's name as the `.jute` file has it.
    pub name: Ident,
    /// The fields in wire order.
    pub fields: Vec<Field>,
}

/// `type name;`
pub struct Field {
    /// The field's jute type.
    pub kind: Kind,
    /// The field's name as the `.jute` file has it (camel case).
    pub name: Ident,
}

/// A jute type.
#[derive(Clone)]
pub enum Kind {
    /// One byte, 0 or 1.
    Boolean,
    /// Four bytes, big-endian, signed.
    Int,
    /// Eight bytes, big-endian, signed.
    Long,
    /// A length and UTF-8 bytes; may be null.
    Ustring,
    /// A length and bytes; may be null.
    Buffer,
    /// A count and elements; may be null.
    Vector(Box<Kind>),
    /// Another record.
    Record(Ident),
}

/// Where and why a `.jute` file could not be read.
#[derive(Debug)]
pub struct JuteSyntaxError(syn::Error);

impl fmt::Display for JuteSyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.span().start();
        write!(f, "line {}, column {}: {}", at.line, at.column + 1, self.0)
    }
}

impl std::error::Error for JuteSyntaxError {}

/// Reads the text of a `.jute` file.
///
/// # Errors
/// The place and the reason of the first thing that is not jute.
pub fn parse(text: &str) -> Result<JuteFile, JuteSyntaxError> {
    syn::parse_str(text).map_err(JuteSyntaxError)
}

/// Writes the Rust module that `oxkeeper-proto` includes as `records.rs`.
pub fn rust_records(file: &JuteFile) -> String {
    let borrows = borrowing_records(file);
    let mut items = TokenStream::new();
    for module in &file.modules {
        for class in &module.classes {
            items.extend(rust_record(module, class, &borrows));
        }
    }
    let file = syn::parse2(quote! {
        use crate::jute::{JuteError, Reader, Record, Write};
        use std::borrow::Cow;
        #items
    })
    .expect("what quote builds here is Rust");
    format!(
        "//! The records, written by `cargo xtask jute` from `zookeeper.jute`: edit that file, not this one.\n\n{}",
        prettyplease::unparse(&file)
    )
}

/// For each record, whether a value of it borrows from the bytes it was read from.
fn borrowing_records(file: &JuteFile) -> BTreeMap<String, bool> {
    let mut known = BTreeMap::new();
    // Records are declared before they are used, as in C, so one pass is enough.
    for class in file.modules.iter().flat_map(|m| &m.classes) {
        let borrows = class.fields.iter().any(|f| kind_borrows(&f.kind, &known));
        known.insert(class.name.to_string(), borrows);
    }
    known
}

fn kind_borrows(kind: &Kind, known: &BTreeMap<String, bool>) -> bool {
    match kind {
        Kind::Boolean | Kind::Int | Kind::Long => false,
        Kind::Ustring | Kind::Buffer => true,
        Kind::Vector(element) => kind_borrows(element, known),
        Kind::Record(name) => known.get(&name.to_string()).copied().unwrap_or(true),
    }
}

fn rust_record(module: &Module, class: &Class, borrows: &BTreeMap<String, bool>) -> TokenStream {
    let name = rust_name(&class.name);
    let generics = if borrows[&class.name.to_string()] { quote!(<'a>) } else { quote!() };
    let copy = class.fields.iter().all(|f| matches!(f.kind, Kind::Boolean | Kind::Int | Kind::Long)).then(|| quote!(Copy,));
    let summary = format!(" `{}.{}` of the IDL.", module.name, class.name);
    let fields = class.fields.iter().map(|f| {
        let field = field_name(&f.name);
        let kind = rust_type(&f.kind, borrows);
        let doc = format!(" `{}`", f.name);
        quote! { #[doc = #doc] pub #field: #kind, }
    });
    let reads = class.fields.iter().map(|f| {
        let field = field_name(&f.name);
        let read = read_expression(&f.kind);
        quote! { #field: #read?, }
    });
    let writes = class.fields.iter().map(|f| {
        let field = field_name(&f.name);
        write_statement(&f.kind, quote!(self.#field))
    });
    quote! {
        #[doc = #summary]
        #[derive(Clone, #copy Debug, Default, PartialEq, Eq)]
        pub struct #name #generics { #(#fields)* }

        impl<'a> Record<'a> for #name #generics {
            fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
                Ok(Self { #(#reads)* })
            }
            fn write(&self, out: &mut Vec<u8>) {
                #(#writes)*
            }
        }
    }
}

fn rust_type(kind: &Kind, borrows: &BTreeMap<String, bool>) -> TokenStream {
    match kind {
        Kind::Boolean => quote!(bool),
        Kind::Int => quote!(i32),
        Kind::Long => quote!(i64),
        Kind::Ustring => quote!(Option<Cow<'a, str>>),
        Kind::Buffer => quote!(Option<&'a [u8]>),
        Kind::Vector(element) => {
            let element = rust_type(element, borrows);
            quote!(Option<Vec<#element>>)
        }
        Kind::Record(name) => {
            let rust = rust_name(name);
            if borrows.get(&name.to_string()).copied().unwrap_or(true) { quote!(#rust<'a>) } else { quote!(#rust) }
        }
    }
}

fn read_expression(kind: &Kind) -> TokenStream {
    match kind {
        Kind::Boolean => quote!(r.boolean()),
        Kind::Int => quote!(r.int()),
        Kind::Long => quote!(r.long()),
        Kind::Ustring => quote!(r.ustring()),
        Kind::Buffer => quote!(r.buffer()),
        Kind::Vector(element) => match **element {
            Kind::Long => quote!(r.vector(Reader::long)),
            Kind::Int => quote!(r.vector(Reader::int)),
            Kind::Ustring => quote!(r.vector(Reader::ustring)),
            Kind::Record(ref name) => {
                let name = rust_name(name);
                quote!(r.vector(#name::read))
            }
            _ => {
                let element = read_expression(element);
                quote!(r.vector(|r| #element))
            }
        },
        Kind::Record(name) => {
            let name = rust_name(name);
            quote!(#name::read(r))
        }
    }
}

fn write_statement(kind: &Kind, value: TokenStream) -> TokenStream {
    match kind {
        Kind::Boolean => quote!(out.boolean(#value);),
        Kind::Int => quote!(out.int(#value);),
        Kind::Long => quote!(out.long(#value);),
        Kind::Ustring => quote!(out.ustring(#value.as_deref());),
        Kind::Buffer => quote!(out.buffer(#value);),
        Kind::Vector(element) => {
            let each = match **element {
                Kind::Ustring => quote!(out.ustring(element.as_deref());),
                Kind::Record(_) => quote!(element.write(out);),
                _ => write_statement(element, quote!(*element)),
            };
            quote!(out.vector(#value.as_deref(), |out, element| { #each });)
        }
        Kind::Record(_) => quote!(#value.write(out);),
    }
}

/// `ACL` is `Acl` in Rust, `GetSASLRequest` is `GetSaslRequest`: runs of capitals are words.
fn rust_name(name: &Ident) -> Ident {
    let characters: Vec<char> = name.to_string().chars().collect();
    let mut out = String::new();
    for (i, c) in characters.iter().enumerate() {
        let after_capital = i > 0 && characters[i - 1].is_uppercase();
        let before_capital = characters.get(i + 1).is_none_or(|n| n.is_uppercase());
        if c.is_uppercase() && after_capital && before_capital {
            out.extend(c.to_lowercase());
        } else {
            out.push(*c);
        }
    }
    format_ident!("{out}")
}

fn field_name(name: &Ident) -> Ident {
    let mut out = String::new();
    for c in name.to_string().chars() {
        if c.is_uppercase() {
            out.push('_');
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    match out.as_str() {
        "type" => format_ident!("kind"),
        _ => format_ident!("{out}"),
    }
}

impl Parse for JuteFile {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut modules = Vec::new();
        while !input.is_empty() {
            modules.push(input.parse()?);
        }
        Ok(Self { modules })
    }
}

impl Parse for Module {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        keyword(input, "module")?;
        let name = input.parse()?;
        let body;
        braced!(body in input);
        let mut classes = Vec::new();
        while !body.is_empty() {
            classes.push(body.parse()?);
        }
        Ok(Self { name, classes })
    }
}

impl Parse for Class {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        keyword(input, "class")?;
        let name = input.parse()?;
        let body;
        braced!(body in input);
        let fields = Punctuated::<Field, Token![;]>::parse_terminated(&body)?.into_iter().collect();
        Ok(Self { name, fields })
    }
}

impl Parse for Field {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let kind = input.parse()?;
        // `type` is a field's name in jute and a keyword in Rust.
        let name = input.call(<Ident as syn::ext::IdentExt>::parse_any)?;
        Ok(Self { kind, name })
    }
}

impl Parse for Kind {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let word: Ident = input.parse()?;
        Ok(match word.to_string().as_str() {
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "ustring" => Kind::Ustring,
            "buffer" => Kind::Buffer,
            "vector" => {
                input.parse::<Token![<]>()?;
                let element = input.parse()?;
                input.parse::<Token![>]>()?;
                Kind::Vector(Box::new(element))
            }
            first if first.starts_with(char::is_uppercase) => Kind::Record(word),
            _ => return Err(syn::Error::new(word.span(), "not a jute type")),
        })
    }
}

fn keyword(input: ParseStream<'_>, expected: &str) -> syn::Result<()> {
    let word: Ident = input.parse()?;
    if word == expected { Ok(()) } else { Err(syn::Error::new(word.span(), format!("expected `{expected}`"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_struct_that_reads_and_writes_in_order() {
        let file = parse("module m { class SetX { ustring path; vector<long> ids; int type; } }").unwrap();
        let text = rust_records(&file);
        let order: Vec<_> = ["r.ustring()?", "r.vector(Reader::long)?", "kind: r.int()?"]
            .iter()
            .map(|part| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}")))
            .collect();
        assert!(order.is_sorted());
    }

    #[test]
    fn runs_of_capitals_are_words() {
        for (jute, rust) in [
            ("ACL", "Acl"),
            ("GetSASLRequest", "GetSaslRequest"),
            ("CreateTTLTxn", "CreateTtlTxn"),
            ("Id", "Id"),
            ("CreateTxnV0", "CreateTxnV0"),
        ] {
            assert_eq!(rust_name(&format_ident!("{jute}")), rust);
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let error = parse("module m {\n class A { real x; } }").err().unwrap().to_string();
        assert!(error.starts_with("line 2, column 12: not a jute type"), "{error}");
    }

    #[test]
    fn the_committed_records_are_what_the_idl_says() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
        let idl = std::fs::read_to_string(format!("{root}/zookeeper.jute")).unwrap();
        let committed = std::fs::read_to_string(format!("{root}/src/records.rs")).unwrap();
        assert!(committed == rust_records(&parse(&idl).unwrap()), "stale: run `cargo xtask jute`");
    }
}
