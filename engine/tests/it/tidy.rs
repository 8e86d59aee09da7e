//! The sources keep the house rules that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

/// The lock-free core and the ground that it stands on: what loom sees, and what knows no async and
/// no store.
const CORE: [&str; 7] = ["clock", "fault", "roster", "rules", "sale", "sync", "timing"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the workspace, by its path from the root.
pub(crate) fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    for folder in ["membership", "engine", "gateway", "benches", "loom-tests"] {
        walk(&root().join(folder), &mut paths);
    }
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let sources: Vec<_> = paths.into_iter().map(named).collect();
    assert!(sources.len() > 40, "the sources were not found");
    sources
}

pub(crate) fn is_test(name: &str) -> bool {
    name.contains("/tests/")
}

/// The engine's own code, without its unit tests.
fn engine() -> Vec<(String, String)> {
    let sources = sources().into_iter().filter(|(name, _)| name.starts_with("engine/src/"));
    let untested = |(name, text): (String, String)| {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code = code.split("#[cfg(all(test").next().unwrap().to_owned();
        (name, code)
    };
    sources.map(untested).collect()
}

fn offenders(sources: &[(String, String)], allowed: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources.iter().filter(|(name, _)| !allowed.contains(&name.as_str())) {
        for (line, number) in text.lines().zip(1..) {
            let code = line.split("//").next().unwrap();
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

fn none(offenders: &[String]) {
    assert!(offenders.is_empty(), "\n{}", offenders.join("\n"));
}

#[test]
fn only_the_facade_names_atomics_and_the_queue() {
    let words = ["sync::atomic", "crossbeam", "papaya", "loom::", "once_cell"];
    none(&offenders(&engine(), &["engine/src/sync.rs"], &words));
}

#[test]
fn only_the_clock_reads_the_time() {
    let words = ["SystemTime", "Instant::now", "UNIX_EPOCH", "Timestamp::now"];
    none(&offenders(&engine(), &["engine/src/clock.rs"], &words));
}

#[test]
fn the_core_knows_no_async_and_no_store() {
    let is_core = |name: &str| {
        let name = name.strip_prefix("engine/src/").expect("the engine's own code");
        let name = name.split('/').next().expect("a name").trim_end_matches(".rs");
        CORE.contains(&name)
    };
    let core: Vec<_> = engine().into_iter().filter(|(name, _)| is_core(name)).collect();
    assert!(core.len() > 12, "the core was not found");
    let rooms = ["crate::store", "crate::open", "crate::confirm", "crate::engine"];
    none(&offenders(&core, &[], &rooms));
    none(&offenders(&core, &[], &["tokio", "redis", "redb", "async "]));
}

#[test]
fn every_file_begins_by_saying_what_lives_in_it() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//!"));
    none(&silent.map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn files_can_be_read_in_a_sitting() {
    let mut lines = Vec::new();
    let mut long = Vec::new();
    for (name, text) in sources() {
        let count = text.lines().count();
        if count > if is_test(&name) { 600 } else { 400 } {
            long.push(format!("{name}: {count} lines"));
        }
        if !is_test(&name) {
            lines.push(count);
        }
    }
    none(&long);
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median <= 200, "the median file has {median} lines");
}

#[test]
fn every_ordering_says_why() {
    let mut silent = Vec::new();
    for (name, text) in sources() {
        if name == "engine/tests/it/tidy.rs" {
            continue;
        }
        let lines: Vec<_> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let orderings = ["Relaxed", "Acquire", "Release", "AcqRel"];
            let names_one = orderings.iter().any(|o| line.contains(&format!("Ordering::{o}")));
            let code = line.split("//").next().unwrap();
            let explained =
                lines[i.saturating_sub(12)..=i].iter().any(|l| l.contains("// Ordering:"));
            if names_one && code.contains("Ordering::") && !explained {
                silent.push(format!("{name}:{}: {}", i + 1, line.trim()));
            }
        }
    }
    none(&silent);
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!", "unimplemented!", "SeqCst", "spin_loop", "#[ignore"];
    none(&offenders(&sources(), &["engine/tests/it/tidy.rs"], &words));
    let marked = sources().into_iter().filter(|(name, text)| {
        name != "engine/tests/it/tidy.rs"
            && ["FIXME", "TODO", "XXX"].iter().any(|m| text.contains(m))
    });
    none(&marked.map(|(name, _)| name).collect::<Vec<_>>());
}

/// Finds functions, and how many lines each has.
struct Functions<'a> {
    file: &'a str,
    long: Vec<String>,
}

impl Functions<'_> {
    /// As many lines as fit on a screen.
    const LINES_MAX: usize = 70;

    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let start = signature.fn_token.span.start().line;
        let lines = body.brace_token.span.close().end().line + 1 - start;
        if lines > Self::LINES_MAX {
            self.long.push(format!("{}:{start}: {}: {lines} lines", self.file, signature.ident));
        }
    }
}

impl<'ast> syn::visit::Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig, body);
        }
    }
}

fn long_functions(file: &str, text: &str) -> Vec<String> {
    let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut functions = Functions { file, long: Vec::new() };
    syn::visit::Visit::visit_file(&mut functions, &syntax);
    functions.long
}

#[test]
fn functions_fit_on_a_screen() {
    let long = sources().into_iter().flat_map(|(name, text)| long_functions(&name, &text));
    none(&long.collect::<Vec<_>>());
}

#[test]
fn a_function_of_71_lines_is_noticed() {
    let of =
        |lines: usize| format!("struct S;\nimpl S {{\nfn f() {{{}}}\n}}", "\n".repeat(lines - 1));
    assert_eq!(long_functions("a.rs", &of(70)), [""; 0]);
    assert_eq!(long_functions("a.rs", &of(71)), ["a.rs:3: f: 71 lines"]);
}

#[test]
fn every_twin_says_what_it_dies_of() {
    let models = sources().into_iter().filter(|(name, _)| name.starts_with("loom-tests/tests/"));
    let models: Vec<_> = models.collect();
    assert!(models.iter().any(|(_, text)| text.contains("#[should_panic(expected = ")));
    none(&offenders(&models, &[], &["#[should_panic]"]));
}
