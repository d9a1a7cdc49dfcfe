//! A network for members that can be broken: each lives in a network namespace of its own, behind one router, which
//! drops what goes from one member to another, each direction by itself, without either being told. Clients come in by
//! a line of their own that stays. Wants root.
//!
//! The router drops by a policy rule of its routing table, so that nothing is needed but `ip`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ensemble::Site;

/// The namespaces and lines; gone with the value.
pub struct Network {
    name: String,
    /// Second number of all its addresses.
    net: u8,
    members: usize,
    cut: BTreeSet<(usize, usize)>,
    slow: BTreeSet<usize>,
}

/// Runs a command.
///
/// # Panics
/// If it fails.
fn run(arguments: &[&str]) {
    let output = Command::new(arguments[0]).args(&arguments[1..]).output().unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    assert!(output.status.success(), "{arguments:?}: {} (root is needed)", String::from_utf8_lossy(&output.stderr).trim());
}

fn ip(line: &str) {
    let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
    run(&words);
}

impl Network {
    /// # Panics
    /// Without root.
    pub fn new(members: usize) -> Network {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // 10.128 to 10.227: two networks at once of two processes may meet in one of a hundred cases, and say so.
        let net = 128 + ((process + number * 37) % 100) as u8;
        let network = Network { name: format!("ox{process}x{number}"), net, members, cut: BTreeSet::new(), slow: BTreeSet::new() };
        let router = network.router();
        ip(&format!("netns add {router}"));
        ip(&format!("-n {router} link set lo up"));
        run(&["ip", "netns", "exec", &router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        // The line for clients; names of devices are short.
        let outside = format!("ox{net}out");
        ip(&format!("link add {outside} type veth peer name out netns {router}"));
        ip(&format!("addr add 10.{net}.0.1/24 dev {outside}"));
        ip(&format!("link set {outside} up"));
        ip(&format!("-n {router} addr add 10.{net}.0.2/24 dev out"));
        ip(&format!("-n {router} link set out up"));
        ip(&format!("route add 10.{net}.0.0/16 via 10.{net}.0.2"));
        for index in 0..members {
            let (space, port) = (network.namespace(index), index + 1);
            ip(&format!("netns add {space}"));
            ip(&format!("-n {router} link add to{port} type veth peer name eth0 netns {space}"));
            ip(&format!("-n {router} addr add 10.{net}.{port}.1/24 dev to{port}"));
            ip(&format!("-n {router} link set to{port} up"));
            ip(&format!("-n {space} addr add {}/24 dev eth0", network.host(index)));
            ip(&format!("-n {space} link set eth0 up"));
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} route add default via 10.{net}.{port}.1"));
        }
        network
    }

    fn router(&self) -> String {
        format!("{}r", self.name)
    }

    fn namespace(&self, index: usize) -> String {
        format!("{}m{}", self.name, index + 1)
    }

    fn host(&self, index: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net, index as u8 + 1, 2)
    }

    /// Where the members of an ensemble go.
    pub fn site(&self) -> Site {
        let members = 0..self.members;
        Site {
            hosts: members.clone().map(|index| self.host(index)).collect(),
            namespaces: members.map(|index| Some(self.namespace(index))).collect(),
        }
    }

    /// All lines between members, each direction one.
    pub fn lines(members: usize) -> Vec<(usize, usize)> {
        (0..members).flat_map(|from| (0..members).filter(move |to| *to != from).map(move |to| (from, to))).collect()
    }

    /// Cuts these lines and heals all others.
    pub fn cut_only(&mut self, wanted: &BTreeSet<(usize, usize)>) {
        for line in Network::lines(self.members) {
            match (self.cut.contains(&line), wanted.contains(&line)) {
                (false, true) => self.rule("add", line),
                (true, false) => self.rule("del", line),
                _ => {}
            }
        }
        self.cut = wanted.clone();
    }

    /// Heals everything.
    pub fn heal(&mut self) {
        self.cut_only(&BTreeSet::new());
        for index in std::mem::take(&mut self.slow) {
            run(&["tc", "-n", &self.router(), "qdisc", "del", "dev", &format!("to{}", index + 1), "root"]);
        }
    }

    fn rule(&self, what: &str, (from, to): (usize, usize)) {
        ip(&format!("-n {} rule {what} from {} to {} blackhole", self.router(), self.host(from), self.host(to)));
    }

    /// Makes what comes to this member late and lossy (netem), or thin where the kernel has no netem. Which of them it was.
    ///
    /// # Panics
    /// If the kernel has neither.
    pub fn slow_down(&mut self, index: usize) -> &'static str {
        let (router, device) = (self.router(), format!("to{}", index + 1));
        let begin = ["-n", &router, "qdisc", "replace", "dev", &device, "root"];
        let try_to = |what: &[&str]| Command::new("tc").args(begin).args(what).output().is_ok_and(|output| output.status.success());
        self.slow.insert(index);
        if try_to(&["netem", "delay", "40ms", "30ms", "loss", "2%"]) {
            return "netem";
        }
        assert!(try_to(&["tbf", "rate", "400kbit", "burst", "3000", "latency", "300ms"]), "tc: neither netem nor tbf");
        "tbf"
    }

    /// The largest sets of members that all reach each other both ways, if they are more than half.
    pub fn majorities(members: usize, cut: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
        let sets = (0..1u32 << members).map(|bits| (0..members).filter(|index| bits & (1 << index) != 0).collect::<Vec<usize>>());
        let is_whole = |set: &Vec<usize>| {
            set.len() > members / 2 && set.iter().all(|one| set.iter().all(|other| one == other || !cut.contains(&(*one, *other))))
        };
        sets.filter(is_whole).collect()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The devices go with the namespaces; an error would hide the one that brought us here.
        for name in (0..self.members).map(|index| self.namespace(index)).chain([self.router()]) {
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
        }
        let _ = Command::new("ip").args(["link", "del", &format!("ox{}out", self.net)]).output();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Network;

    #[test]
    fn a_majority_is_whole_both_ways() {
        assert_eq!(Network::lines(3).len(), 6);
        let cut = |lines: &[(usize, usize)]| lines.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(Network::majorities(3, &cut(&[])).len(), 4);
        assert_eq!(Network::majorities(3, &cut(&[(0, 1)])), [vec![0, 2], vec![1, 2]]);
        assert_eq!(Network::majorities(3, &cut(&[(0, 1), (2, 0)])), [vec![1, 2]]);
        assert!(Network::majorities(3, &cut(&[(0, 1), (2, 0), (1, 2)])).is_empty());
        let masks = 0..64u32;
        let with_majority = masks.filter(|mask| {
            let cut = Network::lines(3).into_iter().enumerate().filter(|(at, _)| mask & (1 << at) != 0).map(|(_, line)| line).collect();
            !Network::majorities(3, &cut).is_empty()
        });
        assert_eq!(with_majority.count(), 37);
    }
}
