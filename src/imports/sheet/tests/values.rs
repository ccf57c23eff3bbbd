//! What is in cells, and what a file is.

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};

use super::{
    books::{self, PEOPLE, parts, row, strings, titles, with, zipped},
    *,
};

/// The forms and texts of the first cells of the rows.
fn first_cells(kept: &Kept) -> Vec<(&str, Form)> {
    kept.rows.iter().map(|(_, cells)| (cells[0].0.as_str(), cells[0].1)).collect()
}

/// Reads cells of XML, each in a row of its own, and with a number beside it.
fn read_cells(cells: &[&str], shared: &str) -> Kept {
    let rows = (2..).zip(cells).map(|(number, cell)| {
        let cell = cell.replacen("<c", &format!("<c r=\"A{number}\""), 1);
        format!("<row r=\"{number}\">{cell}<c r=\"B{number}\"><v>1</v></c></row>")
    });
    let file = parts(&format!("{}{}", titles(), rows.collect::<String>()));
    read_file(&zipped(&with(file, "xl/sharedStrings.xml", strings(shared, 3))))
}

#[test]
fn cells_are_of_every_form() {
    let kept = read_cells(
        &[
            "<c t=\"s\"><v>0</v></c>",
            "<c t=\"s\"><v>1</v></c>",
            "<c t=\"s\"><v>2</v></c>",
            "<c t=\"inlineStr\"><is><r><t>a</t></r><r><t xml:space=\"preserve\"> b&amp;</t></r></is></c>",
            "<c t=\"str\"><f>A1</f><v>&#xA0;c </v></c>",
            "<c><v>785576983</v></c>",
            "<c><v>1199080123456789</v></c>",
            "<c><v>2.5078557698300001E11</v></c>",
            "<c><f>1+1</f><v>2</v></c>",
            "<c><f>1+1</f></c>",
            "<c><f>1+1</f><v></v></c>",
            "<c><f>1+1</f><v/></c>",
            "<c t=\"str\"><f>\"\"</f><v></v></c>",
            "<c t=\"b\"><v>1</v></c>",
            "<c t=\"b\"><v>0</v></c>",
            "<c t=\"e\"><v>#REF!</v></c>",
            "<c t=\"e\"><v>#SPILL!</v></c>",
            "<c t=\"d\"><v>2026-11-29T10:00:00</v></c>",
            "<c/>",
            "<c t=\"s\"></c>",
        ],
        "<si><t xml:space=\"preserve\"> shared  text </t></si><si><r><rPr><b/></rPr><t>rich</t></r><r><t>er</t></r><rPh><t>no</t></rPh></si><si/>",
    );
    let text = |text| (text, Form::Text);
    assert_eq!(
        first_cells(&kept),
        [
            text("shared  text"),
            text("richer"),
            text(""),
            text("a b&"),
            text("c"),
            ("785576983", Form::Number),
            ("1199080123456789", Form::Number),
            ("250785576983", Form::Number),
            ("2", Form::Number),
            ("", Form::Formula),
            ("", Form::Formula),
            ("", Form::Formula),
            text(""),
            ("TRUE", Form::Bool),
            ("FALSE", Form::Bool),
            ("#REF!", Form::Error),
            text(""),
            ("2026-11-29T10:00:00", Form::Date),
            text(""),
            text(""),
        ]
    );
}

#[test]
fn a_formula_without_a_value_is_no_empty_cell() {
    let file = parts(&format!("{}<row r=\"2\"><c r=\"B2\"><f>A1</f></c></row>", titles()));
    assert_eq!(
        read_file(&zipped(&file)).rows,
        [(
            2,
            vec![
                (String::new(), Form::Text),
                (String::new(), Form::Formula),
                (String::new(), Form::Text)
            ]
        )]
    );
}

#[test]
fn what_a_library_writes_is_read() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (place, title) in (0..).zip(["names", "nid", "phone", "gender", "email"]) {
        sheet.write(0, place, title).unwrap();
    }
    let date = Format::new().set_num_format("yyyy-mm-dd");
    sheet.write(1, 0, "é\u{a0}e\u{301}").unwrap();
    sheet.write(1, 1, 1_199_080_123_456_789.0).unwrap();
    sheet.write_with_format(1, 2, ExcelDateTime::from_ymd(2026, 11, 29).unwrap(), &date).unwrap();
    sheet.write(1, 3, true).unwrap();
    sheet.write_formula(1, 4, Formula::new("=1+1").set_result("two")).unwrap();
    sheet.write_blank(2, 0, &date).unwrap();
    let kept = read_file(&book.save_to_buffer().unwrap());
    assert_eq!(kept.texts(), [(2, vec!["é é", "1199080123456789", "2026-11-29", "TRUE", "two"])]);
    let forms: Vec<Form> = kept.rows[0].1.iter().map(|cell| cell.1).collect();
    assert_eq!(forms, [Form::Text, Form::Number, Form::Date, Form::Bool, Form::Text]);
}

