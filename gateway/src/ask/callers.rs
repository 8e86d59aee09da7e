//! Callers: who is known by a key, on the listeners that are not for members. A key file has a line for
//! each: `NAME EXPIRES KEY`, for operators `NAME ROLE EXPIRES KEY`.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use engine::rules::time::Millis;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// The fewest characters of a key.
const KEY_MIN: usize = 16;
const NAME_MAX: usize = 64;

/// What an operator may do; each may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Reads.
    Viewer,
    /// Sees members.
    Agent,
    /// Runs sales.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Viewer, Self::Agent, Self::Operator, Self::Admin];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// The callers that have a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
    /// `None`: the key does not expire.
    pub(crate) expires_at: Option<Millis>,
}

/// The callers of one listener. Digests of keys are kept and compared and not the keys, so that the
/// time of a comparison tells nothing of a key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Callers(Vec<([u8; 32], Caller)>);

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, caller)| caller)).finish()
    }
}

/// What is wrong with a key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCallers {
    #[error("it has no key")]
    Empty,
    #[error("the key has fewer than {KEY_MIN} characters; use a longer one")]
    Short,
    #[error("line {line}: {why}")]
    Line { line: usize, why: String },
}

/// The first key in a key file; where keys have roles, the first one that is an admin's.
pub(crate) fn first_key(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut keys = lines.filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [key] | [_, _, key] | [_, "admin", _, key] => Some(key),
        _ => None,
    });
    keys.next()
}

