//! The witness of the headers: cbindgen writes the prototypes of the Rust functions, and the C compiler says whether
//! the headers declare the same. A difference is an error of conflicting types. (Functions that macros make, the
//! allocators of records, are not seen by cbindgen: their one signature is in `memory.rs`.)

use std::path::Path;
use std::process::Command;

/// Where the C functions are.
const SOURCES: &[&str] =
    &["src/handle.rs", "src/requests.rs", "src/multi.rs", "src/log.rs", "src/errors.rs", "src/memory.rs", "mt/src/calls.rs"];

/// Names of Rust types, and what they are in C.
const TYPES: &str = "
typedef struct _zhandle Handle;
typedef clientid_t ClientId;
typedef zoo_op_t Op;
typedef zoo_op_result_t OpResult;
typedef struct buffer Buffer;
typedef struct Stat Stat;
typedef struct ACL_vector ACL_vector;
typedef struct String_vector String_vector;
typedef struct ClientInfo_vector ClientInfo_vector;
typedef struct sockaddr sockaddr;
typedef struct timeval timeval;
typedef watcher_fn WatcherFn;
typedef log_callback_fn LogCallback;
typedef void_completion_t VoidFn;
typedef stat_completion_t StatFn;
typedef data_completion_t DataFn;
typedef strings_completion_t StringsFn;
typedef strings_stat_completion_t StringsStatFn;
typedef string_completion_t StringFn;
typedef string_stat_completion_t StringStatFn;
typedef acl_completion_t AclFn;
typedef client_info_completion_t ClientInfoFn;
typedef number_completion_t NumberFn;
typedef ZooWatcherType WatcherType;
typedef ZooAddWatchMode AddMode;
typedef ZooLogLevel LevelNumber;
";

/// What the headers say in their own way: the function of a removal is given as a pointer to its type, and two
/// functions that the original exports are in no header.
const APART: &[&str] = &["zoo_aremove_watches", "zoo_aremove_all_watches", "zoo_lock_auth", "zoo_unlock_auth"];

#[test]
fn the_headers_declare_what_is_there() {
    let capi = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config =
        cbindgen::Config { language: cbindgen::Language::C, style: cbindgen::Style::Type, no_includes: true, ..Default::default() };
    config.export.item_types = vec![cbindgen::ItemType::Functions];
    config.export.exclude = APART.iter().map(|name| (*name).to_owned()).collect();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(capi.join(source));
    }
    let mut prototypes = Vec::new();
    builder.generate().expect("cbindgen reads the sources").write(&mut prototypes);
    let prototypes = String::from_utf8(prototypes).expect("C is text");
    let count = prototypes.matches(");").count();
    assert!(count > 85, "only {count} functions:\n{prototypes}");
    let text = format!(
        "#include <stdbool.h>\n#include <zookeeper.h>\n#include <zookeeper_log.h>\n#include <zookeeper_ext.h>\n{TYPES}\n{prototypes}"
    );
    let directory = std::env::temp_dir().join(format!("oxkeeper-prototypes-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let source = directory.join("prototypes.c");
    std::fs::write(&source, &text).expect("written");
    // Once as programs for each library see it; the calls of the other are then declared by nobody else.
    for threading in [&["-DTHREADED"][..], &[]] {
        let mut command = Command::new("gcc");
        command.args(["-fsyntax-only", "-Wall", "-Werror"]).args(threading);
        let output = command.arg("-I").arg(capi.join("../include/zookeeper")).arg(&source).output().expect("gcc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::remove_dir_all(directory).expect("removable");
}
