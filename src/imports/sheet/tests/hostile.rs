//! Files that are made to do harm, or are damaged.

use super::{
    books::{self, PEOPLE, Parts, parts, row, strings, titles, with, zipped},
    *,
};

fn people() -> Parts {
    parts(&format!("{}{}", titles(), row(2, PEOPLE[1])))
}

#[test]
fn small_files_that_are_large_inside_are_refused() {
    for part in [
        "xl/sharedStrings.xml",
        "xl/worksheets/sheet1.xml",
        "xl/styles.xml",
        "xl/theme/theme1.xml",
        "xl/workbook.xml",
    ] {
        assert_eq!(reason(&books::bomb(part)), reasons::FILE_EXPANDS, "{part}");
        assert_eq!(reason(&books::bomb_lying(part)), reasons::FILE_EXPANDS, "{part}");
    }
    assert_eq!(reason(&books::bomb_honest()), reasons::FILE_EXPANDS);
    // What nobody reads may say that it is small: it is never inflated.
    assert_eq!(
        read_file(&zipped(&with(people(), "xl/media/image1.png", vec![b'<'; 9 << 20]))).rows.len(),
        1
    );
    assert_eq!(reason(&books::bomb("xl/media/image1.png")), reasons::FILE_EXPANDS);
}

#[test]
fn there_are_only_so_many_parts_and_sheets() {
    let mut many = people();
    many.extend((0..1000).map(|nth| (format!("xl/media/{nth}.png"), Vec::new())));
    assert_eq!(reason(&zipped(&many)), reasons::FILE_EXPANDS);

    // A thousand sheets that are one part, of 9 MiB of rows with nothing in them.
    let same = vec![("a", "worksheets/sheet1.xml"); 900];
    let mut parts = books::frame(&same);
    parts.push((
        "xl/worksheets/sheet1.xml".to_owned(),
        format!("<worksheet><sheetData>{}</sheetData></worksheet>", "<row/>".repeat(1_500_000))
            .into_bytes(),
    ));
    assert_eq!(reason(&zipped(&parts)), reasons::BROKEN_FILE);

    let same = vec![("a", "worksheets/sheet1.xml"); 1001];
    assert_eq!(reason(&zipped(&books::frame(&same))), reasons::FILE_EXPANDS);
}

#[test]
fn lists_of_parts_that_claim_too_much_take_no_memory() {
    let mut file = zipped(&people());
    let end = file.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    file[end + 10..end + 12].copy_from_slice(&60_000_u16.to_le_bytes());
    assert_eq!(reason(&file), reasons::FILE_EXPANDS);
}

#[test]
fn a_far_cell_costs_nothing() {
    let kept = read_file(&books::far_cell());
    assert_eq!(kept.texts(), [(2, PEOPLE[1].to_vec())]);
    let beyond = r#"<row r="2"><c r="XFE2"><v>1</v></c></row>"#;
    assert_eq!(reason(&zipped(&parts(&format!("{}{beyond}", titles())))), reasons::BROKEN_FILE);
    for place in ["A99999999999", "ZZZZZZZZZZZ1", "A0", "1", "A", "", "$A$1", "A1:B2", "é1"] {
        let cell = format!(r#"{}<row r="2"><c r="{place}"><v>1</v></c></row>"#, titles());
        assert!(read_as(&zipped(&parts(&cell)), "", None).is_err(), "{place}");
    }
}

#[test]
fn entities_are_refused_and_never_expanded() {
    for part in
        ["xl/sharedStrings.xml", "xl/worksheets/sheet1.xml", "xl/workbook.xml", "_rels/.rels"]
    {
        assert_eq!(reason(&books::billion_laughs(part)), reasons::HAS_DTD, "{part}");
    }
    let entity = row(2, &["&lol;", "1", "2"]);
    assert_eq!(reason(&zipped(&parts(&format!("{}{entity}", titles())))), reasons::BROKEN_FILE);
    // In another encoding, too.
    let wide: Vec<u8> =
        "\u{feff}<!DOCTYPE a><sst/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        reason(&zipped(&with(people(), "xl/sharedStrings.xml", wide))),
        reasons::BROKEN_FILE
    );
}

