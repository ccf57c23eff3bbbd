//! Every statement of `sql/` fits the schema, says what it is, and is used.

use std::path::PathBuf;

use crate::app::{App, root};

/// Every file of `sql/` but the migrations: name without ending, and text.
pub fn files() -> Vec<(String, String)> {
    let mut folders = vec![root().join("sql")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("schema") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "sql") {
                let name = path.strip_prefix(root().join("sql")).unwrap().with_extension("");
                files.push((
                    name.to_str().unwrap().to_owned(),
                    std::fs::read_to_string(&path).unwrap(),
                ));
            }
        }
    }
    files
}

#[tokio::test]
async fn every_statement_prepares_against_the_schema() {
    let app = App::start().await;
    let admin = app.sql().await;
    let mut prepared = 0;
    for (name, text) in files() {
        // Those of several commands, or with something to fill in, are run by the tests themselves.
        let commands = text.lines().filter(|line| !line.starts_with("--")).collect::<String>();
        if commands.contains('{') || commands.trim_end().trim_end_matches(';').contains(';') {
            continue;
        }
        admin.prepare(&text).await.unwrap_or_else(|error| panic!("sql/{name}.sql: {error:?}"));
        prepared += 1;
    }
    assert!(prepared > 20, "{prepared}");
}

#[test]
fn every_statement_names_itself_and_is_used_once_or_more() {
    let sources: String = crate::tidy::sources().into_iter().map(|(_, text)| text).collect();
    for (name, text) in files() {
        let first = text.lines().next().unwrap();
        let title = if name == "roles" { "db.roles".to_owned() } else { name.replace('/', ".") };
        assert_eq!(first, format!("-- {title}"), "first line of sql/{name}.sql");
        assert!(
            text.lines().nth(1).unwrap().starts_with("-- "),
            "sql/{name}.sql says nothing about itself"
        );
        assert!(sources.contains(&format!("sql!(\"{name}\")")), "nothing uses sql/{name}.sql");
    }
}
