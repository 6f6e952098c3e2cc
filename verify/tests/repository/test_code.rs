//! Code that is compiled for tests only.

use syn::{Attribute, ImplItem, Item};

/// Whether `#[cfg(test)]` stands before the item.
pub fn is_test(item: &Item) -> bool {
    marks_test(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    })
}

/// Whether `#[cfg(test)]` stands before the function of an `impl`.
pub fn is_test_in_impl(item: &ImplItem) -> bool {
    matches!(item, ImplItem::Fn(function) if marks_test(&function.attrs))
}

fn marks_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}
