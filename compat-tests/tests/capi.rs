//! The C library against Debian's original: the same symbols, the same layouts, and the same transcript of every
//! function, whoever made the library and whoever made the server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oxkeeper_compat_tests::c_library::{
    Maker, Threading, compile, compile_for_races, installed, on, output, output_within, under_valgrind, watched_for_races,
};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, workspace};

/// How long a program may take that takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Names that the library has beyond Debian's: 3.10's, and those of `zookeeper_ext.h`.
fn is_extension(name: &str, threading: Threading) -> bool {
    let header = std::fs::read_to_string(workspace().join("include/zookeeper/zookeeper_ext.h")).expect("our header");
    let (common, threaded) = header.split_once("#ifdef THREADED").expect("two parts");
    let declares = |text: &str| text.contains(&format!(" {name}("));
    name == "zoo_version_str" || declares(common) || (threading == Threading::Multi && declares(threaded))
}

/// Dynamic symbols that a library defines: name to kind, and for data its size.
fn symbols(library: &Path) -> BTreeMap<String, String> {
    let text = output(Command::new("readelf").args(["-W", "--dyn-syms"]).arg(library));
    let mut symbols = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, size, kind, binding, visibility, section, name] = words[..]
            && section != "UND"
            && matches!(kind, "FUNC" | "OBJECT")
        {
            let size = if kind == "OBJECT" { size } else { "" };
            assert_eq!((binding, visibility), ("GLOBAL", "DEFAULT"), "{name}");
            symbols.insert(name.to_owned(), format!("{kind} {size}"));
        }
    }
    assert!(symbols.len() > 100, "{}: {text}", library.display());
    symbols
}

#[test]
fn the_shared_libraries_export_the_originals_names_and_nothing_unlisted() {
    for threading in Threading::BOTH {
        let (original, ours) = (symbols(&Maker::Original.library(threading)), symbols(&Maker::Ours.library(threading)));
        for (name, kind) in &original {
            assert_eq!(ours.get(name), Some(kind), "{threading:?}: {name}");
        }
        for name in ours.keys().filter(|name| !original.contains_key(*name)) {
            assert!(is_extension(name, threading), "{threading:?}: {name} is exported and listed nowhere");
        }
        let kinds = output(Command::new("nm").args(["-D", "--defined-only"]).arg(Maker::Ours.library(threading)));
        assert_eq!(kinds.lines().filter(|line| line.contains(" R ")).count(), 30, "constants are read-only");
        assert_eq!(kinds.lines().filter(|line| line.contains(" D ")).count(), 6, "what may be written to is");
        let dynamic = output(Command::new("readelf").args(["-W", "-d"]).arg(Maker::Ours.library(threading)));
        assert!(dynamic.contains(&format!("[lib{}.so.2]", threading.library())), "{dynamic}");
        assert!(!dynamic.contains("SYMBOLIC"), "copies in executables must be seen: {dynamic}");
        let versions = output(Command::new("readelf").args(["-W", "-V"]).arg(Maker::Ours.library(threading)));
        assert!(!versions.contains("Version definition"), "the original's symbols have no versions: {versions}");
    }
}

#[test]
fn the_archives_have_what_only_archives_have() {
    let header = std::fs::read_to_string(workspace().join("include/zookeeper/zookeeper.jute.h")).expect("our header");
    let declared = functions_of_header(&header);
    assert!(declared.len() >= 230, "{}", declared.len());
    for threading in Threading::BOTH {
        let archive = installed().join(format!("lib/lib{}.a", threading.library()));
        let text = Command::new("nm").args(["-g", "--defined-only"]).arg(&archive).output().expect("nm").stdout;
        let defined: BTreeSet<String> =
            String::from_utf8_lossy(&text).lines().filter_map(|line| Some(line.split_whitespace().nth(2)?.to_owned())).collect();
        let of_archives = [
            "create_buffer_oarchive",
            "close_buffer_oarchive",
            "create_buffer_iarchive",
            "close_buffer_iarchive",
            "get_buffer",
            "get_buffer_len",
        ];
        for name in declared.iter().map(String::as_str).chain(of_archives) {
            assert!(defined.contains(name), "{threading:?}: {name}");
        }
    }
}

/// The names that stand before `(` in declarations at the beginning of a line.
fn functions_of_header(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.ends_with(");") && !line.starts_with(' '));
    lines.filter_map(|line| Some(line.split('(').next()?.split([' ', '*']).next_back()?.to_owned())).collect()
}

