//! `cargo xtask coverage [--print]`: the tests of the simulator, and which lines of `zab`, `store`, `ledger` and the fronts
//! none of their seeds executes. Each such line stands in a reviewed list, `sim/unexecuted.txt`, with the reason; one that does
//! not fails the run. `--print` prints what is not executed in the form of the list, without reasons.
//!
//! The tests are those that CI would run anyway, built a second time with counters in the rooms that are measured. The program
//! itself is the wrapper by which cargo gives the flag to these rooms alone, so that nothing else is built again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients;

/// Set in the environment of a cargo whose compiler this program is to be.
const IS_COMPILER: &str = "OXKEEPER_COVERAGE_COMPILER";

/// Crates that get counters: the rooms, and the tests, which bring the runtime that writes the counts.
const COUNTED: &[&str] = &["oxkeeper_zab", "oxkeeper_store", "oxkeeper_ledger", "oxkeeper_replica", "cluster", "standalone"];

/// What is judged, as beginnings of paths. Fronts are `replica`'s part that meets clients.
const JUDGED: &[&str] = &[
    "crates/zab/src/",
    "crates/store/src/",
    "crates/ledger/src/",
    "crates/replica/src/front.rs",
    "crates/replica/src/read.rs",
    "crates/replica/src/inbox.rs",
    "crates/replica/src/limits.rs",
    "crates/replica/src/frame.rs",
];

/// The simulator's own disk is judged by what it is for.
const NOT_JUDGED: &[&str] = &["crates/store/src/sim_disk.rs"];

const LIST: &str = "sim/unexecuted.txt";

/// Begins the heading of a group whose lines some seeds reach and others do not.
const RARE: &str = "rare: ";

/// Stands for every line of a function or a file that is not entered at all.
const ALL: &str = "*";

/// Runs as cargo's compiler if that is what this program was started as; its exit code.
pub fn compile() -> Option<i32> {
    std::env::var_os(IS_COMPILER)?;
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (compiler, arguments) = arguments.split_first()?;
    let name = arguments.windows(2).find(|pair| pair[0] == "--crate-name").and_then(|pair| pair[1].to_str());
    let mut command = Command::new(compiler);
    command.args(arguments).env_remove(IS_COMPILER);
    if name.is_some_and(|name| COUNTED.contains(&name)) {
        command.arg("-Cinstrument-coverage");
    }
    Some(command.status().ok().and_then(|status| status.code()).unwrap_or(1))
}

