//! The function library: its text, and the name that goes with exactly this text.
//!
//! Two versions of Flashlane that share a Redis each call their own library.

use super::keys::SaleKeys;
use crate::store::planted::mutated;
use redis::{Arg, Cmd};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const TEXT: &str = concat!(
    include_str!("rows.lua"),
    include_str!("nodes.lua"),
    include_str!("book.lua"),
    include_str!("transactions.lua")
);

/// `flashlane_` and the beginning of the text's SHA-256.
pub(super) static NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(mutated(TEXT).as_bytes());
    digest[..6].iter().fold("flashlane_".to_owned(), |name, byte| name + &format!("{byte:02x}"))
});

/// What `FUNCTION LOAD` is given.
pub(super) static SOURCE: LazyLock<String> =
    LazyLock::new(|| mutated(TEXT).replace("@LIBRARY@", &NAME));

/// A call of one of the library's functions on a sale's keys, without its arguments.
pub(super) fn call(function: &str, keys: &SaleKeys) -> Cmd {
    call_on(function, &keys.all())
}

/// The call that puts the rows of a newer layout in place of a sale's older ones.
pub(super) fn upgrade_call(keys: &SaleKeys, new: &[String; 3]) -> Cmd {
    let all: Vec<&str> = keys.all().into_iter().chain(new.iter().map(String::as_str)).collect();
    call_on("upgrade", &all)
}

/// A call of one of the library's functions on a bucket of the members' book.
pub(super) fn book_call(function: &str, keys: &[String; 7]) -> Cmd {
    call_on(function, &keys.each_ref().map(String::as_str))
}

/// As [`call`], on no keys.
pub(super) fn bare_call(function: &str) -> Cmd {
    call_on(function, &[])
}

/// As [`call`], on these keys.
pub(super) fn call_on(function: &str, keys: &[&str]) -> Cmd {
    let mut call = redis::cmd("FCALL");
    call.arg(format!("{}_{function}", *NAME)).arg(keys.len()).arg(keys);
    call
}

/// What is answered with these is either no order's or seen again by a call that waits for replicas.
const ANYWHERE: [&str; 2] = ["lacks", "living"];
/// As [`ANYWHERE`]. The outbox and what the book decides by are not among them: others act on what they read there.
const PLAIN_ANYWHERE: [&[u8]; 14] = [
    b"CONFIG",
    b"EXISTS",
    b"GET",
    b"HGET",
    b"HGETALL",
    b"HLEN",
    b"HMGET",
    b"HSCAN",
    b"INFO",
    b"SISMEMBER",
    b"SMEMBERS",
    b"TIME",
    b"TYPE",
    b"ZRANGE",
];

/// Whether the answer to a command counts though replicas may lack what it says.
pub(super) fn counts_anywhere(command: &Cmd) -> bool {
    let mut words = command.args_iter().map(|word| match word {
        Arg::Simple(word) => word,
        _ => &[],
    });
    match words.next() {
        Some(b"FCALL") => words.next().is_some_and(|name| {
            let function =
                name.strip_prefix(NAME.as_bytes()).and_then(|name| name.strip_prefix(b"_"));
            ANYWHERE.iter().any(|reading| Some(reading.as_bytes()) == function)
        }),
        // The mark of what was deleted goes without a mark.
        Some(b"UNLINK") => words.all(|key| key.ends_with(b":written")),
        Some(name) => PLAIN_ANYWHERE.contains(&name),
        None => false,
    }
}

/// Whether this error of Redis says that the library is not there.
pub(super) fn is_missing(why: &str) -> bool {
    why.contains("Function not found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::order::{Status, Step};
    use membership::Tier;
    use std::collections::BTreeMap;

    /// The words of a table that is named `name` in the Lua: every name, string and number, and its
    /// braces.
    fn words(name: &str) -> Vec<String> {
        let start = format!("local {name} = {{");
        let table = TEXT.split(&start).nth(1).unwrap_or_else(|| panic!("there is no table {name}"));
        let (mut depth, mut words) = (1, vec![String::new()]);
        for c in table.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 {
                break;
            }
            match c {
                '{' | '}' => words.extend([c.to_string(), String::new()]),
                c if c.is_alphanumeric() || c == '_' => {
                    words.last_mut().expect("a word is begun").push(c);
                }
                _ => words.push(String::new()),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// A flat table: each name and its value.
    fn table(name: &str) -> BTreeMap<String, String> {
        words(name).chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    fn expected(
        rows: impl IntoIterator<Item = (&'static str, String)>,
    ) -> BTreeMap<String, String> {
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn an_orders_life_is_the_same_in_rust_and_in_lua() {
        assert_eq!(words("STATES"), Status::STORED.map(Status::as_str));
        let holding = Status::STORED.into_iter().filter(|status| status.holds_units());
        let holding = holding.map(|status| (status.as_str(), "true".to_owned()));
        assert_eq!(table("HOLDING"), expected(holding));
        let paths = Status::STORED.iter().flat_map(|status| {
            let states = status.path().iter().map(|state| state.as_str());
            [status.as_str(), "{"].into_iter().chain(states).chain(["}"])
        });
        assert_eq!(words("PATHS"), paths.collect::<Vec<_>>());
        let tiers = Tier::ALL.map(|tier| (tier.as_str(), (tier as u32 + 1).to_string()));
        assert_eq!(table("TIERS"), expected(tiers));

        let mut after = words("AFTER").into_iter();
        type Leads = fn(Status) -> Option<Status>;
        let refund: (_, Leads) = ("refund", Status::after_refund);
        let steps: [(_, Leads); 3] = [
            (Step::Pay.as_str(), |status| status.after(Step::Pay)),
            (Step::Cancel.as_str(), |status| status.after(Step::Cancel)),
            (Step::Expire.as_str(), |status| status.after(Step::Expire)),
        ];
        assert_eq!(steps.map(|(name, _)| name), Step::ALL.map(Step::as_str));
        for (name, leads_to) in steps.into_iter().chain([refund]) {
            assert_eq!(after.next().as_deref(), Some(name));
            let leads: Vec<_> = after.by_ref().skip(1).take_while(|word| word != "}").collect();
            let leads: BTreeMap<_, _> =
                leads.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            let rust = Status::STORED.into_iter().filter_map(|status| {
                Some((status.as_str(), leads_to(status)?.as_str().to_owned()))
            });
            assert_eq!(leads, expected(rust), "{name}");
        }
        assert_eq!(after.next(), None, "the Lua knows of a step more");
    }

    #[test]
    fn each_bug_that_is_planted_has_one_place_to_stand_in() {
        for (name, from, _) in crate::store::planted::mutations::MUTATIONS {
            assert_eq!(TEXT.matches(from).count(), 1, "{name}");
        }
    }

    #[test]
    fn the_keys_have_the_same_names_in_the_same_order_in_rust_and_in_lua() {
        assert_eq!(words("KEYS"), SaleKeys::NAMES);
    }
}
