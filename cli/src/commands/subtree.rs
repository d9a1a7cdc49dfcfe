//! Commands for whole subtrees that Java's zkCli does not have: `tree`, `export`, `import`.
//!
//! An export is JSON, a line for each znode, parents before children, and a first line that says what it is. Paths are
//! relative to the exported znode, which is the empty path, so that an import may put it elsewhere. The last line tells
//! the number of znodes: an export that was cut off is not imported. It is no snapshot: znodes that change meanwhile are
//! exported as they are when their turn comes.

use super::read::data_member;
use super::{Arguments, Context, acl, walk};
use crate::failure::{CallError, Failure, system_text};
use crate::{path, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oxkeeper_driver::client::{CreateMode, Operation, reply, wire_text};
use oxkeeper_driver::{Acl, Pending};
use oxkeeper_proto::ErrorCode;
use oxkeeper_proto::path::SYSTEM;
use oxkeeper_proto::records::Stat;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};

/// What the first line of an export says.
const FORMAT: &str = "oxkeeper-export";
const FORMAT_VERSION: u64 = 1;
/// Znodes on their way at once.
const WINDOW: usize = 256;
/// The owner of a container, as its Stat shows it.
const CONTAINER_OWNER: i64 = i64::MIN;
/// What the highest byte of the owner of a TTL znode is; the time to live is in the lowest five.
const TTL_MARK: u64 = 0xff;
const TTL_MASK: i64 = 0xff_ffff_ffff;

pub(super) fn tree(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let root = arguments.word(1);
    let depth: usize = arguments
        .given
        .value("d")
        .map_or(Ok(usize::MAX), |depth| text::java_number(depth, 10))
        .map_err(|_| Failure::refused("-d argument must be a number"))?;
    let mut count = 0u64;
    walk::depth_first(context.session, root, depth, &mut |branch| {
        count += 1;
        let stat = if arguments.given.has("s") { context.session.exists(&branch.path, false)? } else { None };
        let text = || {
            let mut line = String::new();
            if let Some((is_last, above)) = branch.is_last.split_last() {
                above.iter().for_each(|is_last| line += if *is_last { "    " } else { "│   " });
                line += if *is_last { "└── " } else { "├── " };
            }
            line += &branch.name;
            if let Some(stat) = &stat {
                line += &format!("  ({} bytes, version {}{})", stat.data_length, stat.version, owner_text(stat));
            }
            line
        };
        context.say(text, || context.object(json!({"path": branch.path, "depth": branch.is_last.len()}), stat.as_ref()));
        Ok(())
    })?;
    if !context.console.is_json {
        context.console.line(&format!("{count} znode{}", if count == 1 { "" } else { "s" }));
    }
    Ok(())
}

fn owner_text(stat: &Stat) -> String {
    match Kind::of(stat.ephemeral_owner) {
        Kind::Persistent => String::new(),
        Kind::Container => ", container".to_owned(),
        Kind::Ttl(ttl_ms) => format!(", ttl {ttl_ms} ms"),
        Kind::Ephemeral(session) => format!(", ephemeral of {session:#x}"),
    }
}

/// What kind of znode an owner makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Persistent,
    Container,
    Ttl(i64),
    Ephemeral(i64),
}

impl Kind {
    fn of(owner: i64) -> Self {
        match owner {
            0 => Self::Persistent,
            CONTAINER_OWNER => Self::Container,
            _ if owner as u64 >> 56 == TTL_MARK => Self::Ttl(owner & TTL_MASK),
            _ => Self::Ephemeral(owner),
        }
    }
}

pub(super) fn export(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let root = arguments.word(1);
    path::validate(root, false).map_err(CallError::Path)?;
    let file = arguments.given.words.get(2);
    let mut out: Box<dyn Write> = match file {
        Some(name) => Box::new(BufWriter::new(File::create(name).map_err(|error| cannot("write", name, &error))?)),
        None => Box::new(Lines(context)),
    };
    let name = file.map_or("standard output", String::as_str);
    let mut exporter = Exporter {
        context,
        root,
        with_ephemerals: arguments.given.has("e"),
        on_their_way: VecDeque::new(),
        count: 0,
        out: &mut *out,
        name,
    };
    exporter.line(&json!({"format": FORMAT, "version": FORMAT_VERSION, "root": root}))?;
    walk::visit(context.session, root, false, &mut |path| {
        // The server's own nodes are not for another one.
        if is_system(root, path) { Ok(()) } else { exporter.ask(path) }
    })?;
    while !exporter.on_their_way.is_empty() {
        exporter.take()?;
    }
    let count = exporter.count;
    exporter.line(&json!({"end": count}))?;
    out.flush().map_err(|error| cannot("write", name, &error))?;
    if let Some(name) = file {
        context.say(|| format!("Exported {count} znodes of {root} to {name}"), || json!({"exported": count, "path": root, "file": name}));
    }
    Ok(())
}