/// Prototypes of all functions that a header declares, as the compiler understands them.
fn prototypes(maker: Maker, threading: Threading) -> BTreeMap<String, String> {
    let directory = TemporaryDirectory::new();
    let (source, list) = (directory.path.join("all.c"), directory.path.join("list"));
    std::fs::write(&source, "#include <zookeeper.h>\n#include <zookeeper_log.h>\n").expect("written");
    let mut command = Command::new("gcc");
    command.args(["-fsyntax-only", "-aux-info"]).arg(&list).arg("-I").arg(maker.headers(threading));
    if threading == Threading::Multi {
        command.arg("-DTHREADED");
    }
    output(command.arg(&source));
    let headers = maker.headers(threading).display().to_string();
    let text = std::fs::read_to_string(&list).expect("a list");
    let of_headers = text.lines().filter(|line| line.starts_with(&format!("/* {headers}")));
    of_headers
        .filter_map(|line| {
            let prototype = line.split_once("*/ ")?.1.trim();
            let name = prototype.split(" (").next()?.split([' ', '*']).next_back()?;
            Some((name.to_owned(), prototype.to_owned()))
        })
        .collect()
}

#[test]
fn every_function_is_declared_as_the_original_declares_it() {
    for threading in Threading::BOTH {
        let (original, ours) = (prototypes(Maker::Original, threading), prototypes(Maker::Ours, threading));
        assert!(original.len() > 300, "{}", original.len());
        for (name, prototype) in &original {
            assert_eq!(ours.get(name), Some(prototype), "{threading:?}");
        }
    }
}

/// A program that prints sizes, offsets and values. The structures of records are taken from our header, whose text is
/// made by a machine; the others are listed.
fn layout_program() -> String {
    let mut text = String::from(
        "#include <stddef.h>\n#include <zookeeper.h>\n#include <zookeeper_log.h>\n\
         #define SIZE(t) printf(\"sizeof %s %zu\\n\", #t, sizeof(t))\n\
         #define AT(t, m) printf(\"%s.%s %zu %zu\\n\", #t, #m, offsetof(t, m), sizeof(((t *)0)->m))\n\
         #define VALUE(v) printf(\"%s %lld\\n\", #v, (long long)(v))\n\
         static void acl(const char *n, struct ACL_vector *v) { printf(\"%s %d %d %s %s\\n\", n, v->count, v->data->perms, \
         v->data->id.scheme, v->data->id.id); }\nint main(void) {\n",
    );
    let records = std::fs::read_to_string(workspace().join("include/zookeeper/zookeeper.jute.h")).expect("our header");
    let mut open = String::new();
    for line in records.lines() {
        if let Some(name) = line.strip_prefix("struct ").and_then(|rest| rest.strip_suffix(" {")) {
            name.clone_into(&mut open);
            text += &format!("SIZE(struct {name});\n");
        } else if let Some(field) = line.strip_prefix("    ").and_then(|rest| rest.strip_suffix(';')) {
            let field = field.rsplit([' ', '*']).next().expect("a name");
            text += &format!("AT(struct {open}, {field});\n");
        }
    }
    for (kind, members) in [
        ("struct buffer", &["len", "buff"][..]),
        ("clientid_t", &["client_id", "passwd"]),
        ("zcert_t", &["certstr", "ca", "cert", "key", "passwd"]),
        ("zsock_t", &["sock", "cert"]),
        (
            "zoo_op_t",
            &[
                "type",
                "create_op.path",
                "create_op.data",
                "create_op.datalen",
                "create_op.buf",
                "create_op.buflen",
                "create_op.acl",
                "create_op.flags",
                "create_op.ttl",
                "delete_op.path",
                "delete_op.version",
                "set_op.path",
                "set_op.data",
                "set_op.datalen",
                "set_op.version",
                "set_op.stat",
                "check_op.path",
                "check_op.version",
            ],
        ),
        ("zoo_op_result_t", &["err", "value", "valuelen", "stat"]),
        (
            "struct iarchive",
            &[
                "start_record",
                "end_record",
                "start_vector",
                "end_vector",
                "deserialize_Bool",
                "deserialize_Int",
                "deserialize_Long",
                "deserialize_Buffer",
                "deserialize_String",
                "priv",
            ],
        ),
        (
            "struct oarchive",
            &[
                "start_record",
                "end_record",
                "start_vector",
                "end_vector",
                "serialize_Bool",
                "serialize_Int",
                "serialize_Long",
                "serialize_Buffer",
                "serialize_String",
                "priv",
            ],
        ),
    ] {
        text += &format!("SIZE({kind});\n");
        for member in members {
            text += &format!("AT({kind}, {member});\n");
        }
    }
    for kind in ["ZooLogLevel", "ZooWatcherType", "enum ZOO_ERRORS", "watcher_fn", "void_completion_t"] {
        text += &format!("SIZE({kind});\n");
    }
    // Names of codes, operations and constants: all that our headers define by number.
    let header = std::fs::read_to_string(workspace().join("include/zookeeper/zookeeper.h")).expect("our header");
    let operations = std::fs::read_to_string(workspace().join("include/zookeeper/proto.h")).expect("our header");
    for line in header.lines().chain(operations.lines()) {
        let line = line.trim();
        let constant = line.strip_prefix("extern ZOOAPI const int ").and_then(|rest| rest.strip_suffix(';'));
        let code = line.split_once(" = ").map(|(name, _)| name).filter(|name| name.starts_with('Z') && !name.contains(' '));
        let macro_ = line.strip_prefix("#define ").filter(|rest| rest.split(' ').count() == 2 && !rest.contains('"'));
        if let Some(name) = constant.or(code).or_else(|| macro_?.split(' ').next()) {
            text += &format!("VALUE({name});\n");
        }
    }
    text += "acl(\"open\", &ZOO_OPEN_ACL_UNSAFE); acl(\"read\", &ZOO_READ_ACL_UNSAFE); acl(\"creator\", &ZOO_CREATOR_ALL_ACL);\n\
             printf(\"%s %s %s %s %s\\n\", ZOO_ANYONE_ID_UNSAFE.scheme, ZOO_ANYONE_ID_UNSAFE.id, ZOO_AUTH_IDS.scheme, ZOO_AUTH_IDS.id, \
             ZOO_CONFIG_NODE);\nVALUE(logLevel); zoo_set_debug_level(ZOO_LOG_LEVEL_DEBUG); VALUE(logLevel); \
             zoo_set_debug_level((ZooLogLevel)0); VALUE(logLevel); zoo_set_debug_level((ZooLogLevel)9); VALUE(logLevel);\n\
             VALUE(zoo_get_log_stream() == stderr);\nreturn 0;\n}\n";
    text
}