/// Runs the simulator's tests and compares what they leave unexecuted with the list.
///
/// # Errors
/// A test that fails, a tool that is missing, or the lines that are not on the list.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let is_printed = match arguments {
        [] => false,
        [only] if only == "--print" => true,
        _ => return Err("the only option is --print".to_owned()),
    };
    let place = clients::target().join("coverage");
    let place = std::path::absolute(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    // What earlier runs counted does not count.
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(format!("{}: {error}", place.display())),
        _ => std::fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?,
    }
    let wrapper = std::env::current_exe().map_err(|error| error.to_string())?;
    let cargo = |arguments: &[&str], profile: &str| {
        let mut command = Command::new("cargo");
        command.arg("test").args(arguments).current_dir(root);
        command.env("RUSTC_WORKSPACE_WRAPPER", &wrapper).env(IS_COMPILER, "1").env("LLVM_PROFILE_FILE", place.join(profile));
        command
    };
    if !is_printed {
        // What a bug that was put back executes is not executed by the real thing: its counts go elsewhere.
        succeed(&mut cargo(&["-p", "oxkeeper-sim", "--lib", "--bins", "--test", "mutants"], "mutants-%p.other"))?;
    }
    let chosen = ["-p", "oxkeeper-sim", "-p", "oxkeeper-zab", "--test", "cluster", "--test", "standalone"];
    succeed(&mut cargo(&chosen, "%p-%m.profraw"))?;
    let told = cargo(&[&chosen[..], &["--no-run"]].concat(), "none.other").output().map_err(|error| format!("cargo: {error}"))?;
    let objects = executables(root, &String::from_utf8_lossy(&told.stderr));
    let lines = lines(&place, &objects)?;
    let mut measured = BTreeMap::new();
    for (path, counts) in &lines {
        let Ok(path) = Path::new(path).strip_prefix(root) else { continue };
        let path = path.display().to_string();
        if JUDGED.iter().any(|begin| path.starts_with(begin)) && !NOT_JUDGED.contains(&path.as_str()) {
            let source = std::fs::read_to_string(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
            measured.insert(path, functions(&source, counts));
        }
    }
    if is_printed {
        print!("{}", printed(&measured));
        return Ok(());
    }
    let list = std::fs::read_to_string(root.join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
    judge(&measured, parse(&list)?)
}

fn succeed(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{} ended with {status}", command.get_program().display())),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}

/// The programs that `cargo test --no-run` names.
fn executables(root: &Path, told: &str) -> Vec<PathBuf> {
    let named = told.lines().filter(|line| line.trim_start().starts_with("Executable "));
    named.filter_map(|line| Some(root.join(line.rsplit_once('(')?.1.strip_suffix(')')?))).collect()
}

/// How often each line of each file was executed, of lines that have code.
type Lines = BTreeMap<String, BTreeMap<usize, u64>>;

fn lines(place: &Path, objects: &[PathBuf]) -> Result<Lines, String> {
    let said = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let files = std::fs::read_dir(place).map_err(|error| format!("{}: {error}", place.display()))?.flatten().map(|entry| entry.path());
    let profiles: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "profraw")).collect();
    let merged = place.join("merged.profdata");
    said(Command::new("llvm-profdata-22").args(["merge", "--sparse", "--output"]).arg(&merged).args(&profiles))?;
    let mut export = Command::new("llvm-cov-22");
    export.args(["export", "--format=lcov", "--instr-profile"]).arg(&merged);
    for (nth, object) in objects.iter().enumerate() {
        if nth > 0 {
            export.arg("--object");
        }
        export.arg(object);
    }
    let exported = said(&mut export)?;
    let exported = String::from_utf8_lossy(&exported);
    let mut lines = Lines::new();
    let mut file = String::new();
    for line in exported.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = path.to_owned();
        } else if let Some((number, count)) = line.strip_prefix("DA:").and_then(|pair| pair.split_once(',')) {
            let parsed = number.parse::<usize>().ok().zip(count.split(',').next().and_then(|count| count.parse::<u64>().ok()));
            let (number, count) = parsed.ok_or_else(|| format!("llvm-cov says {line}"))?;
            *lines.entry(file.clone()).or_default().entry(number).or_insert(0) += count;
        }
    }
    Ok(lines)
}

/// Of a function: whether a line of it is executed, and the text of each that is not.
#[derive(Debug, Default, PartialEq)]
struct Function {
    is_entered: bool,
    unexecuted: Vec<String>,
}

/// Each function of a file by its name, which has that of what it stands in before it.
type Functions = BTreeMap<String, Function>;

/// The functions of a source text that rustfmt has laid out: what is indented more than a head belongs to it.
fn functions(source: &str, counts: &BTreeMap<usize, u64>) -> Functions {
    let mut functions = Functions::new();
    let mut heads: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(source.lines()) {
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        if let Some(name) = head(text) {
            heads.retain(|(of_head, _)| *of_head < indent);
            heads.push((indent, name));
        }
        if let Some(count) = counts.get(&number) {
            let names: Vec<&str> = heads.iter().map(|(_, name)| name.as_str()).collect();
            let function = functions.entry(names.join("::")).or_default();
            if *count > 0 {
                function.is_entered = true;
            } else if text.contains(|letter: char| letter.is_alphanumeric()) && !text.starts_with("//") {
                function.unexecuted.push(text.to_owned());
            }
        }
        if text.starts_with('}') {
            heads.retain(|(of_head, _)| *of_head != indent);
        }
    }
    functions
}

