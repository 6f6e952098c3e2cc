//! The documentation of every item of a file.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, ImplItem, Item, ItemImpl, Lit, Meta, TraitItemFn, Type};

use crate::test_code::{is_test, is_test_in_impl};

/// Each item of a file, `file::name`, or `file::Type::name` for a function of a type or trait, with all that is documented in it; the
/// file itself holds what its head says. Code under `#[cfg(test)]` is left out.
///
/// # Panics
/// Where the file is not Rust.
pub fn documented_items(file: &str, text: &str) -> BTreeMap<String, String> {
    let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut documented = Documented {
        items: BTreeMap::from([(file.to_owned(), String::new())]),
        item: file.to_owned(),
    };
    documented.visit_file(&parsed);
    documented.items
}

struct Documented {
    items: BTreeMap<String, String>,
    /// The innermost item around what is visited.
    item: String,
}

impl Documented {
    /// Visits what is inside the item `name` of the present one.
    fn inside(&mut self, name: &str, visit: impl FnOnce(&mut Self)) {
        let inner = format!("{}::{name}", self.item);
        let outer = std::mem::replace(&mut self.item, inner);
        self.items.entry(self.item.clone()).or_default();
        visit(self);
        self.item = outer;
    }
}

impl<'ast> Visit<'ast> for Documented {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(item) {
            return;
        }
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Mod(item) if item.content.is_some() => &item.ident,
            _ => return visit::visit_item(self, item),
        };
        self.inside(&name.to_string(), |inner| visit::visit_item(inner, item));
    }
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        match &*item.self_ty {
            Type::Path(path) if path.path.segments.last().is_some() => {
                let name = &path.path.segments[path.path.segments.len() - 1].ident;
                self.inside(&name.to_string(), |inner| visit::visit_item_impl(inner, item));
            }
            _ => visit::visit_item_impl(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            item if is_test_in_impl(item) => {}
            ImplItem::Fn(function) => self.inside(&function.sig.ident.to_string(), |inner| {
                visit::visit_impl_item(inner, item)
            }),
            _ => visit::visit_impl_item(self, item),
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.inside(&function.sig.ident.to_string(), |inner| {
            visit::visit_trait_item_fn(inner, function)
        });
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::NameValue(meta) = &attribute.meta
            && meta.path.is_ident("doc")
            && let Expr::Lit(ExprLit {
                lit: Lit::Str(line), ..
            }) = &meta.value
        {
            let documentation = self.items.entry(self.item.clone()).or_default();
            documentation.push_str(&line.value());
            documentation.push('\n');
        }
    }
}