#[test]
fn sizes_offsets_and_values_are_the_same_in_c_and_in_cpp() {
    let program = layout_program();
    for threading in Threading::BOTH {
        let mut printed = Vec::new();
        for maker in [Maker::Original, Maker::Ours] {
            for (compiler, extension) in [("gcc", "c"), ("g++", "cpp")] {
                let directory = TemporaryDirectory::new();
                let (source, built) = (directory.path.join(format!("layout.{extension}")), directory.path.join("layout"));
                std::fs::write(&source, &program).expect("written");
                let mut command = Command::new(compiler);
                // offsetof through an anonymous union is an extension of C++.
                command.args(["-w", "-fpermissive"].iter().filter(|flag| compiler == "g++" || **flag == "-w"));
                command.arg("-I").arg(maker.headers(threading)).arg(&source).arg("-o").arg(&built).arg(maker.library(threading));
                output(&mut command);
                printed.push(((maker, compiler), output(&mut on(&built, threading, maker))));
                // Compiled against the original, run on ours: the copies of data in the program are filled from ours.
                printed.push(((maker, "on ours"), output(&mut on(&built, threading, Maker::Ours))));
            }
        }
        assert!(printed[0].1.lines().count() > 400, "{}", printed[0].1);
        for (which, text) in &printed[1..] {
            assert_eq!(&printed[0].1, text, "{threading:?} {which:?}");
        }
    }
}

#[test]
fn headers_compile_without_warnings_in_old_and_new_languages() {
    for (compiler, language, standard) in [("gcc", "c", "gnu99"), ("gcc", "c", "c11"), ("g++", "c++", "c++11"), ("g++", "c++", "c++20")] {
        for header in
            ["zookeeper.h", "zookeeper_log.h", "zookeeper_ext.h", "recordio.h", "zookeeper.jute.h", "proto.h", "zookeeper_version.h"]
        {
            let directory = TemporaryDirectory::new();
            let source = directory.path.join("one");
            std::fs::write(&source, format!("#include <{header}>\n")).expect("written");
            let mut command = Command::new(compiler);
            command.args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-x", language]).arg(format!("-std={standard}"));
            command.arg("-I").arg(Maker::Ours.headers(Threading::Multi));
            output(command.arg("-DTHREADED").arg(&source));
        }
    }
}