/// The name of the function, implementation or trait that begins with this line.
fn head(text: &str) -> Option<String> {
    let mut text = text;
    while let Some(rest) = ["pub(crate) ", "pub(super) ", "pub ", "const fn ", "unsafe ", "async "].iter().find_map(|word| {
        let rest = text.strip_prefix(word)?;
        Some(if *word == "const fn " { &text["const ".len()..] } else { rest })
    }) {
        text = rest;
    }
    if let Some(rest) = text.strip_prefix("fn ") {
        return Some(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
    }
    if let Some(rest) = text.strip_prefix("trait ") {
        return Some(rest.trim_end_matches(" {").to_owned());
    }
    let rest = text.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { rest.split_once("> ").map_or(rest, |(_, rest)| rest) } else { rest };
    Some(rest.trim().trim_end_matches(" {").to_owned())
}

/// A line of the list.
#[derive(Debug, PartialEq)]
struct Listed {
    file: String,
    /// None: every function of the file.
    function: Option<String>,
    /// None: every line of the function.
    text: Option<String>,
    is_rare: bool,
}

/// A heading `## reason`, then files, below each (4 spaces more) its functions, and below each (4 more) its lines. ` *` after a
/// file or a function stands for all of it.
fn parse(list: &str) -> Result<Vec<Listed>, String> {
    let mut listed = Vec::new();
    let (mut heading, mut file, mut function) = (None, String::new(), None::<String>);
    for (number, line) in (1..).zip(list.lines()) {
        let wrong = |what: &str| format!("{LIST}:{number}: {what}: {line}");
        if let Some(reason) = line.strip_prefix("## ") {
            heading = Some(reason.starts_with(RARE));
            (file, function) = (String::new(), None);
            continue;
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let is_rare = heading.ok_or_else(|| wrong("a line before the first reason"))?;
        let text = line.trim();
        let all = text.strip_suffix(ALL).map(str::trim_end);
        let entry = |function, text| Listed { file: file.clone(), function, text, is_rare };
        match line.len() - text.len() {
            0 => match all {
                Some(path) => listed.push(Listed { file: path.to_owned(), function: None, text: None, is_rare }),
                None => (file, function) = (text.to_owned(), None),
            },
            4 if file.is_empty() => return Err(wrong("a function without its file")),
            4 => match all {
                Some(name) => listed.push(entry(Some(name.to_owned()), None)),
                None => function = Some(text.to_owned()),
            },
            8 if function.is_some() => listed.push(entry(function.clone(), Some(text.to_owned()))),
            _ => return Err(wrong("neither a file, nor a function, nor a line of it")),
        }
    }
    Ok(listed)
}

/// What is not executed, as the list has it.
fn printed(measured: &BTreeMap<String, Functions>) -> String {
    let mut text = String::new();
    for (file, functions) in measured {
        if functions.values().all(|function| !function.is_entered) {
            let _ = writeln!(text, "{file} {ALL}");
            continue;
        }
        if functions.values().all(|function| function.unexecuted.is_empty()) {
            continue;
        }
        let _ = writeln!(text, "{file}");
        for (name, function) in functions {
            if !function.is_entered {
                let _ = writeln!(text, "    {name} {ALL}");
            } else if !function.unexecuted.is_empty() {
                let _ = writeln!(text, "    {name}");
                function.unexecuted.iter().for_each(|line| text.push_str(&format!("        {line}\n")));
            }
        }
    }
    text
}

/// Tells what the list says and the run does not, and the other way round.
///
/// # Errors
/// Lines that are not executed and not listed.
fn judge(measured: &BTreeMap<String, Functions>, mut list: Vec<Listed>) -> Result<(), String> {
    let mut unexpected = String::new();
    let mut count = 0;
    for (file, functions) in measured {
        let is_file_entered = functions.values().any(|function| function.is_entered);
        let whole = |listed: &Listed| listed.file == *file && listed.function.is_none();
        if !is_file_entered && list.iter().any(whole) {
            list.retain(|listed| !whole(listed));
            continue;
        }
        for (name, function) in functions {
            let of_function = |listed: &Listed| listed.file == *file && listed.function.as_ref() == Some(name);
            let all = |listed: &Listed| of_function(listed) && listed.text.is_none();
            if !function.is_entered && list.iter().any(all) {
                // Lines of it that some runs execute are not executed then, either.
                list.retain(|listed| !of_function(listed));
                continue;
            }
            for text in &function.unexecuted {
                match list.iter().position(|listed| of_function(listed) && listed.text.as_ref() == Some(text)) {
                    Some(at) => drop(list.swap_remove(at)),
                    None => {
                        count += 1;
                        let _ = writeln!(unexpected, "{file}: {name}: {text}");
                    }
                }
            }
        }
    }
    list.retain(|listed| !listed.is_rare);
    list.sort_by(|a, b| (&a.file, &a.function, &a.text).cmp(&(&b.file, &b.function, &b.text)));
    for Listed { file, function, text, .. } in &list {
        let (function, text) = (function.as_deref().unwrap_or(ALL), text.as_deref().unwrap_or(ALL));
        println!("on the list, and executed or gone: {file}: {function}: {text}");
    }
    println!("{} entries of {LIST} can go", list.len());
    if count == 0 { Ok(()) } else { Err(format!("{count} lines are not executed by any seed and not in {LIST}:\n{unexpected}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
impl<'a> Peer<'a> {
    pub(crate) const fn plan(&self) -> u8 {
        if rare {
            // As it must be.
            return 1;
        }
        2
    }

    fn never(&self) {
        3
    }
}

fn free(
    argument: u8,
) -> u8 {
    argument
}
";

    /// Lines from 1 on, with how often they were executed.
    fn measured(counts: &[(usize, u64)]) -> BTreeMap<String, Functions> {
        BTreeMap::from([("a.rs".to_owned(), functions(SOURCE, &counts.iter().copied().collect()))])
    }

    const COUNTS: &[(usize, u64)] = &[(2, 5), (3, 5), (4, 0), (5, 0), (6, 0), (7, 5), (10, 0), (11, 0), (15, 2), (18, 0), (19, 2)];

    #[test]
    fn lines_are_found_in_their_functions_and_braces_do_not_count() {
        let functions = &measured(COUNTS)["a.rs"];
        let of = |name: &str| &functions[name];
        assert_eq!(of("Peer<'a>::plan"), &Function { is_entered: true, unexecuted: vec!["return 1;".to_owned()] });
        assert_eq!(
            of("Peer<'a>::never"),
            &Function { is_entered: false, unexecuted: vec!["fn never(&self) {".to_owned(), "3".to_owned()] }
        );
        assert_eq!(of("free"), &Function { is_entered: true, unexecuted: vec!["argument".to_owned()] });
        assert_eq!(functions.len(), 3);
    }

    #[test]
    fn what_is_printed_is_a_list_that_lets_it_pass() {
        let list = format!("## because\n{}", printed(&measured(COUNTS)));
        assert_eq!(list, "## because\na.rs\n    Peer<'a>::never *\n    Peer<'a>::plan\n        return 1;\n    free\n        argument\n");
        assert_eq!(judge(&measured(COUNTS), parse(&list).expect("a list")), Ok(()));
    }

    #[test]
    fn what_is_not_listed_fails_and_is_named() {
        let list = "## because\na.rs\n    Peer<'a>::never *\n    Peer<'a>::plan\n        return 1;\n";
        let error = judge(&measured(COUNTS), parse(list).expect("a list")).expect_err("argument is not listed");
        assert!(error.contains("1 lines") && error.contains("a.rs: free: argument"), "{error}");
        // A function that is entered needs each of its lines on the list, and a line as often as it is there.
        let partly = [COUNTS, &[(10, 1)]].concat();
        let error = judge(&measured(&partly), parse(list).expect("a list")).expect_err("never is entered");
        assert!(error.contains("Peer<'a>::never: 3") && error.contains("2 lines"), "{error}");
    }

    #[test]
    fn rare_lines_may_be_executed_or_not() {
        let list = "## rare: by chance\na.rs\n    Peer<'a>::plan\n        return 1;\n## because\na.rs *\n";
        let parsed = || parse(list).expect("a list");
        assert_eq!(parsed().iter().filter(|listed| listed.is_rare).count(), 1);
        assert_eq!(judge(&measured(&[(3, 1), (5, 0)]), parsed()), Ok(()));
        assert_eq!(judge(&measured(&[(3, 1), (5, 1)]), parsed()), Ok(()));
        assert_eq!(judge(&measured(&[(3, 0), (5, 0), (18, 0)]), parsed()), Ok(()));
    }

    #[test]
    fn a_list_without_reasons_or_order_is_refused() {
        for wrong in ["a.rs *\n", "## because\n    plan *\n", "## because\na.rs\n        return 1;\n", "## because\na.rs\n  plan\n"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
