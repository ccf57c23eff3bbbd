//! The rules of the house, kept by a test: sizes, direction of the data, one place for everything.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::CommandFactory as _;
use tap_analytics::{
    config, docs,
    reasons::{Entry, ROWS},
};

use crate::app::root;

/// Every source file: its path in `src/`, and its text without its own tests.
pub fn sources() -> Vec<(String, String)> {
    let mut folders = vec![root().join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !is_tests(&path) {
                let name =
                    path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                files.push((name, code));
            }
        }
    }
    files
}

/// Whether a file has nothing but the tests of others.
fn is_tests(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == "tests" || name == "properties")
        || path.parent().is_some_and(|folder| folder.ends_with("tests"))
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "src/{name} does not say what it is");
        assert!(
            text.lines().count() <= 500,
            "src/{name} is too long: give what is big a file of its own"
        );
    }
}

#[test]
fn data_flows_one_way() {
    for (name, text) in sources() {
        let role =
            if name.contains("/wire/") { "wire.rs" } else { name.rsplit('/').next().unwrap() };
        let forbidden: &[&str] = match role {
            // That of keys reads what callers send.
            "directory.rs" if name == "directory.rs" => &["proto::", "sql!"],
            // It works, and the rules are those of kinds.
            "check.rs" if name == "imports/check.rs" => &["tonic", "proto::", "sql!", "db::"],
            "mod.rs" if name == "feeds/mod.rs" => &["tonic", "proto::", "wire::"],
            "model.rs" | "buckets.rs" | "tally.rs" | "check.rs" | "data.rs" | "schema.rs"
            | "bounds.rs" | "patch.rs" | "pattern.rs" => {
                &["tonic", "proto::", "tokio", "db::", "sql!", "async fn"]
            }
            "wire.rs" => &["db::", "sql!", "async fn", "store::"],
            "rpc.rs" => &["sql!", "db::"],
            "count.rs" | "writer.rs" | "queue.rs" | "record.rs" | "live.rs" | "follow.rs"
            | "directory.rs" | "registry.rs" | "address.rs" | "qr.rs" | "buffer.rs" | "link.rs"
            | "visitor.rs" | "revisions.rs" | "token.rs" | "seed.rs" | "store.rs" => {
                &["tonic", "proto::", "wire::"]
            }
            _ => &[],
        };
        for word in forbidden {
            assert!(!text.contains(word), "src/{name} must know nothing of {word}");
        }
        let areas = ["taps", "tags", "access", "events", "coupons", "dialogs", "imports"];
        for area in areas.iter().filter(|area| name.contains('/') && !name.starts_with(**area)) {
            let allowed = name == "taps/seed.rs";
            assert!(
                allowed || !text.contains(&format!("{area}::store")),
                "src/{name} uses the store of {area}"
            );
        }
        for area in areas.iter().filter(|_| name.starts_with("feeds/")) {
            assert!(!text.contains(&format!("{area}::")), "src/{name} must know no area: {area}");
        }
        // Rows of imports have one, too.
        let status = text.contains("tonic::Status")
            || (text.contains("Status::")
                && (text.contains("tonic") || !name.starts_with("imports/")));
        let speaks_grpc = [
            "error.rs",
            "auth.rs",
            "limits.rs",
            "telemetry.rs",
            "rpc.rs",
            "ingest.rs",
            "upload.rs",
        ]
        .contains(&role);
        assert!(!status || speaks_grpc, "src/{name} names a gRPC status");
    }
}

#[test]
fn sql_is_in_files() {
    let keywords = ["select ", "insert into ", "update ", "delete from ", "create table "];
    for (name, text) in sources() {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let literal = line.split('"').nth(1).unwrap_or_default().to_lowercase();
            assert!(!keywords.iter().any(|word| literal.starts_with(word)), "src/{name}: {line}");
        }
    }
}

/// What is between two marks of the README.
fn readme(mark: &str) -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("<!-- {mark} -->")).unwrap();
    rest.split_once(&format!("<!-- /{mark} -->")).unwrap().0.to_owned()
}

