//! Files that reach each other.

use std::collections::BTreeSet;

use super::modules::Needs;

/// Each set of files that all need each other, directly or by way of others: each file with what it needs of the rest.
pub fn circles(needs: &Needs) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for file in needs.keys() {
        let circle: BTreeSet<&str> = reached(needs, file)
            .into_iter()
            .filter(|other| reached(needs, other).contains(file.as_str()))
            .collect();
        if circle.len() > 1 && told.insert(circle.clone()) {
            circles.push(sentence(needs, &circle));
        }
    }
    circles
}

/// All files that `file` needs, directly or not.
fn reached<'a>(needs: &'a Needs, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        let next = needs.get(file).into_iter().flat_map(|needed| needed.keys());
        open.extend(next.map(String::as_str).filter(|file| reached.insert(*file)));
    }
    reached
}

fn sentence(needs: &Needs, circle: &BTreeSet<&str>) -> String {
    let arrows = circle.iter().flat_map(|file| {
        let needed = needs[*file].iter().filter(|(other, _)| circle.contains(other.as_str()));
        needed.map(move |(other, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{file} needs {} of {other}", names.join(", "))
        })
    });
    arrows.collect::<Vec<_>>().join("; ")
}
