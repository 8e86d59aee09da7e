//! Slots: which primary of a cluster serves which keys.

use super::address::Address;
use redis::{Arg, Cmd, FromRedisValue, Value};
use std::collections::{BTreeMap, HashMap};

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// Which primaries serve the slots.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slots {
    /// First and last slot of each range, in their order.
    ranges: Vec<(u16, u16, Address)>,
}

impl Slots {
    /// Reads what `CLUSTER SHARDS` answers. A shard whose primary is not well serves nothing.
    pub(super) fn read(answer: &Value, by: &Address, is_secret: bool) -> Option<Self> {
        let shards: Vec<HashMap<String, Value>> =
            FromRedisValue::from_redis_value(answer.clone()).ok()?;
        let mut ranges = Vec::new();
        for shard in &shards {
            let slots: Vec<u16> = field(shard, "slots")?;
            let nodes: Vec<HashMap<String, Value>> = field(shard, "nodes")?;
            let primary = nodes.iter().find(|node| {
                let is = |name, word| field::<String>(node, name).as_deref() == Some(word);
                is("role", "master") && is("health", "online")
            });
            let Some(node) = primary else { continue };
            let [first, second] =
                if is_secret { ["tls-port", "port"] } else { ["port", "tls-port"] };
            let port: Option<u16> = field(node, first).or_else(|| field(node, second));
            let host: String = match node.get("endpoint") {
                // It does not know how it is reached: as the one that was asked.
                Some(Value::Nil) => String::new(),
                Some(_) => field(node, "endpoint").unwrap_or_default(),
                None => field(node, "ip").unwrap_or_default(),
            };
            let address = port.and_then(|port| Address::told(&format!("{host}:{port}"), by));
            let Some(address) = address else { continue };
            ranges.extend(slots.chunks_exact(2).map(|of| (of[0], of[1], address.clone())));
        }
        ranges.sort_unstable();
        Some(Self { ranges })
    }

    /// What most say; of several that are said as often, the one with the most slots. A Redis that is cut off from the
    /// others goes on to say what was true before.
    pub(super) fn agreed(answers: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut said = BTreeMap::<Self, usize>::new();
        for answer in answers {
            *said.entry(answer).or_default() += 1;
        }
        said.into_iter().max_by_key(|(slots, by)| (*by, slots.count())).map(|(slots, _)| slots)
    }

    /// The primary that serves a slot.
    pub(super) fn serving(&self, slot: u16) -> Option<&Address> {
        let after = self.ranges.partition_point(|(first, _, _)| *first <= slot);
        let (_, last, address) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(address)
    }

    /// The primaries, each once.
    pub(super) fn primaries(&self) -> Vec<&Address> {
        let mut primaries: Vec<_> = self.ranges.iter().map(|(_, _, address)| address).collect();
        primaries.sort_unstable();
        primaries.dedup();
        primaries
    }

    /// How many slots are served.
    fn count(&self) -> u16 {
        self.ranges.iter().map(|(first, last, _)| last - first + 1).sum()
    }

    /// The first slot that no primary serves.
    pub(super) fn unserved(&self) -> Option<u16> {
        (0..SLOTS).find(|slot| self.serving(*slot).is_none())
    }
}

fn field<T: FromRedisValue>(of: &HashMap<String, Value>, name: &str) -> Option<T> {
    T::from_redis_value(of.get(name)?.clone()).ok()
}

/// The key that decides where a command goes; `None` if it has none.
pub(super) fn key(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().map(|word| match word {
        Arg::Simple(word) => word,
        _ => &[],
    });
    match words.next()? {
        b"FCALL" => words.nth(1).filter(|count| *count != b"0").and_then(|_| words.next()),
        b"XINFO" => words.nth(1),
        b"CLUSTER" | b"CONFIG" | b"FUNCTION" | b"INFO" => None,
        _ => words.next(),
    }
}

/// The part of a key that decides on its slot: what stands between the first braces, if something does.
pub(super) fn tag(key: &[u8]) -> &[u8] {
    let begins = key.iter().position(|byte| *byte == b'{').map_or(key.len(), |at| at + 1);
    let tag = key[begins..].split(|byte| *byte == b'}').next().unwrap_or_default();
    if tag.is_empty() || begins + tag.len() == key.len() { key } else { tag }
}

/// The slot of a key.
pub(super) fn slot(key: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag(key)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_slot_is_the_one_that_redis_says() {
        // What `CLUSTER KEYSLOT` answers.
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"flashlane:{drop}:sale"), slot(b"drop"));
        assert_eq!(slot(b"flashlane:{drop}:sale"), slot(b"{drop}"));
        for whole in [&b"a{}b"[..], b"a{b", b"a}b{"] {
            assert_eq!(tag(whole), whole);
        }
        assert_eq!(tag(b"{a}{b}"), b"a");
    }

    #[test]
    fn a_command_goes_where_its_first_key_is() {
        let command = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            key(&command).map(|key| String::from_utf8(key.to_vec()).unwrap())
        };
        assert_eq!(command(&["HGET", "a", "b"]).as_deref(), Some("a"));
        assert_eq!(command(&["FCALL", "f", "2", "a", "b", "c"]).as_deref(), Some("a"));
        assert_eq!(command(&["FCALL", "f", "0", "a"]), None);
        assert_eq!(command(&["XINFO", "STREAM", "a"]).as_deref(), Some("a"));
        assert_eq!(command(&["INFO"]), None);
    }

    #[test]
    fn what_most_say_counts_and_not_what_one_that_is_cut_off_says() {
        let served_by = |port| {
            let address = Address { host: "a".into(), port };
            Slots { ranges: vec![(0, 16_383, address)] }
        };
        let half = Slots { ranges: vec![(0, 99, Address { host: "a".into(), port: 1 })] };
        let agreed = |answers: &[&Slots]| Slots::agreed(answers.iter().copied().cloned());
        let (new, old) = (served_by(1), served_by(9));
        assert_eq!(agreed(&[&old, &new, &new]), Some(new.clone()));
        assert_eq!(agreed(&[&half, &new]), Some(new));
        assert_eq!(agreed(&[&half, &half, &old]), Some(half.clone()));
        assert_eq!(agreed(&[]), None);
    }

    #[test]
    fn a_slot_is_served_by_the_range_that_it_is_in() {
        let address = |port| Address { host: "a".into(), port };
        let slots = Slots { ranges: vec![(0, 99, address(1)), (200, 16_383, address(2))] };
        assert_eq!(slots.serving(0), Some(&address(1)));
        assert_eq!(slots.serving(99), Some(&address(1)));
        assert_eq!(slots.serving(100), None);
        assert_eq!(slots.serving(16_383), Some(&address(2)));
        assert_eq!(slots.unserved(), Some(100));
        assert_eq!(slots.primaries(), [&address(1), &address(2)]);
        assert_eq!(Slots::default().unserved(), Some(0));
    }
}
