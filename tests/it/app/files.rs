//! What is found in files, such as those of PostgreSQL, whatever they are.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What is found in all files of a folder; says also how many bytes were looked at.
pub fn found_in(
    folder: &Path,
    look: impl Fn(&[u8]) -> BTreeSet<String>,
) -> (BTreeSet<String>, usize) {
    let (mut found, mut bytes) = (BTreeSet::new(), 0);
    let mut folders: Vec<PathBuf> = vec![folder.canonicalize().unwrap()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // Files come and go, and sockets are none.
            let Ok(about) = std::fs::metadata(&path) else { continue };
            if about.is_dir() {
                folders.push(path);
            } else if about.is_file() {
                let content = std::fs::read(&path).unwrap_or_default();
                bytes += content.len();
                found.extend(look(&content));
            }
        }
    }
    (found, bytes)
}
