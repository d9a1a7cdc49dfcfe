//! Bindings that others wrote in C and C++, compiled against our headers: npm's `zookeeper` with its bundled client replaced, and
//! PyPI's `zkpython`. `cargo xtask prerequisites` fetches their sources by name; each is compiled once and run on
//! Debian's library and on ours, and must not see a difference. With `OXKEEPER_CASES=all` on Java's servers, too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use oxkeeper_compat_tests::c_library::{Maker, Threading, installed, on, output, output_within, prepared};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, workspace};

const PATIENCE: Duration = Duration::from_secs(90);

fn scripts(binding: &str) -> PathBuf {
    workspace().join("compat-tests/c/bindings").join(binding)
}

/// Whose servers the bindings are run against.
fn servers() -> &'static [Subject] {
    let is_long = std::env::var("OXKEEPER_CASES").as_deref() == Ok("all");
    if is_long { &[Subject::Oxkeeper, Subject::Java39, Subject::Java38] } else { &[Subject::Oxkeeper] }
}

/// What a program says on one maker's library.
fn transcript(command: &mut Command, server: &Server) -> String {
    let (code, text) = output_within(command.arg(server.address().to_string()), PATIENCE);
    assert_eq!(code, 0, "{command:?}:\n{text}");
    text
}

/// Node's headers, which come with it or with Debian's `libnode-dev`.
fn node_headers() -> PathBuf {
    let node = PathBuf::from(output(Command::new("node").args(["-p", "process.execPath"])).trim());
    let beside = node.parent().and_then(Path::parent).map(|prefix| prefix.join("include/node"));
    let places = beside.into_iter().chain([PathBuf::from("/usr/include/node")]);
    places.into_iter().find(|place| place.join("node.h").exists()).expect("node.h: run `cargo xtask prerequisites`")
}

/// The addon as its own build makes it, save that the client is ours: from the archive, and from the shared library, which can be
/// exchanged for Debian's.
#[test]
fn the_node_addon_sees_no_difference() {
    let modules = prepared("capi-node").join("node_modules");
    let directory = TemporaryDirectory::new();
    let object = directory.path.join("addon.o");
    let mut compile = Command::new("g++");
    compile.args(["-std=c++20", "-O0", "-w", "-fPIC", "-c", "-DNODE_GYP_MODULE_NAME=zookeeper", "-DBUILDING_NODE_EXTENSION"]);
    compile.arg("-I").arg(node_headers()).arg("-I").arg(modules.join("nan"));
    compile.arg("-I").arg(Maker::Ours.headers(Threading::Single));
    output(compile.arg(modules.join("zookeeper/src/node-zk.cpp")).arg("-o").arg(&object));

    let mut transcripts = Vec::new();
    let archive = installed().join("lib/libzookeeper_st.a");
    for (name, library) in [("shared", Maker::Ours.library(Threading::Single)), ("archive", archive)] {
        let place = directory.path.join(name).join("build/Release");
        std::fs::create_dir_all(&place).expect("a directory");
        let mut link = Command::new("g++");
        link.arg("-shared").arg(&object).arg(library).arg("-o").arg(place.join("zookeeper.node"));
        output(link.args(["-lpthread", "-ldl", "-lm", "-lgcc_s"]));
        let makers: &[Maker] = if name == "shared" { &[Maker::Original, Maker::Ours] } else { &[Maker::Ours] };
        for (maker, subject) in makers.iter().flat_map(|maker| servers().iter().map(move |subject| (maker, subject))) {
            let server = Server::start(*subject, &Options::usual());
            let mut node = on(Path::new("node"), Threading::Single, *maker);
            node.env("ZOOKEEPER_PREBUILD", directory.path.join(name));
            node.arg(scripts("node").join("observe.js")).arg(&modules);
            transcripts.push((name, maker, subject, transcript(&mut node, &server)));
        }
    }
    let expected = &transcripts[0].3;
    assert!(expected.lines().count() > 25, "{expected}");
    for (name, maker, subject, text) in &transcripts[1..] {
        assert_eq!(expected, text, "{name} {maker:?} {subject}");
    }
}

/// Lengths of strings were ints before Python 3.10: what stands in zkpython's source, what is put there, and how often.
const LENGTHS: &[(&str, &str, usize)] = &[
    ("int valuelen;", "Py_ssize_t valuelen;", 2),
    ("int buflen;", "Py_ssize_t buflen;", 3),
    ("int certLen;", "Py_ssize_t certLen;", 1),
    ("value,value_len", "value,(Py_ssize_t)value_len", 1),
    ("buffer,buffer_len", "buffer,(Py_ssize_t)buffer_len", 1),
];

#[test]
fn the_python_module_sees_no_difference() {
    let package = prepared("capi-python").join("zkpython");
    let mut source = std::fs::read_to_string(package.join("zookeeper.c")).expect("zkpython's source");
    for (old, new, count) in LENGTHS {
        assert_eq!(source.matches(old).count(), *count, "{old}");
        source = source.replace(old, new);
    }
    let directory = TemporaryDirectory::new();
    let patched = directory.path.join("zkpython.c");
    std::fs::write(&patched, source).expect("written");
    let headers = output(Command::new("python3").args(["-c", "import sysconfig; print(sysconfig.get_paths()['include'])"]));
    let mut compile = Command::new("gcc");
    compile.args(["-O0", "-w", "-fPIC", "-shared", "-DTHREADED"]).arg(format!("-DBINDING=\"{}\"", patched.display()));
    compile.arg("-I").arg(headers.trim()).arg("-I").arg(&package).arg("-I").arg(Maker::Ours.headers(Threading::Multi));
    compile.arg(scripts("python").join("module.c")).arg(Maker::Ours.library(Threading::Multi));
    output(compile.arg("-o").arg(directory.path.join("zookeeper.so")));

    let mut transcripts = Vec::new();
    for (maker, subject) in [Maker::Original, Maker::Ours].iter().flat_map(|maker| servers().iter().map(move |subject| (maker, subject))) {
        let server = Server::start(*subject, &Options::usual());
        let mut python = on(Path::new("python3"), Threading::Multi, *maker);
        python.arg(scripts("python").join("observe.py")).arg(&directory.path);
        transcripts.push((maker, subject, transcript(&mut python, &server)));
    }
    let expected = &transcripts[0].2;
    assert!(expected.lines().count() > 35, "{expected}");
    for (maker, subject, text) in &transcripts[1..] {
        assert_eq!(expected, text, "{maker:?} {subject}");
    }
}
