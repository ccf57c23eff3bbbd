//! Sheets, and titles in them.

use rust_xlsxwriter::Workbook;

use super::{
    books::{self, PEOPLE, parts, row, workbook, zipped},
    *,
};

const NOTES: &[&[&str]] = &[&["Notes"], &["nothing"]];

fn people(rows: &[&[&str]]) -> Vec<u8> {
    workbook(&[("People", rows)])
}

fn columns(kept: &Kept) -> Vec<(u32, &str, Option<usize>)> {
    let columns = &kept.head.as_ref().unwrap().columns;
    columns.iter().map(|column| (column.place, column.title.as_str(), column.known)).collect()
}

#[test]
fn titles_are_in_any_order_and_any_spelling() {
    let file = people(&[
        &["", "PHONE-number", "Remarks", "prenom", "national id "],
        &["x", "1", "2", "3", "4"],
    ]);
    let kept = read_file(&file);
    assert_eq!(
        columns(&kept),
        [
            (1, "PHONE-number", Some(2)),
            (2, "Remarks", None),
            (3, "prenom", Some(0)),
            (4, "national id", Some(1))
        ]
    );
    assert_eq!(kept.texts(), [(2, vec!["1", "2", "3", "4"])]);
    assert_eq!(kept.head.unwrap().row, 1);
}

#[test]
fn rows_above_the_titles_are_passed_over() {
    let mut rows: Vec<&[&str]> =
        vec![&["People of the district"], &[""], &["Names", "made in May"]];
    rows.extend(PEOPLE);
    let kept = read_file(&people(&rows));
    assert_eq!((kept.head.as_ref().unwrap().row, kept.rows[0].0), (4, 5));

    let mut rows: Vec<&[&str]> = vec![&["x"]; 19];
    rows.extend(PEOPLE);
    assert_eq!(read_file(&people(&rows)).rows.len(), 2);
    rows.insert(0, &["x"]);
    assert_eq!(reason(&people(&rows)), reasons::NO_HEADER);
}

#[test]
fn merged_titles_are_understood() {
    // A title over all columns.
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.merge_range(0, 0, 0, 2, "People", &rust_xlsxwriter::Format::new()).unwrap();
    for (row, cells) in (1..).zip(PEOPLE) {
        sheet.write_row(row, 0, cells.iter().copied()).unwrap();
    }
    assert_eq!(read_file(&book.save_to_buffer().unwrap()).head.unwrap().row, 2);

    // A header of two rows, where cells are merged over both, and over two columns.
    let two: &[&[&str]] =
        &[&["Names", "Identity", "", "Remarks"], &["", "NID", "Phone"], &["a", "1", "2", "3"]];
    let kept = read_file(&people(two));
    assert_eq!(kept.head.as_ref().unwrap().row, 2);
    assert_eq!(
        columns(&kept),
        [(0, "Names", Some(0)), (1, "NID", Some(1)), (2, "Phone", Some(2)), (3, "Remarks", None)]
    );
    assert_eq!(kept.texts(), [(3, vec!["a", "1", "2", "3"])]);

    // Not over a row with nothing in it; and not where one row has all.
    let apart: &[&[&str]] = &[&["Names"], &[""], &["", "NID", "Phone"], &["a", "1", "2"]];
    assert_eq!(reason(&people(apart)), reasons::MISSING_COLUMN);
    let data: &[&[&str]] = &[PEOPLE[0], &["Sex", "1", "2"], &["b", "1", "2"]];
    assert_eq!(read_file(&people(data)).head.unwrap().row, 1);
}

#[test]
fn a_column_that_is_missing_is_named() {
    let file = workbook(&[
        ("Notes", NOTES),
        ("Staff", &[&["x"], &["Full Name", "Mobile", "E-Mail"], &["a", "1", "2"]]),
    ]);
    let violations = read_as(&file, "", None).err().unwrap();
    let named: Vec<(&str, &str)> =
        violations.iter().map(|v| (v.field.as_str(), v.reason)).collect();
    assert_eq!(named, [("nid", reasons::MISSING_COLUMN), ("phone", reasons::MISSING_COLUMN)]);
    for part in ["\"nid\"", "\"National ID\"", "\"Staff\"", "row 2", "\"Mobile\""] {
        assert!(violations[0].description.contains(part), "{}", violations[0].description);
    }
    // Only the titles, and at no length.
    let long = "x".repeat(10_000);
    let violations =
        read_as(&people(&[&["names", &long], &["secret", "1"]]), "", None).err().unwrap();
    assert!(
        violations[0].description.len() < 1_000 && !violations[0].description.contains("secret")
    );
}

