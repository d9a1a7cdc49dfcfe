//! What a history says of the members of its ensemble.

use oxkeeper_proto::path;
use oxkeeper_tree::Tree;
use oxkeeper_zab::Config;

/// The last configuration that a member has seen proposed, at its start: what it kept beside zoo.cfg, or what its history
/// shows if that is later. It has acknowledged the transaction, even if its disk had no room for the file: by the earlier
/// configuration alone it might lead what is no quorum any more. An operator who has written the members into zoo.cfg
/// himself, without a version, means it, unless something later was kept beside them.
pub fn last_seen(in_force: &Config, kept: Option<Config>, tree: &Tree) -> Option<Config> {
    let shown = tree.get(path::CONFIG).and_then(|node| std::str::from_utf8(node.data()?).ok().map(str::to_owned));
    let known = kept.as_ref().map_or(in_force.version, |kept| kept.version.max(in_force.version));
    let shown =
        shown.and_then(|text| Config::parse(&text).ok()).filter(|shown| (in_force.version > 0 || kept.is_some()) && shown.version > known);
    shown.or(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_proto::Zxid;
    use oxkeeper_tree::TreeOptions;

    /// Seed 20938 on 74e4a82: a disk was full, and a member of the old ensemble led it.
    #[test]
    fn what_was_acknowledged_and_not_kept_is_in_the_history() {
        let config = |version: u64| Config::parse(&format!("server.1=a:1:2\nserver.2=b:1:2\nversion={version:x}")).unwrap();
        for (in_force, kept, shown, expected) in [
            (2, None, 3, Some(3)),
            (2, Some(3), 4, Some(4)),
            (2, Some(4), 3, Some(4)),
            (2, None, 2, None),
            (3, Some(2), 3, Some(2)),
            (0, None, 3, None),
            // Seed 5016498 on 9094fe2: there was no room for the first one that had a version either.
            (0, Some(2), 3, Some(3)),
        ] {
            let mut tree = Tree::new(TreeOptions::default());
            tree.show_config(&config(shown).to_text(), Zxid(shown.cast_signed()), 0);
            let seen = last_seen(&config(in_force), kept.map(config), &tree);
            assert_eq!(seen.map(|config| config.version), expected, "{in_force} {kept:?} {shown}");
        }
        assert_eq!(last_seen(&config(2), None, &Tree::new(TreeOptions::default())), None, "a tree without the znode");
    }
}