fn is_system(root: &str, path: &str) -> bool {
    let below = path.strip_prefix(SYSTEM).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below && !root.starts_with(SYSTEM)
}

/// The console as a file.
struct Lines<'a>(&'a Context<'a>);

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.console.print(&text::data(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.console.flush();
        Ok(())
    }
}

struct Exporter<'a> {
    context: &'a Context<'a>,
    root: &'a str,
    with_ephemerals: bool,
    on_their_way: VecDeque<(String, Pending, Pending)>,
    count: u64,
    out: &'a mut dyn Write,
    name: &'a str,
}

impl Exporter<'_> {
    fn ask(&mut self, path: &str) -> Result<(), Failure> {
        if self.on_their_way.len() == WINDOW {
            self.take()?;
        }
        let wire = wire_text(path);
        let data = self.context.session.send(&Operation::GetData { path: &wire, watch: None }, path)?;
        let acl = self.context.session.send(&Operation::GetAcl { path: &wire }, path)?;
        self.on_their_way.push_back((path.to_owned(), data, acl));
        Ok(())
    }

    fn take(&mut self) -> Result<(), Failure> {
        let Some((path, data, acl)) = self.on_their_way.pop_front() else { return Ok(()) };
        let at = self.context.session.at(&path);
        let (data, acl) = match (data.wait().map_err(&at), acl.wait().map_err(&at)) {
            (Err(error), _) | (_, Err(error)) if error.is(ErrorCode::NO_NODE) => return Ok(()),
            (data, acl) => (data?, acl?),
        };
        let broken = |_| CallError::Keeper(ErrorCode::MARSHALLING_ERROR, Some(path.clone()));
        let (data, stat) = reply::data(&data).map_err(broken)?;
        let (entries, _) = reply::acl(&acl).map_err(broken)?;
        let kind = Kind::of(stat.ephemeral_owner);
        if matches!(kind, Kind::Ephemeral(_)) && !self.with_ephemerals {
            return Ok(());
        }
        let entries: Vec<Acl> = entries
            .iter()
            .map(|entry| Acl { perms: entry.perms, scheme: text::data(entry.scheme).into_owned(), id: text::data(entry.id).into_owned() })
            .collect();
        let relative = if self.root == "/" { path.trim_end_matches('/') } else { &path[self.root.len()..] };
        let (key, data) = data_member(data, false);
        let mut object = Map::from_iter([("path".to_owned(), relative.into()), (key.to_owned(), data)]);
        object.insert("acl".to_owned(), acl::value(&entries));
        match kind {
            Kind::Persistent => {}
            Kind::Container => drop(object.insert("container".to_owned(), true.into())),
            Kind::Ttl(ttl_ms) => drop(object.insert("ttlMs".to_owned(), ttl_ms.into())),
            Kind::Ephemeral(session) => drop(object.insert("ephemeral".to_owned(), format!("{session:#x}").into())),
        }
        self.count += 1;
        self.line(&Value::Object(object))
    }

    fn line(&mut self, value: &Value) -> Result<(), Failure> {
        writeln!(self.out, "{value}").map_err(|error| cannot("write", self.name, &error))
    }
}

fn cannot(what: &str, file: &str, error: &io::Error) -> Failure {
    Failure::refused(format!("Cannot {what} {file}: {}", system_text(error)))
}

/// A line of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    path: String,
    data: Option<Vec<u8>>,
    acl: Vec<Acl>,
    kind: Kind,
}

