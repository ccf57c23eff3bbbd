use std::collections::HashMap;

use super::*;
use crate::imports::{
    kind::{Kind, Rules},
    people::Region,
};

fn rules() -> Rules {
    Rules { region: Region::DEFAULT, now: "2026-06-01T00:00:00Z".parse().unwrap() }
}

#[test]
fn every_row_has_exactly_the_fault_that_it_says() {
    let mut seen: HashMap<(&str, String), Vec<usize>> = HashMap::new();
    let mut same = Vec::new();
    for (at, row) in users(5_000, 7).enumerate() {
        let checked = Kind::Users.check(row.cells(), &rules());
        let found = |all: &[crate::error::Violation]| -> Vec<(String, &'static str)> {
            all.iter().map(|it| (it.field.clone(), it.reason)).collect()
        };
        let of_row = |warning: bool| -> Vec<(String, &'static str)> {
            let fault = row.fault.filter(|it| it.reason != reasons::DUPLICATE_IN_FILE);
            let fault = fault.filter(|it| it.warning == warning);
            fault.map(|it| (it.field.to_owned(), it.reason)).into_iter().collect()
        };
        assert_eq!(found(&checked.findings.violations), of_row(false), "{row:?}");
        assert_eq!(found(&checked.findings.warnings), of_row(true), "{row:?}");
        for (column, value) in COLUMNS.iter().zip(checked.values) {
            if let (true, Some(value)) = (column.unique, value) {
                seen.entry((column.field, value)).or_default().push(at);
            }
        }
        if let Some(fault) = row.fault
            && fault.reason == reasons::DUPLICATE_IN_FILE
        {
            same.push((fault.field, at));
        }
    }
    let mut twice: Vec<(&str, usize)> = seen
        .iter()
        .filter(|(_, rows)| rows.len() > 1)
        .flat_map(|((field, _), rows)| rows.iter().map(move |at| (*field, *at)))
        .collect();
    twice.sort_unstable();
    same.sort_unstable();
    assert_eq!(twice, same);
    assert_eq!(same.len(), 20);
    assert_eq!(
        same.iter().map(|(field, _)| field).collect::<std::collections::HashSet<_>>().len(),
        3
    );
}

#[test]
fn faults_are_of_every_kind_and_as_many_as_they_should_be() {
    let counts = expected(50_000, 1);
    for fault in MADE.iter().chain(WARNED) {
        assert!(counts.contains_key(fault.reason), "{}", fault.reason);
    }
    assert_eq!(counts[reasons::DUPLICATE_IN_FILE], 200);
    let warned: usize =
        users(50_000, 1).filter_map(|row| row.fault).filter(|it| it.warning).count();
    assert_eq!(warned, 500);
    assert_eq!(counts.values().sum::<usize>(), 1_500);
}

#[test]
fn rows_are_the_same_by_the_same_seed() {
    let rows: Vec<Row> = users(1_234, 5).collect();
    assert_eq!(rows.len(), 1_234);
    assert!(users(1_234, 5).eq(rows.iter().cloned()));
    assert!(!users(1_234, 6).eq(rows));
    assert_eq!(users(0, 5).count(), 0);
    assert!(expected(20, 5).is_empty());
}

#[test]
fn a_workbook_is_written() {
    let bytes = write_users_xlsx(1_000, 1).unwrap();
    assert!(bytes.starts_with(b"PK"));
    assert!(write_users_xlsx(0, 1).is_ok());
}
