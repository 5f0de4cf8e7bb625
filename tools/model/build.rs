// SPDX-License-Identifier: GPL-2.0

//! Cuts single items out of those source files of the module that cannot be compiled here as a whole.
//! The sources are formatted by rustfmt: an item ends with the first `}` that is indented as it is.

use std::{
    env,
    fs,
    path::Path, //
};

/// Returns the item that begins with `start`, which must be the beginning of one line only.
fn item(source: &str, start: &str) -> String {
    let lines: Vec<_> = source.lines().collect();
    let begins: Vec<_> = (0..lines.len())
        .filter(|&i| lines[i].trim_start().starts_with(start))
        .collect();
    assert_eq!(begins.len(), 1, "the model needs one item \"{start}\"");

    let begin = begins[0];
    let indent = &lines[begin][..lines[begin].len() - lines[begin].trim_start().len()];
    let end = lines[begin..]
        .iter()
        .position(|line| line.strip_prefix(indent) == Some("}"))
        .expect("the end of the item");
    lines[begin..=begin + end].join("\n")
}

fn main() {
    let rust = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../rust");
    let read = |file: &str| {
        let path = rust.join(file);
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read_to_string(path).unwrap()
    };
    let domain = read("domain.rs");
    let synchronize = read("domain/synchronize.rs");
    let submit = read("domain/submit.rs");
    let cut = [
        item(&domain, "struct State {"),
        item(&domain, "impl State {"),
        "impl AsyncDomain {".into(),
        item(&domain, "fn owner("),
        item(&item(&domain, "impl AsyncDomain {"), "fn frontier(&self)"),
        item(&domain, "pub fn close("),
        item(&domain, "fn visit("),
        item(&domain, "fn end_visit("),
        item(&synchronize, "pub fn synchronize_cookie("),
        item(&synchronize, "pub fn synchronize_cookie_with("),
        item(&synchronize, "fn wait_below("),
        item(&synchronize, "pub(super) fn wait_unused("),
        "}".into(),
        item(&domain, "impl Drop for AsyncDomain {"),
        "impl Placed<'_> {".into(),
        item(&submit, "pub(super) unsafe fn submit_task("),
        "}".into(),
    ];

    let scope = read("domain/scope.rs");
    let of_scope = [
        item(&scope, "pub(super) struct Gathering {"),
        item(&scope, "impl Gathering {"),
    ];

    let registry = read("domain/registry.rs");
    let of_registry = [
        item(&registry, "pub(super) fn locked<"),
        item(&registry, "pub(super) fn leave("),
    ];

    let out = env::var("OUT_DIR").unwrap();
    let write = |file: &str, items: &[String]| {
        fs::write(Path::new(&out).join(file), items.join("\n\n")).unwrap();
    };
    write("domain_items.rs", &cut);
    write("scope_items.rs", &of_scope);
    write("registry_items.rs", &of_registry);
}