impl Node {
    /// Reads a line; the error says what is wrong with it.
    fn parse(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let path = value["path"].as_str().ok_or("no \"path\"")?.to_owned();
        if !path.is_empty() {
            path::validate(&path, false)?;
        }
        let data = match (&value["data"], &value["dataBase64"]) {
            (Value::String(text), Value::Null) => Some(text.as_bytes().to_vec()),
            (Value::Null, Value::String(encoded)) => Some(STANDARD.decode(encoded).map_err(|error| format!("\"dataBase64\": {error}"))?),
            (Value::Null, Value::Null) => None,
            _ => return Err("\"data\" and \"dataBase64\": one of them, as text".to_owned()),
        };
        let entries = value["acl"].as_array().ok_or("no \"acl\"")?;
        let acl = entries.iter().map(acl_entry).collect::<Option<Vec<Acl>>>().filter(|acl| !acl.is_empty());
        let acl = acl.ok_or("an \"acl\" has entries with \"scheme\", \"id\" and \"perms\"")?;
        let ttl_ms = value["ttlMs"].as_i64();
        let kind = match ttl_ms {
            Some(ttl_ms) if (1..=TTL_MASK).contains(&ttl_ms) => Kind::Ttl(ttl_ms),
            Some(ttl_ms) => return Err(format!("\"ttlMs\" of {ttl_ms}")),
            None if value["container"] == true => Kind::Container,
            None if !value["ephemeral"].is_null() => Kind::Ephemeral(0),
            None => Kind::Persistent,
        };
        Ok(Self { path, data, acl, kind })
    }
}

fn acl_entry(value: &Value) -> Option<Acl> {
    let (scheme, id, letters) = (value["scheme"].as_str()?, value["id"].as_str()?, value["perms"].as_str()?);
    let mut complaints = Vec::new();
    let parsed = text::parse_acl(&format!("s:i:{letters}"), &mut complaints);
    let perms = parsed.first().filter(|_| complaints.is_empty())?.perms;
    Some(Acl { perms, scheme: scheme.to_owned(), id: id.to_owned() })
}

pub(super) fn import(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let (name, root) = (arguments.word(1), arguments.word(2));
    path::validate(root, false).map_err(CallError::Path)?;
    if name != "-" {
        // Nothing is imported of a file that is damaged anywhere.
        read_nodes(name, |_| Ok(()))?;
    }
    let mut importer = Importer {
        context,
        root,
        replaces: arguments.given.has("f"),
        keeps_acl: !arguments.given.has("n"),
        on_their_way: VecDeque::new(),
        outcome: Outcome::default(),
    };
    read_nodes(name, |node| importer.node(node))?;
    while !importer.on_their_way.is_empty() {
        importer.take()?;
    }
    let Outcome { created, replaced, skipped } = importer.outcome;
    context.say(
        || format!("Imported {created} znodes into {root}, replaced {replaced}, left out {skipped} ephemeral ones"),
        || json!({"path": root, "created": created, "replaced": replaced, "skipped": skipped}),
    );
    Ok(())
}

/// Reads an export and hands its znodes on, in order.
fn read_nodes(name: &str, mut each: impl FnMut(Node) -> Result<(), Failure>) -> Result<(), Failure> {
    let source: Box<dyn io::Read> = match name {
        "-" => Box::new(io::stdin()),
        _ => Box::new(File::open(name).map_err(|error| cannot("read", name, &error))?),
    };
    let mut count = 0u64;
    let mut end = None;
    for (at, line) in BufReader::new(source).lines().enumerate() {
        let wrong = |reason: String| Failure::refused(format!("{name}, line {}: {reason}", at + 1));
        let line = line.map_err(|error| cannot("read", name, &error))?;
        if at == 0 {
            let header: Value = serde_json::from_str(&line).unwrap_or_default();
            if header["format"] != FORMAT || header["version"] != FORMAT_VERSION {
                return Err(wrong(format!("no export of version {FORMAT_VERSION}: it would begin with {{\"format\":\"{FORMAT}\",...}}")));
            }
        } else if end.is_some() {
            return Err(wrong("something follows the end".to_owned()));
        } else if line.starts_with("{\"end\":") {
            end = serde_json::from_str::<Value>(&line).ok().and_then(|value| value["end"].as_u64());
            if end != Some(count) {
                return Err(wrong(format!("{count} znodes have come, and there should be {}", end.unwrap_or(0))));
            }
        } else {
            each(Node::parse(&line).map_err(wrong)?)?;
            count += 1;
        }
    }
    end.map(drop).ok_or_else(|| Failure::refused(format!("{name} was cut off after {count} znodes: export it again")))
}

#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    created: u64,
    replaced: u64,
    skipped: u64,
}

struct Importer<'a> {
    context: &'a Context<'a>,
    root: &'a str,
    replaces: bool,
    keeps_acl: bool,
    on_their_way: VecDeque<(String, Node, Pending)>,
    outcome: Outcome,
}

