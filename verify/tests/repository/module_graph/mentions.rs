//! The names that a module defines, takes from elsewhere and mentions.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ImplItem, Item, ItemUse, Macro, UseTree, Visibility};

use crate::test_code::{is_test, is_test_in_impl};

/// A path, segment by segment.
pub type Path = Vec<String>;

/// What stands in a module, its own child modules apart; names inside functions are taken for the module's own.
#[derive(Default)]
pub struct Mentions {
    /// Names of items that are defined here.
    pub defined: BTreeSet<String>,
    /// Names that `use` brings in, with where from: a name may mean several things.
    pub imported: BTreeMap<String, BTreeSet<Path>>,
    /// Modules of which `use` brings in all names.
    pub globs: BTreeSet<Path>,
    /// Paths that code needs: all but those of re-exports.
    pub needed: BTreeSet<Path>,
    /// Child modules: the items of one that is written here, `None` for one with a file of its own.
    pub children: Vec<(String, Option<Vec<Item>>)>,
}

impl Mentions {
    /// Of a module with these items.
    pub fn of(items: &[Item]) -> Self {
        let mut mentions = Self::default();
        for item in items {
            mentions.visit_item(item);
        }
        mentions
    }

    /// `path` is what stands before `tree`.
    fn import(&mut self, tree: &UseTree, path: &[String], reexported: bool) {
        let longer = |name: &syn::Ident| [path, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(tree) => self.import(&tree.tree, &longer(&tree.ident), reexported),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, path, reexported)),
            UseTree::Glob(_) => drop(self.globs.insert(path.to_vec())),
            UseTree::Name(tree) if tree.ident == "self" => {
                let name = path.last().cloned().unwrap_or_default();
                self.bring_in(name, path.to_vec(), reexported);
            }
            UseTree::Name(tree) => self.bring_in(tree.ident.to_string(), longer(&tree.ident), reexported),
            UseTree::Rename(tree) => self.bring_in(tree.rename.to_string(), longer(&tree.ident), reexported),
        }
    }

    fn bring_in(&mut self, name: String, path: Path, reexported: bool) {
        if !reexported {
            self.needed.insert(path.clone());
        }
        self.imported.entry(name).or_default().insert(path);
    }

    /// Paths among the tokens of a macro; a name behind a dot is a field or a method.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path = Path::new();
        let mut signs = String::new();
        for token in tokens {
            match token {
                TokenTree::Punct(sign) => {
                    signs.push(sign.as_char());
                    continue;
                }
                TokenTree::Ident(name) if signs == "::" && !path.is_empty() => path.push(name.to_string()),
                TokenTree::Ident(name) => {
                    self.needed.insert(std::mem::take(&mut path));
                    if signs != "." {
                        path.push(name.to_string());
                    }
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Literal(_) => {}
            }
            signs.clear();
        }
        self.needed.insert(path);
        self.needed.remove(&Path::new());
    }
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(item) {
            return;
        }
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Mod(module) => {
                let items = module.content.as_ref().map(|(_, items)| items.clone());
                return self.children.push((module.ident.to_string(), items));
            }
            _ => None,
        };
        self.defined.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !is_test_in_impl(item) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string());
        self.needed.insert(segments.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.visit_path(&called.path);
        self.scan(called.tokens.clone());
    }
}
