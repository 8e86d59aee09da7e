//! No file reaches itself through others.
//!
//! A file reaches another by a `use` or by a path in code. Not counted: `mod` lines, a re-export of a
//! module's own children, and what stands under `#[cfg(test)]`.

use crate::tidy::{is_test, sources};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use syn::visit::{self, Visit};

/// A crate and a path of modules in it.
type Module = (String, Vec<String>);

/// The files of a workspace by module, and what each of them names.
struct World {
    files: BTreeMap<Module, String>,
    /// By module: what it re-exports of its own children, and the path that leads there.
    reexports: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    /// By file: the files that it reaches, and a name that it takes from each.
    reached: BTreeMap<String, BTreeMap<String, String>>,
}

/// Returns the module that a file is. A program of its own counts as a crate of its own.
fn module(file: &str) -> Option<Module> {
    let (folder, path) = file.split_once("/src/")?;
    let name = folder.replace('-', "_");
    let path = path.strip_suffix(".rs")?;
    if path == "main" || path.starts_with("bin/") {
        return Some((format!("{name}/{path}"), Vec::new()));
    }
    let mut path: Vec<String> = path.split('/').map(str::to_owned).collect();
    path.pop_if(|last| last == "mod" || last == "lib");
    Some((name, path))
}

/// One `use` or path: where it starts, and whether it is a re-export.
struct Reach {
    from: Vec<String>,
    path: Vec<String>,
    is_reexport: bool,
}

/// Everything that a file names.
struct Names {
    at: Vec<String>,
    found: Vec<Reach>,
    /// Names that a `use` brings in, and the paths that they stand for.
    brought_in: BTreeMap<String, Vec<String>>,
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let says_test =
            |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == "test");
        let tokens = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && says_test(&tokens.replace("not(test)", ""))
    })
}

impl Names {
    fn add(&mut self, path: Vec<String>, is_reexport: bool) {
        self.found.push(Reach { from: self.at.clone(), path, is_reexport });
    }

    fn bring_in(&mut self, name: Option<String>, path: Vec<String>) {
        self.brought_in.extend(name.map(|name| (name, path)));
    }

    /// Adds a path in code. A path of a single name is left out, because it is local.
    fn add_path(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.add(path, false);
        }
    }

    fn add_tree(&mut self, tree: &syn::UseTree, before: &[String], is_reexport: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident), is_reexport),
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.bring_in(before.last().cloned(), before.to_vec());
                self.add(before.to_vec(), is_reexport);
            }
            syn::UseTree::Name(name) => {
                self.bring_in(Some(name.ident.to_string()), with(&name.ident));
                self.add(with(&name.ident), is_reexport);
            }
            syn::UseTree::Rename(name) => {
                self.bring_in(Some(name.rename.to_string()), with(&name.ident));
                self.add(with(&name.ident), is_reexport);
            }
            syn::UseTree::Glob(_) => self.add(before.to_vec(), is_reexport),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(tree, before, is_reexport));
            }
        }
    }

    /// Adds the paths in a macro's tokens, which the parser leaves as they are.
    fn add_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree::{Group, Ident, Punct};
        let (mut path, mut colons) = (Vec::new(), 2);
        for token in tokens {
            match token {
                Ident(name) if colons == 2 => path.push(name.to_string()),
                Ident(name) => {
                    self.add_path(std::mem::take(&mut path));
                    path.push(name.to_string());
                }
                Punct(colon) if colon.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                // `a::b::{c, d}`: as far as the names are common, they lead to a module.
                Group(group) => self.add_tokens(group.stream()),
                _ => {
                    self.add_path(std::mem::take(&mut path));
                    colons = 2;
                    continue;
                }
            }
            colons = 0;
        }
        self.add_path(path);
    }
}