impl Importer<'_> {
    /// Sends a znode on its way. One session's requests are done in order, so a parent is there before its children.
    fn node(&mut self, node: Node) -> Result<(), Failure> {
        if self.on_their_way.len() == WINDOW {
            self.take()?;
        }
        let (mode, ttl_ms) = match node.kind {
            Kind::Persistent => (CreateMode::PERSISTENT, -1),
            Kind::Container => (CreateMode::CONTAINER, -1),
            Kind::Ttl(ttl_ms) => (CreateMode::PERSISTENT_WITH_TTL, ttl_ms),
            Kind::Ephemeral(_) => {
                self.outcome.skipped += 1;
                return Ok(());
            }
        };
        let path = match (self.root, node.path.as_str()) {
            (root, "") => root.to_owned(),
            ("/", below) => below.to_owned(),
            (root, below) => format!("{root}{below}"),
        };
        // The root is always there.
        if path == "/" {
            return if self.replaces { self.replace(&path, &node) } else { Ok(()) };
        }
        let acl = self.acl(&node);
        let acl = wire_acl(&acl);
        let pending = self.context.session.send(
            &Operation::Create {
                path: &wire_text(&path),
                data: node.data.as_deref(),
                acl: Some(
                    &acl.iter()
                        .map(|(perms, scheme, id)| oxkeeper_driver::client::AclRef { perms: *perms, scheme, id })
                        .collect::<Vec<_>>(),
                ),
                mode,
                ttl_ms,
                with_stat: false,
            },
            &path,
        )?;
        self.on_their_way.push_back((path, node, pending));
        Ok(())
    }

    fn acl(&self, node: &Node) -> Vec<Acl> {
        if self.keeps_acl { node.acl.clone() } else { Acl::open() }
    }

    fn take(&mut self) -> Result<(), Failure> {
        let Some((path, node, pending)) = self.on_their_way.pop_front() else { return Ok(()) };
        match pending.wait() {
            Ok(_) => self.outcome.created += 1,
            Err(error) if error.code() == ErrorCode::NODE_EXISTS && self.replaces => self.replace(&path, &node)?,
            Err(error) => return Err(self.context.session.at(&path)(error).into()),
        }
        Ok(())
    }

    fn replace(&mut self, path: &str, node: &Node) -> Result<(), Failure> {
        self.context.session.set(path, node.data.as_deref().unwrap_or_default(), -1)?;
        self.context.session.set_acl(path, &self.acl(node), -1)?;
        self.outcome.replaced += 1;
        Ok(())
    }
}

/// The bytes of an ACL as they go over the wire.
fn wire_acl(acl: &[Acl]) -> Vec<(i32, Vec<u8>, Vec<u8>)> {
    acl.iter().map(|entry| (entry.perms, wire_text(&entry.scheme).into_owned(), wire_text(&entry.id).into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_tell_the_kind() {
        for (owner, kind) in [
            (0, Kind::Persistent),
            (i64::MIN, Kind::Container),
            (0xff00_0000_0000_03e8_u64 as i64, Kind::Ttl(1000)),
            (0x0100_0000_0000_0001, Kind::Ephemeral(0x0100_0000_0000_0001)),
        ] {
            assert_eq!(Kind::of(owner), kind);
        }
    }

    #[test]
    fn lines_of_an_export_are_checked() {
        let acl = r#""acl":[{"scheme":"world","id":"anyone","perms":"cr"}]"#;
        let node = Node::parse(&format!(r#"{{"path":"/a","dataBase64":"/w==","ttlMs":5,{acl}}}"#)).expect("good");
        let perms = oxkeeper_proto::perms::CREATE | oxkeeper_proto::perms::READ;
        let expected = Acl { perms, scheme: "world".into(), id: "anyone".into() };
        assert_eq!(node, Node { path: "/a".into(), data: Some(vec![0xff]), acl: vec![expected], kind: Kind::Ttl(5) });
        for (line, reason) in [
            ("{".to_owned(), "no JSON"),
            ("{}".to_owned(), "no \"path\""),
            (format!(r#"{{"path":"a",{acl}}}"#), "Path must start with / character"),
            (format!(r#"{{"path":"","data":"a","dataBase64":"",{acl}}}"#), "one of them"),
            (format!(r#"{{"path":"","dataBase64":"?",{acl}}}"#), "\"dataBase64\": "),
            (r#"{"path":"","data":"a"}"#.to_owned(), "no \"acl\""),
            (r#"{"path":"","data":"a","acl":[]}"#.to_owned(), "an \"acl\" has entries"),
            (r#"{"path":"","data":"a","acl":[{"scheme":"world","id":"anyone","perms":"z"}]}"#.to_owned(), "an \"acl\" has entries"),
            (format!(r#"{{"path":"","ttlMs":0,{acl}}}"#), "\"ttlMs\" of 0"),
        ] {
            let error = Node::parse(&line).expect_err(&line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