#[test]
fn a_file_needs_titles() {
    for file in [
        people(NOTES),
        people(&[]),
        parts_of(""),
        b" \n\n".to_vec(),
        b"\xef\xbb\xbf".to_vec(),
        b"a,b\n1,2".to_vec(),
    ] {
        let violation = reason_as(&file, "", None);
        assert_eq!(violation.reason, reasons::NO_HEADER);
        assert!(violation.description.contains("names, nid, phone"));
    }
}

fn parts_of(rows: &str) -> Vec<u8> {
    zipped(&parts(rows))
}

#[test]
fn two_columns_of_one_title_are_refused() {
    let file =
        people(&[&["Names", "NID", "Phone", "", "PhoneNumber", "Full name", "x", "x"], &["a"]]);
    let violations = read_as(&file, "", None).err().unwrap();
    let texts: Vec<(&str, bool, bool)> = violations
        .iter()
        .map(|v| (v.reason, v.description.contains("A and F"), v.description.contains("C and E")))
        .collect();
    assert_eq!(
        texts,
        [(reasons::AMBIGUOUS_COLUMN, true, false), (reasons::AMBIGUOUS_COLUMN, false, true)]
    );
}

#[test]
fn there_are_only_so_many_columns() {
    let wide = |count: usize| {
        let mut titles: Vec<String> = PEOPLE[0].iter().map(|title| (*title).to_owned()).collect();
        titles.extend((3..count).map(|nth| format!("t{nth}")));
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        parts_of(&format!("{}{}", row(1, &titles), row(2, &vec!["1"; count])))
    };
    assert_eq!(read_file(&wide(200)).rows[0].1.len(), 200);
    for count in [201, 16_384] {
        assert_eq!(reason(&wide(count)), reasons::TOO_MANY_COLUMNS, "{count}");
    }
    // Cells without a title do not count.
    let titles = row(1, PEOPLE[0]);
    assert_eq!(
        read_file(&parts_of(&format!("{titles}{}", row(2, &vec!["1"; 16_384])))).rows[0].1.len(),
        3
    );
}

#[test]
fn the_first_sheet_that_has_the_columns_is_read() {
    let other: &[&[&str]] = &[PEOPLE[0], &["other", "1", "2"]];
    let some: &[&[&str]] = &[&["Names", "NID"], &["some", "1"]];
    let file = workbook(&[("Notes", NOTES), ("Some", some), ("People", PEOPLE), ("Other", other)]);
    let name = |kept: Kept| kept.head.unwrap().sheet;
    assert_eq!(name(read_file(&file)), "People");
    assert_eq!(name(read_as(&file, "", Some(" other ")).unwrap()), "Other");
    assert_eq!(reason_as(&file, "", Some("Notes")).reason, reasons::NO_HEADER);
    assert_eq!(reason_as(&file, "", Some("Some")).reason, reasons::MISSING_COLUMN);
    let missing = reason_as(&file, "", Some("Nowhere"));
    assert_eq!(missing.reason, reasons::NO_SHEET);
    assert!(
        missing.description.ends_with(r#""Notes", "Some", "People", "Other""#),
        "{}",
        missing.description
    );

    let names: Vec<String> = (0..12).map(|nth| format!("Sheet {nth}")).collect();
    let sheets: Vec<(&str, &[&[&str]])> = names.iter().map(|name| (name.as_str(), NOTES)).collect();
    let missing = reason_as(&workbook(&sheets), "", Some("x")).description;
    assert!(
        missing.ends_with("\"Sheet 9\", and others") && !missing.contains("Sheet 10"),
        "{missing}"
    );
}

#[test]
fn hidden_sheets_come_last() {
    let frame =
        || books::frame(&[("Hidden", "worksheets/sheet1.xml"), ("Shown", "worksheets/sheet2.xml")]);
    let file = |state: &str, shown: &str| {
        let mut parts = frame();
        let list = String::from_utf8(parts[1].1.clone()).unwrap();
        parts[1].1 = list
            .replacen("sheetId=\"1\"", &format!("sheetId=\"1\" state=\"{state}\""), 1)
            .into_bytes();
        for (nth, names) in [(1, "Names"), (2, shown)] {
            let rows = format!("{}{}", row(1, &[names, "NID", "Phone"]), row(2, &["a", "1", "2"]));
            let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
            parts.push((format!("xl/worksheets/sheet{nth}.xml"), sheet.into_bytes()));
        }
        zipped(&parts)
    };
    let name = |file: &[u8]| read_file(file).head.unwrap().sheet;
    assert_eq!(name(&file("visible", "Names")), "Hidden");
    assert_eq!(name(&file("hidden", "Names")), "Shown");
    assert_eq!(name(&file("veryHidden", "Names")), "Shown");
    assert_eq!(name(&file("hidden", "Who")), "Hidden");
}
