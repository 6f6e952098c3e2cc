//! Whether a folder holds the suite that this program writes.

use std::path::Path;

/// One sentence for each of `files` (name and bytes) that is missing from `folder` or differs there, and for each tensor
/// file there that is not among them.
pub fn differences(folder: &Path, files: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, expected) in files {
        let path = folder.join(name);
        match std::fs::read(&path) {
            Err(error) => differences.push(format!("{}: {error}", path.display())),
            Ok(found) => {
                let parting = found.iter().zip(expected).position(|(a, b)| a != b);
                if let Some(byte) = parting.or((found.len() != expected.len()).then(|| found.len().min(expected.len())))
                {
                    differences.push(format!("{}: differs from byte {byte} on", path.display()));
                }
            }
        }
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".safetensors") && !files.iter().any(|(known, _)| *known == name) {
            differences.push(format!("{}: does not belong to the suite", entry.path().display()));
        }
    }
    differences.sort();
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
        for (name, bytes) in [
            ("same", "abc"),
            ("other", "abd"),
            ("short", "ab"),
            ("stale.safetensors", ""),
        ] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let files = [
            file("same", b"abc"),
            file("other", b"abc"),
            file("short", b"abc"),
            file("gone", b""),
        ];
        let told: Vec<String> = (differences(folder.path(), &files).iter())
            .map(|text| text.replace(&format!("{}/", folder.path().display()), ""))
            .collect();
        assert_eq!(
            told[1..],
            [
                "other: differs from byte 2 on",
                "short: differs from byte 2 on",
                "stale.safetensors: does not belong to the suite",
            ]
        );
        assert!(told[0].starts_with("gone: "));
    }
}