#[test]
fn shared_strings_take_what_was_asked_for() {
    for count in [100_000, 2_000_000] {
        let file = books::many_strings(count);
        let mut kept = Kept { budget: Some(count * 32), ..Kept::default() };
        let read = read(Source { bytes: &file, filename: "", sheet: None }, COLUMNS, &mut kept);
        assert!(matches!(read, Err(Unread::Stopped(_))), "{count}");
    }
    assert_eq!(read_file(&books::many_strings(100_000)).rows.len(), 1);
    assert_eq!(reason(&books::many_strings(4_000_001)), reasons::FILE_EXPANDS);
    // It is said that there are more of them than there is memory.
    for count in [4_000_001, 1 << 40, u64::MAX] {
        let claims = strings("<si><t>a</t></si>", count);
        assert_eq!(
            reason(&zipped(&with(people(), "xl/sharedStrings.xml", claims))),
            reasons::FILE_EXPANDS
        );
    }
    let claims = strings("", 4_000_000);
    let mut kept = Kept { budget: Some(60 << 20), ..Kept::default() };
    let file = zipped(&with(people(), "xl/sharedStrings.xml", claims));
    let read = read(Source { bytes: &file, filename: "", sheet: None }, COLUMNS, &mut kept);
    assert!(matches!(read, Err(Unread::Stopped(_))));
}

#[test]
fn styles_are_counted_with_their_texts() {
    let font = format!("<fonts><font><name val=\"{}\"/></font></fonts>", "x".repeat(8000));
    let styles = format!(
        "<styleSheet>{font}<cellXfs>{}</cellXfs></styleSheet>",
        "<xf fontId=\"0\"/>".repeat(50_000)
    );
    assert_eq!(reason(&zipped(&with(people(), "xl/styles.xml", styles))), reasons::FILE_EXPANDS);
    let long = format!(
        "<styleSheet><numFmts><numFmt numFmtId=\"200\" formatCode=\"{}\"/></numFmts></styleSheet>",
        "0".repeat(9000)
    );
    assert_eq!(reason(&zipped(&with(people(), "xl/styles.xml", long))), reasons::FILE_EXPANDS);
}

#[test]
fn parts_are_read_for_what_they_are_only() {
    // A picture as a sheet, and as the list of sheets.
    let sheet =
        people().into_iter().find(|(name, _)| name == "xl/worksheets/sheet1.xml").unwrap().1;
    for place in [
        "media/image1.png",
        "drawings/drawing1.xml",
        "styles.xml",
        "sharedStrings.xml",
        "workbook.xml",
    ] {
        let mut parts = books::frame(&[("People", place)]);
        let name = format!("xl/{place}");
        if !parts.iter().any(|(there, _)| *there == name) {
            parts.push((name, sheet.clone()));
        }
        assert_eq!(reason(&zipped(&parts)), reasons::BROKEN_FILE, "{place}");
    }
    let root = String::from_utf8(people()[0].1.clone()).unwrap();
    for target in ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "../a", ""]
    {
        let root = root.replace("xl/workbook.xml", target);
        let parts = with(with(people(), "_rels/.rels", root), "xl/styles.xml", "<styleSheet/>");
        let parts = with(parts, "xl/sharedStrings.xml", strings("", 0));
        assert!(read_as(&zipped(&parts), "", None).is_err(), "{target}");
    }
}

#[test]
fn a_workbook_that_is_cut_off_is_broken() {
    for fiftieths in 1..50 {
        assert_eq!(reason(&books::truncated(fiftieths)), reasons::BROKEN_FILE, "{fiftieths}");
    }
    assert_eq!(read_file(&books::truncated(50)).rows.len(), 2);
    let mut file = zipped(&people());
    let at = file.windows(5).position(|window| window == b"sheet").unwrap() + 60;
    file[at] ^= 0xff;
    assert_eq!(reason(&file), reasons::BROKEN_FILE);
}