#[test]
fn a_text_is_cut_at_the_limit_of_the_format() {
    let long = row(2, &[&"é".repeat(40_000), "1", "2"]);
    let kept = read_file(&zipped(&parts(&format!("{}{long}", titles()))));
    assert_eq!(kept.rows[0].1[0].0.chars().count(), 32_767);
}

#[test]
fn rows_with_nothing_below_a_title_are_passed_over() {
    let rows = format!(
        "{}{}{}<row r=\"5\"><c r=\"J5\"><v>1</v></c></row>{}",
        titles(),
        row(2, &["", " ", "\u{200b}"]),
        row(4, PEOPLE[1]),
        row(1_048_576, PEOPLE[2]),
    );
    let kept = read_file(&zipped(&parts(&rows)));
    assert_eq!(kept.texts(), [(4, PEOPLE[1].to_vec()), (1_048_576, PEOPLE[2].to_vec())]);
    for rows in ["", "<row r=\"2\"><c r=\"A2\"/></row>"] {
        assert_eq!(reason(&zipped(&parts(&format!("{}{rows}", titles())))), reasons::NO_ROWS);
    }
}

#[test]
fn a_file_is_what_is_in_it() {
    let book = books::workbook(&[("People", PEOPLE)]);
    let csv = "names,nid,phone\na,1,2\n".as_bytes();
    for (bytes, name) in [
        (&*book, ""),
        (&book, "a.xlsx"),
        (&book, "dir.csv/a.b.XLSX"),
        (&book, "users"),
        (&book, "users."),
        (csv, "a.CSV"),
        (csv, ""),
    ] {
        assert!(!read_as(bytes, name, None).unwrap().rows.is_empty(), "{name}");
    }
    for (bytes, name) in [
        (&*book, "a.csv"),
        (&book, "a.xls"),
        (&book, "a.xlsm"),
        (csv, "a.xlsx"),
        (csv, "a.txt"),
        (csv, "a.\u{202e}csv"),
    ] {
        assert_eq!(reason_as(bytes, name, None).reason, reasons::WRONG_EXTENSION, "{name}");
    }
    let docx = zipped(&vec![("word/document.xml".to_owned(), b"<a/>".to_vec())]);
    for (bytes, expected) in [
        (&b""[..], reasons::FILE_EMPTY),
        (&books::encrypted(), reasons::PASSWORD_PROTECTED),
        (&books::old_format(), reasons::OLD_FORMAT),
        (&docx, reasons::UNKNOWN_FORMAT),
        (b"%PDF-1.7\n", reasons::UNKNOWN_FORMAT),
        (b"\x89PNG\r\n\x1a\n", reasons::UNKNOWN_FORMAT),
        (b"names,nid,phone\na,\0,b", reasons::UNKNOWN_FORMAT),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", reasons::UNKNOWN_FORMAT),
        (b"PK\x03\x04", reasons::BROKEN_FILE),
        (b"PK\x03", reasons::BROKEN_FILE),
    ] {
        assert_eq!(reason(bytes), expected, "{:?}", bytes.get(..8));
    }
    // Also with a name that says something else.
    assert_eq!(reason_as(&books::encrypted(), "a.xlsx", None).reason, reasons::PASSWORD_PROTECTED);
    assert_eq!(reason_as(&books::old_format(), "a.xls", None).reason, reasons::OLD_FORMAT);
}

/// How long rows take: for people to read.
#[test]
fn fifty_thousand_rows_are_read_at_once() {
    let file = books::many_people(50_000);
    let began = std::time::Instant::now();
    let kept = read_file(&file);
    println!(
        "50,000 rows of {} KiB in {:?}, {} KiB needed",
        file.len() >> 10,
        began.elapsed(),
        kept.needed >> 10
    );
    assert_eq!(kept.rows.len(), 50_000);
    assert_eq!(kept.rows[49_999].1[1].0, "1199080100050000");
    assert!(kept.needed > file.len() && kept.needed < 80 << 20, "{}", kept.needed);
}
