//! What `envi` says of the process and the machine: ZooKeeper's eighteen keys in its order.
//!
//! Scripts look keys up by name, so every one is there. What only a JVM has is `<NA>`, which is what
//! ZooKeeper itself prints for a property that is not set (`java.compiler` on every current JVM).
//! The three memory values keep the relation that scripts compute with, used = total - free: total and
//! max are the memory that the process may use (the control group's limit or the machine's memory), free
//! is that less the resident set.

use std::fs;
use std::path::Path;

/// What ZooKeeper prints for a property without value.
const ABSENT: &str = "<NA>";

/// Key and value, in the order of printing. Reads a few small files of the system; a value that cannot be
/// had is `<NA>`, and memory then 0.
pub fn gather(version: &str) -> Vec<(&'static str, String)> {
    let absent = || ABSENT.to_owned();
    let user = User::current();
    let directory = std::env::current_dir().map(|path| path.display().to_string());
    let memory = Memory::current();
    vec![
        ("zookeeper.version", version.to_owned()),
        ("host.name", host_name().unwrap_or_else(absent)),
        ("java.version", absent()),
        ("java.vendor", absent()),
        ("java.home", absent()),
        ("java.class.path", absent()),
        ("java.library.path", absent()),
        ("java.io.tmpdir", std::env::temp_dir().display().to_string()),
        ("java.compiler", absent()),
        ("os.name", if cfg!(target_os = "linux") { "Linux".to_owned() } else { std::env::consts::OS.to_owned() }),
        ("os.arch", java_architecture(std::env::consts::ARCH).to_owned()),
        ("os.version", line("/proc/sys/kernel/osrelease").unwrap_or_else(absent)),
        ("user.name", user.name.unwrap_or_else(absent)),
        ("user.home", user.home.unwrap_or_else(absent)),
        ("user.dir", directory.unwrap_or_else(|_| absent())),
        ("os.memory.free", format!("{}MB", memory.allowed_mb.saturating_sub(memory.resident_mb))),
        ("os.memory.max", format!("{}MB", memory.allowed_mb)),
        ("os.memory.total", format!("{}MB", memory.allowed_mb)),
    ]
}

fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Java's word for an architecture.
fn java_architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "x86" => "i386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn host_name() -> Option<String> {
    let name = line("/proc/sys/kernel/hostname")?;
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    Some(canonical(&name, &hosts).to_owned())
}

/// The first name of the address that the host's own name has in the hosts file, which is what Java's
/// resolver comes to; the name itself if it is not there. The network is not asked.
fn canonical<'a>(name: &'a str, hosts: &'a str) -> &'a str {
    let entries = || {
        hosts.lines().filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            Some((words.next()?, words))
        })
    };
    let Some((address, _)) = entries().find(|(_, names)| names.clone().any(|found| found == name)) else { return name };
    entries().find(|(found, _)| *found == address).and_then(|(_, mut names)| names.next()).unwrap_or(name)
}

struct User {
    name: Option<String>,
    home: Option<String>,
}

impl User {
    fn current() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let id = status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_whitespace().nth(1));
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = id.map(|id| Self::find(id, &users));
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (name, home) = found.map_or((None, None), |user| (user.name, user.home));
        Self { name: name.or_else(|| variable("USER")), home: home.or_else(|| variable("HOME")) }
    }

    fn find(id: &str, users: &str) -> Self {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.get(2) == Some(&id));
        let field = |index: usize| fields.as_ref().and_then(|fields| fields.get(index)).map(|field| (*field).to_owned());
        Self { name: field(0), home: field(5) }
    }
}

struct Memory {
    allowed_mb: u64,
    resident_mb: u64,
}

impl Memory {
    fn current() -> Self {
        let machine_mb = kilobytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:") / 1024;
        let resident_mb = kilobytes(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmRSS:") / 1024;
        let limit_mb = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
            .iter()
            .filter(|path| Path::new(path).exists())
            .find_map(|path| line(path)?.parse::<u64>().ok())
            .map_or(u64::MAX, |bytes| bytes / (1024 * 1024));
        Self { allowed_mb: machine_mb.min(limit_mb), resident_mb }
    }
}

/// The number after a key in the form of `/proc/meminfo`, 0 if it is not there.
fn kilobytes(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_named_as_its_address_is() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.9 wrong\n10.0.0.5\tkeeper.example.org keeper # this one\n::1 localhost ip6\n";
        for (name, expected) in [("keeper", "keeper.example.org"), ("localhost", "localhost"), ("ip6", "localhost"), ("other", "other")] {
            assert_eq!(canonical(name, hosts), expected);
        }
        assert_eq!(canonical("keeper", ""), "keeper");
    }

    #[test]
    fn the_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nzookeeper:x:104:110::/var/lib/zookeeper:/bin/false\nbroken\n";
        let user = User::find("104", users);
        assert_eq!((user.name.as_deref(), user.home.as_deref()), (Some("zookeeper"), Some("/var/lib/zookeeper")));
        assert!(User::find("7", users).name.is_none());
    }

    #[test]
    fn memory_is_read_in_kilobytes() {
        assert_eq!(kilobytes("MemTotal:       16303812 kB\nMemFree: 5 kB\n", "MemFree:"), 5);
        assert_eq!(kilobytes("", "MemTotal:"), 0);
    }

    #[test]
    fn no_value_is_empty_and_the_process_uses_memory() {
        let environment = gather("3.9.5-x, built on y");
        assert!(environment.iter().all(|(_, value)| !value.is_empty() && !value.contains('\n')));
        let of = |key| &environment.iter().find(|(found, _)| *found == key).expect("every key is there").1;
        assert_eq!(of("zookeeper.version"), "3.9.5-x, built on y");
        let megabytes = |key| of(key).strip_suffix("MB").expect("a unit").parse::<u64>().expect("a number");
        assert!(megabytes("os.memory.total") >= megabytes("os.memory.free"));
        assert!(megabytes("os.memory.total") > 0);
    }
}
