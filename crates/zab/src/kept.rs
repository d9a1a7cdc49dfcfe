//! What a member keeps of configurations in files, as Java keeps them, so that a restart begins with what it knew before:
//! `<zoo.cfg>.dynamic.<version>` for the one in force, to which zoo.cfg points, and `<zoo.cfg>.dynamic.next` for one that
//! was proposed. Which file says what, in which order, and what a start makes of them; the disk is for others.

use crate::config::Config;
use crate::quorum::Sid;

/// Something to be done to a file beside zoo.cfg; durable before the next is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The file of this name behind that of zoo.cfg gets this text, in one step.
    Replace {
        /// What the name ends with.
        suffix: String,
        /// The text.
        text: String,
    },
    /// zoo.cfg names the file with this suffix as its `dynamicConfigFile`, and says nothing any more of what stands there.
    Point {
        /// What the name ends with.
        suffix: String,
        /// Whether our client port stands there, too.
        has_client_port: bool,
    },
    /// What was proposed is of no use any more: the file goes, if it is there.
    ForgetNext,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptConfigs {
    me: Sid,
    in_force: u64,
    last_seen: u64,
}

impl KeptConfigs {
    /// Ends the name of the file for what was proposed last.
    pub const NEXT: &str = ".dynamic.next";

    /// What the files of a member held at its start, and what to do about them first.
    pub fn new(me: Sid, in_force: &Config, last_seen: Option<&Config>) -> (Self, Option<Keep>) {
        let in_force = in_force.version;
        let kept = Self { me, in_force, last_seen: last_seen.map_or(in_force, |config| config.version) };
        (kept, last_seen.filter(|config| config.version <= in_force).map(|_| Keep::ForgetNext))
    }

    /// A configuration was proposed. If it is the one in force, what was kept is of no use any more.
    pub fn propose(&mut self, config: &Config) -> Keep {
        self.last_seen = config.version;
        match config.version <= self.in_force {
            true => Keep::ForgetNext,
            false => Keep::Replace { suffix: Self::NEXT.to_owned(), text: sorted(config, true) },
        }
    }

    /// A configuration is in force: first it gets a file of its own, then zoo.cfg names that; and then
    /// [`KeptConfigs::activated`].
    pub fn activate(&self, config: &Config) -> [Keep; 2] {
        let suffix = format!(".dynamic.{:x}", config.version);
        let has_client_port = config.members.get(&self.me).is_some_and(|member| member.client.is_some());
        [Keep::Replace { suffix: suffix.clone(), text: sorted(config, false) }, Keep::Point { suffix, has_client_port }]
    }

    /// What [`KeptConfigs::activate`] has said is done. Says what that leaves to do.
    pub fn activated(&mut self, config: &Config) -> Option<Keep> {
        self.in_force = config.version;
        (self.last_seen <= self.in_force).then_some(Keep::ForgetNext)
    }

    /// The version in a dynamic file's name: what stands behind the last dot, as a hexadecimal number; 0 if that is none.
    pub fn version_of(dynamic_file: &str) -> u64 {
        let version = dynamic_file.rsplit_once('.').and_then(|(_, version)| i64::from_str_radix(version, 16).ok());
        version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0)
    }
}

/// The lines in Java's order; in the name of a file that is in force the version stands already.
fn sorted(config: &Config, with_version: bool) -> String {
    let text = config.to_text();
    let mut lines: Vec<&str> = text.lines().filter(|line| with_version || !line.starts_with("version=")).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_takes_the_place_of_what_was_proposed() {
        let parse = |text: &str| Config::parse(text).unwrap();
        let (first, second) = (parse("server.1=a:1:2\nversion=0"), parse("server.2=b:1:2\nserver.1=a:1:2;7\nversion=1f"));
        let (mut kept, at_once) = KeptConfigs::new(Sid(1), &first, None);
        assert_eq!(at_once, None);
        let text = "server.1=a:1:2:participant;0.0.0.0:7\nserver.2=b:1:2:participant";
        let next = Keep::Replace { suffix: ".dynamic.next".to_owned(), text: format!("{text}\nversion=1f") };
        assert_eq!(kept.propose(&second), next);
        assert_eq!(kept.propose(&first), Keep::ForgetNext);
        assert_eq!(kept.propose(&second), next);
        let suffix = ".dynamic.1f".to_owned();
        let pointer = Keep::Point { suffix: suffix.clone(), has_client_port: true };
        assert_eq!(kept.activate(&second), [Keep::Replace { suffix, text: text.to_owned() }, pointer]);
        assert_eq!(kept.activated(&second), Some(Keep::ForgetNext));
        // A later one that was proposed meanwhile stays.
        kept.propose(&Config { version: 0x20, ..second.clone() });
        assert_eq!(kept.activated(&second), None);
        assert_eq!(KeptConfigs::new(Sid(1), &second, Some(&second)).1, Some(Keep::ForgetNext));
        assert_eq!(KeptConfigs::new(Sid(1), &first, Some(&second)).1, None);
    }

    #[test]
    fn versions_stand_behind_the_last_dot() {
        for (name, version) in [("zoo.cfg.dynamic.1f", 0x1f), ("zoo.cfg.dynamic", 0), ("zoo.cfg.dynamic.-1", 0), ("x", 0)] {
            assert_eq!(KeptConfigs::version_of(name), version, "{name}");
        }
    }
}