#[test]
fn every_function_has_the_same_transcript_four_ways() {
    let options = Options::usual();
    let servers = [Server::start(Subject::Java39, &options), Server::start(Subject::Oxkeeper, &options)];
    for threading in Threading::BOTH {
        let linked_with_original = compile("api.c", threading, Maker::Original, &[]);
        let linked_with_ours = compile("api.c", threading, Maker::Ours, &[]);
        let mut transcripts = Vec::new();
        for server in &servers {
            for (program, maker) in
                [(&linked_with_original, Maker::Original), (&linked_with_original, Maker::Ours), (&linked_with_ours, Maker::Ours)]
            {
                let mut command = on(&program.path, threading, maker);
                command.arg(server.address().to_string()).args((maker == Maker::Ours).then_some("exact"));
                let (code, text) = output_within(&mut command, PATIENCE);
                assert_eq!(code, 0, "{threading:?} {maker:?} {}:\n{text}", server.subject);
                assert!(!text.contains("in vain"), "{threading:?} {maker:?} {}:\n{text}", server.subject);
                transcripts.push((maker, server.subject, text));
            }
        }
        let judge = &transcripts[0].2;
        assert!(judge.lines().count() > 300, "{judge}");
        for (maker, subject, text) in &transcripts[1..] {
            for (expected, line) in judge.lines().zip(text.lines()) {
                assert_eq!(expected, line, "{threading:?} {maker:?} {subject}");
            }
            assert_eq!(judge.lines().count(), text.lines().count(), "{threading:?} {maker:?} {subject}:\n{text}");
        }
    }
}

/// What a program of the original's package prints, without dates, ids and times.
fn masked(text: &str) -> Vec<String> {
    let is_stable = |line: &&str| {
        !["ctime", "mtime", "czxid", "mzxid", "time =", "Got a new session id", "Watcher SESSION_EVENT"]
            .iter()
            .any(|word| line.contains(word))
    };
    text.lines().filter(is_stable).map(str::to_owned).collect()
}

/// Debian's shell and load generator, not recompiled, on ours; and ours of the same name.
#[test]
fn programs_of_the_package_run_on_ours() {
    let server = Server::start(Subject::Oxkeeper, &Options::usual());
    let address = server.address().to_string();
    let debian = Path::new("/usr/lib/zookeeper/bin");
    let bin = installed().join("bin");
    let script = [
        "create /cli",
        "create /cli",
        "set /cli hello",
        "get /cli",
        "create +s /cli/s-",
        "create2 +c /cli/c",
        "ls /cli",
        "ls2 /cli",
        "sync /cli",
        "delete /cli",
        "get /none",
    ];
    let clean = ["delete /cli/s-0000000000", "delete /cli/c", "delete /cli"];
    let mut transcripts = Vec::new();
    for (program, threading, maker) in [
        (debian.join("cli_mt"), Threading::Multi, Maker::Original),
        (debian.join("cli_mt"), Threading::Multi, Maker::Ours),
        (bin.join("cli_mt"), Threading::Multi, Maker::Ours),
        (bin.join("cli_st"), Threading::Single, Maker::Ours),
    ] {
        let mut transcript = Vec::new();
        for command in script.iter().chain(&clean) {
            let mut cli = on(&program, threading, maker);
            let (code, text) = output_within(cli.arg(&address).arg(format!("cmd:{command}")), PATIENCE);
            assert_eq!(code, 0, "{} {command}: {text}", program.display());
            transcript.extend(masked(&text));
        }
        transcripts.push((program, maker, transcript));
    }
    for (program, maker, transcript) in &transcripts[1..] {
        assert_eq!(&transcripts[0].2, transcript, "{} on {maker:?}", program.display());
    }
    for program in [debian.join("load_gen"), bin.join("load_gen")] {
        let mut load = on(&program, Threading::Multi, Maker::Ours);
        let (code, text) = output_within(load.args([&address, "/load", "40"]), Duration::from_secs(3));
        assert_eq!(code, -1, "it never ends by itself:\n{text}");
        assert!(!text.contains("ZOO_ERROR") && text.contains("ZOO_INFO@"), "{text}");
        let mut clean = on(&program, Threading::Multi, Maker::Ours);
        let (code, text) = output_within(clean.args([&address, "/load", "clean"]), PATIENCE);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("Successfully deleted a subtree starting at /load"), "{text}");
    }
}

