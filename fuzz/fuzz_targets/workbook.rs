//! Bytes as the parts of a workbook that is otherwise sound: the first says which part.
#![no_main]

use std::io::{Cursor, Write as _};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const PARTS: [(&str, &str); 6] = [
    (
        "xl/worksheets/sheet1.xml",
        r#"<worksheet><sheetData><row r="1"><c t="s"><v>0</v></c><c><v>1</v></c></row><row r="2"><c r="A2"><v>2</v></c></row></sheetData></worksheet>"#,
    ),
    ("xl/sharedStrings.xml", r#"<sst uniqueCount="1"><si><t>a</t></si></sst>"#),
    ("xl/styles.xml", r#"<styleSheet><cellXfs><xf numFmtId="14"/></cellXfs></styleSheet>"#),
    ("xl/workbook.xml", r#"<workbook><sheets><sheet name="a" sheetId="1" r:id="r"/></sheets></workbook>"#),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<Relationships><Relationship Id="r" Type="/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
    ),
    (
        "_rels/.rels",
        r#"<Relationships><Relationship Id="r" Type="/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
];

fn file(bytes: &[u8]) -> Option<Vec<u8>> {
    let (which, part) = bytes.split_first()?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (nth, (name, xml)) in (0..).zip(PARTS) {
        zip.start_file(name, options).ok()?;
        // Most often the sheet, where most is.
        let this = nth == which % 12 || nth == 0 && which % 12 > 5;
        zip.write_all(if this { part } else { xml.as_bytes() }).ok()?;
    }
    Some(zip.finish().ok()?.into_inner())
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(file) = file(bytes) {
        tap_analytics_fuzz::read(&file);
    }
});
