//! The modules of a crate, and the file that defines a name.

use std::collections::{BTreeMap, BTreeSet};

use syn::Item;

use super::mentions::{Mentions, Path};

/// Each file with the files that it needs, and the names that it needs of each.
pub type Needs = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The modules of a crate, its root first.
pub struct Modules(Vec<Module>);

struct Module {
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
    mentions: Mentions,
}

/// What a path leads to: a module, or the item of this name in a module.
enum Place {
    Module(usize),
    Item(usize, String),
}

/// The imports on the way to a name, each of which is followed once.
type Followed = BTreeSet<(usize, String, Path)>;

impl Modules {
    /// From the texts of the files by their paths from `src`; the root is `lib.rs`, or `main.rs` where there is none.
    pub fn read(files: &BTreeMap<String, String>) -> Self {
        let root = ["lib.rs", "main.rs"].into_iter().find(|file| files.contains_key(*file));
        let root = root.expect("a crate has a root");
        let mut modules = Self(Vec::new());
        modules.add(files, root, "", 0, parsed(files, root));
        modules
    }

    /// Adds the module of `items`, whose children lie in `folder`, and all below it; returns its place.
    fn add(
        &mut self,
        files: &BTreeMap<String, String>,
        file: &str,
        folder: &str,
        parent: usize,
        items_here: Vec<Item>,
    ) -> usize {
        let place = self.0.len();
        let mut mentions = Mentions::of(&items_here);
        let children = std::mem::take(&mut mentions.children);
        self.0.push(Module {
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            mentions,
        });
        for (name, content) in children {
            let below = format!("{folder}{name}/");
            let child = match content {
                Some(items_there) => self.add(files, file, &below, place, items_there),
                None => {
                    let candidates = [format!("{folder}{name}.rs"), format!("{below}mod.rs")];
                    let own = candidates.into_iter().find(|file| files.contains_key(file));
                    let own = own.unwrap_or_else(|| panic!("{file}: the module {name} has no file"));
                    self.add(files, &own, &below, place, parsed(files, &own))
                }
            };
            self.0[place].children.insert(name, child);
        }
        place
    }

    /// What every file needs.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::new();
        for (place, module) in self.0.iter().enumerate() {
            for path in &module.mentions.needed {
                for (file, name) in self.items(place, path).filter(|(file, _)| *file != module.file) {
                    let names = needs.entry(module.file.clone()).or_default().entry(file.to_owned());
                    names.or_default().insert(name);
                }
            }
        }
        needs
    }

    /// The items that `path` leads to from `module`: the file of each, and its name.
    fn items(&self, module: usize, path: &[String]) -> impl Iterator<Item = (&str, String)> {
        let places = self.follow(module, path, &mut Followed::new());
        places.into_iter().filter_map(|place| match place {
            Place::Item(module, name) => Some((self.0[module].file.as_str(), name)),
            Place::Module(_) => None,
        })
    }

    /// All that `path` leads to from `module`; nothing where it leads to another crate, or is no name at all.
    fn follow(&self, module: usize, path: &[String], followed: &mut Followed) -> Vec<Place> {
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        let mut places = match first.as_str() {
            "crate" => vec![Place::Module(0)],
            _ => self.name(module, first, followed),
        };
        for segment in rest {
            // What follows the name of an item is its own: a variant, an associated function.
            let modules = places.iter().filter_map(|place| match place {
                Place::Module(module) => Some(*module),
                Place::Item(..) => None,
            });
            let found: Vec<Place> = modules
                .flat_map(|module| self.name(module, segment, followed))
                .collect();
            places.retain(|place| matches!(place, Place::Item(..)) && found.is_empty());
            places.extend(found);
        }
        places
    }

    /// All that a name means in a module.
    fn name(&self, module: usize, name: &str, followed: &mut Followed) -> Vec<Place> {
        let here = &self.0[module];
        match name {
            "self" => return vec![Place::Module(module)],
            "super" => return vec![Place::Module(here.parent)],
            _ => {}
        }
        let mut places: Vec<Place> = here
            .children
            .get(name)
            .map(|&child| Place::Module(child))
            .into_iter()
            .collect();
        if here.mentions.defined.contains(name) {
            places.push(Place::Item(module, name.to_owned()));
        }
        for path in here.mentions.imported.get(name).into_iter().flatten() {
            if followed.insert((module, name.to_owned(), path.clone())) {
                places.extend(self.follow(module, path, followed));
            }
        }
        if places.is_empty() {
            places = self.name_behind_a_star(module, name, followed);
        }
        places
    }

    /// All that a name means in the modules of which `module` brings in everything.
    fn name_behind_a_star(&self, module: usize, name: &str, followed: &mut Followed) -> Vec<Place> {
        let mut places = Vec::new();
        for path in &self.0[module].mentions.globs {
            if followed.insert((module, name.to_owned(), path.clone())) {
                for place in self.follow(module, path, followed) {
                    if let Place::Module(there) = place {
                        places.extend(self.name(there, name, followed));
                    }
                }
            }
        }
        places
    }
}

fn parsed(files: &BTreeMap<String, String>, file: &str) -> Vec<Item> {
    let content = syn::parse_file(&files[file]);
    content.unwrap_or_else(|error| panic!("{file}: {error}")).items
}
