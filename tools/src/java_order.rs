//! The order in which Java's hash tables list what was put into them: SnapshotFormatter prints children and sessions
//! in it, and two outputs can only be compared line by line if ours is the same.

/// What a `HashSet<String>` that was made for `capacity` elements lists, given the names in the order in which they came.
pub fn strings<T>(names: Vec<T>, capacity: usize, text: impl Fn(&T) -> &str) -> Vec<T> {
    order(names, capacity, |name| string_hash(text(name)))
}

/// What a `HashMap` with keys of type `Long`, made without a capacity, lists.
pub fn longs<T>(entries: Vec<T>, key: impl Fn(&T) -> i64) -> Vec<T> {
    order(entries, 16, |entry| {
        let key = key(entry);
        (key ^ (key as u64 >> 32) as i64) as u32
    })
}

/// `String.hashCode`: over UTF-16 units.
fn string_hash(text: &str) -> u32 {
    let step = |hash: u32, unit: u32| hash.wrapping_mul(31).wrapping_add(unit);
    if text.is_ascii() {
        text.bytes().fold(0, |hash, byte| step(hash, u32::from(byte)))
    } else {
        text.encode_utf16().fold(0, |hash, unit| step(hash, u32::from(unit)))
    }
}

/// Java's tables have a power of two of bins and double when they are three quarters full; below 64 bins also when one
/// bin takes a ninth element. A bin lists its elements in the order they came. (A larger table turns such a bin into
/// a tree, whose first element may be another: that is not followed here, and needs nine names that collide.)
fn order<T>(items: Vec<T>, capacity: usize, hash: impl Fn(&T) -> u32) -> Vec<T> {
    const LONGEST_LIST: usize = 8;
    const SMALLEST_WITH_TREES: usize = 64;
    let mut bins = capacity.next_power_of_two();
    let mut placed: Vec<(u32, T)> = Vec::with_capacity(items.len());
    for item in items {
        let hash = hash(&item);
        let hash = hash ^ hash >> 16;
        placed.push((hash, item));
        let bin = |hash: u32, bins: usize| hash as usize & (bins - 1);
        if bins < SMALLEST_WITH_TREES && placed.iter().filter(|(other, _)| bin(*other, bins) == bin(hash, bins)).count() > LONGEST_LIST {
            bins *= 2;
        }
        if placed.len() > bins / 4 * 3 {
            bins *= 2;
        }
    }
    // Stable: of one bin, first come, first listed.
    placed.sort_by_key(|(hash, _)| *hash as usize & (bins - 1));
    placed.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_a_java_hash_set_lists_them() {
        assert_eq!(string_hash("abc"), 96354);
        assert_eq!(string_hash("日本"), 835_047);
        let listed = strings(vec!["quota", "config", "b", "a", "ba"], 8, |name| name);
        let bin = |name: &str| {
            let hash = string_hash(name);
            (hash ^ hash >> 16) & 7
        };
        assert!(listed.windows(2).all(|pair| bin(pair[0]) <= bin(pair[1])), "{listed:?}");
    }

    #[test]
    fn a_full_bin_doubles_a_small_table() {
        // All in bin 0 of 16: eight of them leave the table, the ninth doubles it, the tenth again.
        let keys: Vec<i64> = (0..9).map(|n| n * 16).collect();
        let listed = longs(keys.clone(), |key| *key);
        assert_eq!(listed, [0, 32, 64, 96, 128, 16, 48, 80, 112]);
        assert_eq!(longs(keys[..8].to_vec(), |key| *key), keys[..8]);
    }
}