/// The original's bugs that ours does not have, and what only ours has: null pointers, chroot of the configuration,
/// containers in multis, local removal, fork, IPv6 in brackets, the log's format, `zookeeper_ext.h`.
#[test]
fn ours_is_right_where_the_original_is_not() {
    let options = Options::usual().property("zookeeper.extendedTypesEnabled", "true");
    for subject in [Subject::Java39, Subject::Oxkeeper] {
        let server = Server::start(subject, &options);
        for threading in Threading::BOTH {
            let program = compile("beyond.c", threading, Maker::Ours, &["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]);
            let mut command = on(&program.path, threading, Maker::Ours);
            let (code, text) = output_within(command.arg(server.address().to_string()), PATIENCE);
            assert_eq!(code, 0, "{threading:?} {subject}:\n{text}");
            let last = text.lines().last().unwrap_or_default();
            assert!(last.ends_with(" checks, 0 failures") && !last.starts_with("0 "), "{threading:?} {subject}:\n{text}");
        }
    }
}

/// Python by ctypes and Go by cgo: foreign function interfaces that know only the C names.
#[test]
fn foreign_function_interfaces_see_no_difference() {
    let sources = workspace().join("compat-tests/c");
    let directory = TemporaryDirectory::new();
    let go = directory.path.join("go-program");
    let mut build = Command::new("go");
    build.current_dir(sources.join("cgo")).args(["build", "-o"]).arg(&go).arg(".");
    build.env("CGO_CFLAGS", format!("-I{}", Maker::Ours.headers(Threading::Multi).display()));
    build.env("CGO_LDFLAGS", Maker::Ours.library(Threading::Multi).display().to_string());
    build.env("GOFLAGS", "-mod=mod").env("CGO_ENABLED", "1");
    output(&mut build);
    let server = Server::start(Subject::Oxkeeper, &Options::usual());
    for (program, script) in [(Path::new("python3"), Some(sources.join("client.py"))), (&go, None)] {
        let mut transcripts = Vec::new();
        for maker in [Maker::Original, Maker::Ours] {
            let mut command = on(program, Threading::Multi, maker);
            let (code, text) = output_within(command.args(&script).arg(server.address().to_string()), PATIENCE);
            assert_eq!(code, 0, "{} {maker:?}:\n{text}", program.display());
            transcripts.push(text);
        }
        assert!(transcripts[0].lines().count() > 10, "{}", transcripts[0]);
        assert_eq!(transcripts[0], transcripts[1], "{}", program.display());
    }
}

/// Every function once more under valgrind: no byte read that was not written, none lost.
#[test]
fn memory_is_clean_under_valgrind() {
    let server = Server::start(Subject::Oxkeeper, &Options::usual());
    for threading in Threading::BOTH {
        let program = compile("api.c", threading, Maker::Ours, &[]);
        let mut command = under_valgrind(&program.path, threading);
        let (code, text) = output_within(command.arg(server.address().to_string()).arg("exact"), PATIENCE);
        assert_eq!(code, 0, "{threading:?}:\n{text}");
    }
}

/// With ThreadSanitizer in the program and in the library: every function, and all that `beyond.c` does with threads and a fork.
/// `OXKEEPER_RACE_ROUNDS` makes it longer.
#[test]
fn no_races_are_seen() {
    let rounds: usize = std::env::var("OXKEEPER_RACE_ROUNDS").map_or(1, |text| text.parse().expect("a number"));
    let options = Options::usual().property("zookeeper.extendedTypesEnabled", "true");
    let server = Server::start(Subject::Oxkeeper, &options);
    for (source, arguments) in [("api.c", &["exact"][..]), ("beyond.c", &[])] {
        let program = compile_for_races(source);
        for round in 0..rounds {
            let mut command = watched_for_races(&program.path);
            let (code, text) = output_within(command.arg(server.address().to_string()).args(arguments), PATIENCE);
            assert!(code == 0 && !text.contains("ThreadSanitizer"), "{source}, round {round}: {code}\n{text}");
        }
    }
}

/// And with AddressSanitizer in the program, which sees what is freed twice, used afterwards, or left.
#[test]
fn memory_is_clean_under_address_sanitizer() {
    let server = Server::start(Subject::Oxkeeper, &Options::usual());
    for threading in Threading::BOTH {
        let program = compile("api.c", threading, Maker::Ours, &["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]);
        let mut command = on(&program.path, threading, Maker::Ours);
        let (code, text) = output_within(command.arg(server.address().to_string()).arg("exact"), PATIENCE);
        assert_eq!(code, 0, "{threading:?}:\n{text}");
        assert!(!text.contains("runtime error"), "{threading:?}:\n{text}");
    }
}