impl Names {
    /// Paths that begin with a name that a `use` has brought in begin where that leads.
    fn follow_names(&mut self) {
        for reach in &mut self.found {
            let [first, rest @ ..] = &reach.path[..] else { continue };
            if let Some(path) = self.brought_in.get(first)
                && path.first() != Some(first)
            {
                reach.path = [&path[..], rest].concat();
            }
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test_only(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.at.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.at.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
        self.add_tree(&item.tree, &[], is_reexport);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add_path(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

impl World {
    fn of(sources: &[(String, String)]) -> Self {
        let named = |(file, _): &(String, String)| Some((module(file)?, file.clone()));
        let files = sources.iter().filter_map(named).collect();
        let mut world = Self { files, reexports: BTreeMap::new(), reached: BTreeMap::new() };
        let mut names = Vec::new();
        for (file, text) in sources {
            let Some((name, path)) = module(file) else { continue };
            let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            let mut of_file =
                Names { at: path.clone(), found: Vec::new(), brought_in: BTreeMap::new() };
            of_file.visit_file(&syntax);
            for reach in &of_file.found {
                let child = [&reach.from[..], &reach.path[..1.min(reach.path.len())]].concat();
                if reach.is_reexport && world.files.contains_key(&(name.clone(), child)) {
                    let item = reach.path.last().expect("a use names something").clone();
                    let of_module =
                        world.reexports.entry((name.clone(), path.clone())).or_default();
                    of_module.insert(item, reach.path.clone());
                }
            }
            of_file.follow_names();
            names.push((file, name, of_file.found));
        }
        for (file, name, found) in names {
            for reach in found {
                let is_own_child = reach.is_reexport
                    && world.is_module(&name, &[&reach.from[..], &reach.path[..1]].concat());
                if let Some((to, item)) = world.find(&name, &reach.from, &reach.path)
                    && !is_own_child
                    && to != *file
                {
                    world.reached.entry(file.clone()).or_default().entry(to).or_insert(item);
                }
            }
        }
        world
    }

    fn is_module(&self, name: &str, path: &[String]) -> bool {
        self.files.contains_key(&(name.to_owned(), path.to_vec()))
    }

    /// Returns the file that a path leads to, and the name that the path ends with.
    fn find(&self, name: &str, from: &[String], path: &[String]) -> Option<(String, String)> {
        let (mut name, mut at, mut rest) = (name.to_owned(), from.to_vec(), path);
        let first = path.first()?.as_str();
        if !self.is_module(&name, &[&at[..], &rest[..1]].concat()) {
            match first {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                other if self.is_module(other, &[]) => (name, at) = (other.to_owned(), Vec::new()),
                _ => return None,
            }
            rest = &rest[1..];
        }
        while let [next, more @ ..] = rest {
            match next.as_str() {
                "super" => drop(at.pop()),
                next if self.is_module(&name, &[&at[..], &[next.to_owned()]].concat()) => {
                    at.push(next.to_owned());
                }
                _ => break,
            }
            rest = more;
        }
        let reexported = self.reexports.get(&(name.clone(), at.clone()));
        if let Some(path) = rest.first().and_then(|item| reexported?.get(item)) {
            return self.find(&name, &at, path);
        }
        let item = path.last().expect("a path names something").clone();
        // A module that stands in its parent's file has no file of its own.
        while !self.is_module(&name, &at) {
            at.pop()?;
        }
        Some((self.files[&(name, at)].clone(), item))
    }

    /// Returns the shortest way from a file back to itself: each file, and the name that leads on.
    fn way_back(&self, start: &str) -> Option<Vec<(String, String)>> {
        let mut ways = VecDeque::from([(start.to_owned(), Vec::new())]);
        let mut seen = BTreeSet::new();
        while let Some((last, way)) = ways.pop_front() {
            for (next, item) in self.reached.get(&last).into_iter().flatten() {
                let longer = [&way[..], &[(last.clone(), item.clone())]].concat();
                if next == start {
                    return Some(longer);
                }
                if seen.insert(next.clone()) {
                    ways.push_back((next.clone(), longer));
                }
            }
        }
        None
    }

    /// Returns every circle once, in words.
    fn circles(&self) -> Vec<String> {
        let mut circles = BTreeMap::new();
        for start in self.reached.keys() {
            let Some(way) = self.way_back(start) else { continue };
            let files: BTreeSet<_> = way.iter().map(|(file, _)| file.clone()).collect();
            let arrows = way.iter().map(|(file, item)| format!("{file} -({item})-> "));
            circles.entry(files).or_insert_with(|| arrows.collect::<String>() + start);
        }
        circles.into_values().collect()
    }
}

#[test]
fn no_file_reaches_itself_through_others() {
    let own: Vec<_> = sources().into_iter().filter(|(name, _)| !is_test(name)).collect();
    let world = World::of(&own);
    let arrows: usize = world.reached.values().map(BTreeMap::len).sum();
    assert!(arrows > 300, "only {arrows} arrows were found");
    let circles = world.circles();
    assert!(circles.is_empty(), "import circles:\n{}", circles.join("\n"));
}

fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    World::of(&files).circles()
}

#[test]
fn a_circle_is_found_and_named_however_the_files_reach_one_another() {
    let (root, b) = (("a/src/lib.rs", "mod b; mod c;"), ("a/src/b.rs", "use crate::c::C;"));
    for back in [
        "use super::b::B;",
        "fn f(_: crate::b::B) {}",
        "fn f() { assert!(crate::b::is()) }",
        "use crate::{b::B, d};",
        "use crate::b; fn f(_: b::B) {}",
        "use crate as root; fn f() { use root::b::{B, D}; }",
        "#[openapi(paths(crate::b::list, crate::b::read))] struct S;",
        "#[cfg(not(test))] fn f(_: crate::b::B) {}",
    ] {
        assert_eq!(circles(&[root, b, ("a/src/c.rs", back)]).len(), 1, "{back}");
    }
    let parent = ("a/src/p/mod.rs", "mod q; use q::Q; pub struct P;");
    let child = ("a/src/p/q.rs", "use super::P; pub struct Q;");
    let found = circles(&[("a/src/lib.rs", "mod p;"), parent, child]);
    assert_eq!(found, ["a/src/p/mod.rs -(Q)-> a/src/p/q.rs -(P)-> a/src/p/mod.rs"]);
}

#[test]
fn what_is_no_circle_is_not_called_one() {
    let root = ("a/src/lib.rs", "mod p; pub use p::Q;");
    let parent = ("a/src/p/mod.rs", "mod q; mod r; pub use q::Q; pub use r::R;");
    let test = "pub struct Q; #[cfg(test)] mod tests { use super::super::R; use crate::Q; }";
    let r = ("a/src/p/r.rs", "use super::Q; pub struct R;");
    let other = ("b/src/lib.rs", "use a::Q;");
    assert_eq!(circles(&[root, parent, ("a/src/p/q.rs", test), r, other]), [""; 0]);
}