#[derive(clap::Parser)]
struct Settings {
    #[command(flatten)]
    store: config::Store,
    #[command(flatten)]
    serve: config::Serve,
    #[command(flatten)]
    logs: config::Logs,
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let table = readme("settings");
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        rows.push(
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect(),
        );
    }
    let command = Settings::command();
    let mut listed = BTreeSet::new();
    for setting in command.get_arguments().filter(|setting| setting.get_env().is_some()) {
        let name = setting.get_env().unwrap().to_str().unwrap().to_owned();
        let row = rows
            .iter()
            .find(|row| row[0] == name)
            .unwrap_or_else(|| panic!("{name} is not in the README"));
        let default = setting.get_default_values().first().map(|value| value.to_str().unwrap());
        assert_eq!(
            row[1].trim_matches(['—', '-']).trim(),
            default.unwrap_or_default(),
            "default of {name}"
        );
        let help = setting.get_help().unwrap().to_string().replace('`', "");
        let first = row[2].split(". ").next().unwrap().trim_end_matches('.');
        assert!(
            help.starts_with(first),
            "{name}: the README says {first:?}, the program says {help:?}"
        );
        listed.insert(name);
    }
    assert_eq!(listed.len(), rows.len(), "the README has settings that the program has not");
}

/// The source files that are not the table of reasons itself.
fn sources_but_reasons() -> impl Iterator<Item = (String, String)> {
    sources().into_iter().filter(|(name, _)| !name.starts_with("reasons/"))
}

#[test]
fn reasons_are_constants_of_the_table() {
    for (name, text) in sources_but_reasons() {
        for word in text.split('"') {
            let upper = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            let setting = ["TAP_", "DATABASE_", "CARGO_", "OUT_"];
            let looks_so = upper
                && word.contains('_')
                && !setting.iter().any(|prefix| word.starts_with(prefix));
            let is_one = ROWS.iter().any(|row| row.reason == word);
            assert!(!looks_so && !is_one, "src/{name}: {word:?}: use reasons::{word}");
        }
    }
}

#[test]
fn every_reason_of_the_table_comes_up() {
    let code: String = sources_but_reasons().map(|(_, text)| text).collect();
    for row in ROWS.iter().filter(|row| !matches!(row.entry, Entry::Envoy { .. })) {
        let used = code.match_indices(&format!("reasons::{}", row.reason)).any(|(at, found)| {
            !code[at + found.len()..].starts_with(|next: char| next == '_' || next.is_uppercase())
        });
        assert!(used, "nothing in src/ gives {}: remove it from the table", row.reason);
    }
}

/// A reason that Envoy gives: its code, the HTTP status, and whether others of that hundred go with it.
type OfEnvoy = (String, i32, u16, bool);

#[test]
fn the_reasons_of_envoy_are_in_the_table_and_those_of_the_table_in_envoy() {
    let envoy = std::fs::read_to_string(root().join("envoy.yaml")).unwrap();
    let mut given = BTreeSet::<OfEnvoy>::new();
    for mapper in envoy.split("- filter:").skip(1) {
        let after = |mark: &str| mapper.split_once(mark).map(|(_, rest)| rest);
        let word = |text: &str| text.split([',', '}', '\n']).next().unwrap().trim().to_owned();
        let Some(reason) = after("reason: ").map(word) else { continue };
        let status = after("default_value: ").map(word).unwrap().parse().unwrap();
        let code = after(" code: ").map(word).unwrap().parse().unwrap();
        given.insert((reason, code, status, after("op: GE").is_some()));
    }
    assert_eq!(given.len(), envoy.matches("reason: ").count());
    // One that is there for a status of its own and for others of that hundred is one row.
    let alone = |(reason, code, status, others): &OfEnvoy| {
        *others || !given.contains(&(reason.clone(), *code, *status, true))
    };
    let given: BTreeSet<OfEnvoy> = given.iter().filter(|row| alone(row)).cloned().collect();

    let listed: BTreeSet<OfEnvoy> = ROWS
        .iter()
        .filter_map(|row| match row.entry {
            Entry::Envoy { code, http, others, .. } => {
                Some((row.reason.to_owned(), code.into(), http, others))
            }
            _ => None,
        })
        .map(|(reason, code, http, others)| {
            // Envoy has a rule for all from 500 on.
            (reason, code, if others { http / 100 * 100 } else { http }, others)
        })
        .collect();
    assert_eq!(given, listed, "left: envoy.yaml; right: src/reasons/table.rs");
}

#[test]
fn the_page_of_errors_is_what_the_table_gives() {
    let page = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    assert!(
        page == docs::errors(),
        "docs/errors.md is not what its sources give: run cargo run -- docs errors > docs/errors.md"
    );
}