#[test]
fn xml_is_neither_deep_nor_long_nor_broken() {
    let sheet = |rows: &str| zipped(&parts(&format!("{}{rows}", titles())));
    assert_eq!(reason(&sheet(&"<a>".repeat(100_000))), reasons::BROKEN_FILE);
    let attribute = format!("<row r=\"2\" a=\"{}\"/>", "x".repeat(2 << 20));
    assert_eq!(reason(&sheet(&attribute)), reasons::FILE_EXPANDS);
    let runs = format!(
        "<row r=\"2\"><c t=\"inlineStr\"><is>{}</is></c></row>",
        "<r><t>abcdefgh</t></r>".repeat(300_000)
    );
    assert_eq!(reason(&sheet(&runs)), reasons::FILE_EXPANDS);
    for rows in [
        "<row r=\"2\"><c><v>1</v>",
        "<row r=\"2\"><c><v>1\0</v></c></row>",
        "<row",
        "</row></sheetData></worksheet><",
        "<row r=\"x\"/>",
        "<row r=\"99999999999\"/>",
    ] {
        assert_eq!(reason(&sheet(rows)), reasons::BROKEN_FILE, "{rows}");
    }
    for cell in [
        "<c t=\"s\"><v>7</v></c>",
        "<c t=\"x\"><v>7</v></c>",
        "<c t=\"n\"><v>x</v></c>",
        "<c><w/></c>",
        "<c><f t=\"shared\">A1</f></c>",
    ] {
        assert_eq!(
            reason(&sheet(&format!("<row r=\"2\">{cell}</row>"))),
            reasons::BROKEN_FILE,
            "{cell}"
        );
    }
    // Memory would be taken for as many formulas.
    let shared =
        "<row r=\"2\"><c><f t=\"shared\" si=\"99999999999999\" ref=\"A2:A3\">A1</f></c></row>";
    assert_eq!(read_file(&sheet(shared)).rows[0].1[0].1, Form::Formula);
}

#[test]
fn rows_are_in_order() {
    let two = format!("{}{}", row(3, PEOPLE[1]), row(2, PEOPLE[2]));
    assert_eq!(reason(&zipped(&parts(&format!("{}{two}", titles())))), reasons::BROKEN_FILE);
    // Without numbers they follow each other; cells of a row may be in any order.
    let cells = r#"<c r="C2"><v>3</v></c><c r="A2"><v>1</v></c>"#;
    let rows =
        format!("{}<row>{cells}</row>{}", titles(), row(3, PEOPLE[1]).replace(" r=\"3\"", ""));
    let kept = read_file(&zipped(&parts(&rows)));
    assert_eq!(kept.texts(), [(2, vec!["1", "", "3"]), (3, PEOPLE[1].to_vec())]);
}

/// Takes everything, and keeps nothing.
struct Nothing;
impl Sink for Nothing {
    fn need(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }
    fn head(&mut self, _: Head) -> Result<(), Error> {
        Ok(())
    }
    fn row(&mut self, _: u32, _: &[Cell<'_>]) -> Result<(), Error> {
        Ok(())
    }
    fn progress(&mut self, _: f64) {}
}

#[test]
fn a_text_that_is_everywhere_ends_somewhere() {
    let shared = strings(&format!("<si><t>{}</t></si>", "x".repeat(32_767)), 1);
    let all = row(2, &["", "", ""]).replace("t=\"inlineStr\"><is><t></t></is>", "t=\"s\"><v>0</v>");
    let rows: String =
        (2..8_000).map(|number| all.replacen("r=\"2\"", &format!("r=\"{number}\""), 1)).collect();
    let file = zipped(&with(parts(&format!("{}{rows}", titles())), "xl/sharedStrings.xml", shared));
    let source = Source { bytes: &file, filename: "", sheet: None };
    let Err(Unread::File(violations)) = read(source, COLUMNS, &mut Nothing) else { panic!() };
    assert_eq!(violations[0].reason, reasons::FILE_EXPANDS);
}

#[test]
fn reading_stops_when_it_is_told_to() {
    let file = books::many_people(2_000);
    let source = Source { bytes: &file, filename: "", sheet: None };
    let mut kept = Kept::default();
    read(source, COLUMNS, &mut kept).unwrap();
    let asked = kept.asked;
    assert!(asked > 5 && kept.rows.len() == 2_000 && kept.done.len() >= 2);
    assert!(kept.done.is_sorted() && kept.done.last() == Some(&1.0));
    for patience in 1..=asked {
        let mut kept = Kept { patience: Some(patience), ..Kept::default() };
        assert!(matches!(read(source, COLUMNS, &mut kept), Err(Unread::Stopped(_))));
        assert_eq!(kept.asked, patience);
    }
}