impl Callers {
    /// Reads a key file. One bare key is the key of an admin named `key`, and does not expire. Empty
    /// lines and those that begin with `#` say nothing.
    pub(crate) fn read(text: &str, has_roles: bool) -> Result<Self, BadCallers> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines: Vec<(usize, &str)> =
            lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
        match lines.as_slice() {
            [] => Err(BadCallers::Empty),
            [(_, key)] if !key.contains(char::is_whitespace) => {
                if key.len() < KEY_MIN {
                    return Err(BadCallers::Short);
                }
                let caller = Caller { name: "key".into(), role: Role::Admin, expires_at: None };
                Ok(Self(vec![(digest(key), caller)]))
            }
            lines => {
                let mut callers = Self(Vec::new());
                for (nth, line) in lines {
                    let added = caller(line, has_roles).and_then(|(key, c)| callers.add(key, c));
                    added.map_err(|why| BadCallers::Line { line: nth + 1, why })?;
                }
                Ok(callers)
            }
        }
    }

    fn add(&mut self, key: &str, caller: Caller) -> Result<(), String> {
        if self.0.iter().any(|(_, other)| other.name == caller.name) {
            return Err(format!("the name `{}` stands there twice", caller.name));
        }
        let digest = digest(key);
        if self.0.iter().any(|(other, _)| *other == digest) {
            return Err("the key stands there twice".into());
        }
        self.0.push((digest, caller));
        Ok(())
    }

    /// The caller that sent a request with these headers; `None` if nobody is known by its key now.
    pub(crate) fn of(&self, headers: &HeaderMap, now: Millis) -> Option<&Caller> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (given.next(), given.next()) else { return None };
        let (scheme, key) = header.to_str().ok()?.split_once(' ')?;
        let digest = digest(key.trim());
        let is_it = |(other, _): &&([u8; 32], Caller)| *other == digest;
        let (_, caller) = self.0.iter().find(is_it)?;
        let is_over = caller.expires_at.is_some_and(|until| until <= now);
        (scheme.eq_ignore_ascii_case("bearer") && !is_over).then_some(caller)
    }

    /// The callers that are known now and were not before, and the reverse, in a sentence; `None` if
    /// nothing changed.
    pub(crate) fn changes(&self, before: &Self) -> Option<String> {
        let only = |these: &Self, those: &Self| {
            let names = these.0.iter().filter(|caller| !those.0.contains(caller));
            names.map(|(_, caller)| caller.name.to_string()).collect::<Vec<_>>().join(", ")
        };
        let (added, gone) = (only(self, before), only(before, self));
        match (added.as_str(), gone.as_str()) {
            ("", "") => None,
            (added, "") => Some(format!("added: {added}")),
            ("", gone) => Some(format!("gone: {gone}")),
            (added, gone) => Some(format!("added: {added}; gone: {gone}")),
        }
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn caller(line: &str, has_roles: bool) -> Result<(&str, Caller), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, role, expires, key) = match (words.as_slice(), has_roles) {
        ([name, role, expires, key], true) => {
            let known = Role::ALL.into_iter().find(|known| known.as_str() == *role);
            let one_of = || format!("`{role}` is none of viewer, agent, operator, admin");
            (*name, known.ok_or_else(one_of)?, *expires, *key)
        }
        ([name, expires, key], false) => (*name, Role::Admin, *expires, *key),
        (_, true) => return Err("write NAME ROLE EXPIRES KEY".into()),
        (_, false) => return Err("write NAME EXPIRES KEY".into()),
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
    if name.len() > NAME_MAX || !name.bytes().all(is_plain) {
        return Err(format!("a name is 1 to {NAME_MAX} of A-Z a-z 0-9 . _ - @"));
    }
    if key.len() < KEY_MIN {
        return Err(format!("the key of {name} has fewer than {KEY_MIN} characters"));
    }
    let expires_at = match expires {
        "never" => None,
        instant => {
            let at: jiff::Timestamp = instant.parse().map_err(|_| {
                format!("`{instant}` is neither `never` nor an instant in RFC 3339")
            })?;
            Some(Millis(u64::try_from(at.as_millisecond()).unwrap_or(0)))
        }
    };
    Ok((key, Caller { name: name.into(), role, expires_at }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(key: &str) -> HeaderMap {
        let value = HeaderValue::try_from(format!("Bearer {key}")).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    #[test]
    fn each_key_is_somebodys_until_it_expires() {
        let text = "# the team\nann viewer never 0123456789abcdef\n\n\
                    bob admin 2026-01-01T00:00:00Z fedcba9876543210\n";
        let callers = Callers::read(text, true).unwrap();
        let name = |key: &str, now| callers.of(&with(key), Millis(now)).map(|c| (&*c.name, c.role));
        let end = 1_767_225_600_000;
        assert_eq!(name("0123456789abcdef", end), Some(("ann", Role::Viewer)));
        assert_eq!(name("fedcba9876543210", end - 1), Some(("bob", Role::Admin)));
        assert_eq!(name("fedcba9876543210", end), None);
        assert_eq!(name("0123456789abcdeF", 0), None);
        let twice: HeaderMap = [with("0123456789abcdef"), with("0123456789abcdef")]
            .into_iter()
            .flat_map(|headers| headers.into_iter().map(|(_, value)| (AUTHORIZATION, value)))
            .collect();
        assert_eq!(callers.of(&twice, Millis(0)), None);
        assert!(Role::Viewer < Role::Agent && Role::Operator < Role::Admin);
    }

    #[test]
    fn one_bare_key_is_an_admins() {
        let callers = Callers::read("0123456789abcdef\n", true).unwrap();
        let caller = callers.of(&with("0123456789abcdef"), Millis::MAX).unwrap();
        assert_eq!((&*caller.name, caller.role), ("key", Role::Admin));
        assert_eq!(Callers::read("short\n", true), Err(BadCallers::Short));
        assert_eq!(Callers::read("\n# nothing\n", true), Err(BadCallers::Empty));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_with_its_number() {
        let key = "0123456789abcdef";
        for (line, said) in [
            (format!("ann never {key}"), "line 2: write NAME ROLE EXPIRES KEY"),
            (format!("ann chief never {key}"), "line 2: `chief` is none of viewer"),
            (format!("ann viewer soon {key}"), "line 2: `soon` is neither `never` nor"),
            ("ann viewer never short".into(), "line 2: the key of ann has fewer than 16"),
            (format!("a/b viewer never {key}"), "line 2: a name is 1 to 64"),
            (format!("eve viewer never {key}"), "line 2: the name `eve` stands there twice"),
            ("ann viewer never fedcba9876543210".into(), "line 2: the key stands there twice"),
        ] {
            let text = format!("eve admin never fedcba9876543210\n{line}\n");
            let error = Callers::read(&text, true).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
        let platform = Callers::read(&format!("shop never {key}\norders never {key}1"), false);
        assert_eq!(platform.unwrap().0.len(), 2);
    }

    #[test]
    fn what_changed_is_told_by_name() {
        let read = |text: &str| Callers::read(text, false).unwrap();
        let key = "0123456789abcdef";
        let before = read(&format!("a never {key}a\nb never {key}b\n"));
        assert_eq!(before.changes(&before), None);
        let after = read(&format!("a never {key}a\nc never {key}c\n"));
        assert_eq!(after.changes(&before).unwrap(), "added: c; gone: b");
    }
}
