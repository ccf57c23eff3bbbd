//! Files to import, as people have them, and as nobody has them but by intent. A plain module: the tests of the library
//! have it, too.

use std::io::{Cursor, Write as _};

use rust_xlsxwriter::Workbook;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Parts of a workbook: names, and what is in them.
pub type Parts = Vec<(String, Vec<u8>)>;

/// The rows of the smallest file that can be imported as users.
pub const PEOPLE: &[&[&str]] = &[
    &["Names", "NID", "Phone"],
    &["Aline Uwase", "1199080123456789", "0785576983"],
    &["Eric Mugisha", "1198580123456780", "+250 788 123 456"],
];

const STRICT: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";

/// A workbook of sheets, each with its name and its rows of texts.
pub fn workbook(sheets: &[(&str, &[&[&str]])]) -> Vec<u8> {
    let mut book = Workbook::new();
    for (name, rows) in sheets {
        let sheet = book.add_worksheet();
        sheet.set_name(*name).unwrap();
        for (row, cells) in (0..).zip(*rows) {
            for (place, text) in (0..).zip(*cells) {
                sheet.write_string(row, place, *text).unwrap();
            }
        }
    }
    book.save_to_buffer().unwrap()
}

/// A row of XML with texts in it, by its number.
pub fn row(number: usize, cells: &[&str]) -> String {
    let cell = |text: &&str| format!(r#"<c t="inlineStr"><is><t>{text}</t></is></c>"#);
    format!(r#"<row r="{number}">{}</row>"#, cells.iter().map(cell).collect::<String>())
}

/// The titles of users, as a row of XML.
pub fn titles() -> String {
    row(1, PEOPLE[0])
}

/// The parts of a workbook with one sheet, whose rows are XML.
pub fn parts(rows: &str) -> Parts {
    let sheet =
        format!(r#"{STRICT}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>"#);
    let mut parts = frame(&[("People", "worksheets/sheet1.xml")]);
    parts.push(("xl/worksheets/sheet1.xml".to_owned(), sheet.into_bytes()));
    parts
}

/// The parts of a workbook but for its sheets, whose names and places are these.
pub fn frame(sheets: &[(&str, &str)]) -> Parts {
    let numbered = || (1..).zip(sheets);
    let list: Vec<String> = numbered()
        .map(|(nth, (name, _))| {
            format!(r#"<sheet name="{name}" sheetId="{nth}" r:id="rId{nth}"/>"#)
        })
        .collect();
    let places: Vec<String> = numbered()
        .map(|(nth, (_, place))| {
            format!(
                r#"<Relationship Id="rId{nth}" Type="{RELATIONS}/worksheet" Target="{place}"/>"#
            )
        })
        .collect();
    let (list, places) = (list.concat(), places.concat());
    [
        ("_rels/.rels", format!(r#"{STRICT}<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#)),
        ("xl/workbook.xml", format!(r#"{STRICT}<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{list}</sheets></workbook>"#)),
        ("xl/_rels/workbook.xml.rels", format!(r#"{STRICT}<Relationships xmlns="{PACKAGE}">{places}</Relationships>"#)),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .into()
}

/// The same, with a part more, or with another one instead.
pub fn with(mut parts: Parts, name: &str, bytes: impl Into<Vec<u8>>) -> Parts {
    parts.retain(|(old, _)| old != name);
    parts.push((name.to_owned(), bytes.into()));
    parts
}

/// The parts as a file.
pub fn zipped(parts: &Parts) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1));
    for (name, bytes) in parts {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Shared strings, as XML.
pub fn strings(items: &str, count: u64) -> String {
    format!(r#"{STRICT}<sst xmlns="{MAIN}" count="{count}" uniqueCount="{count}">{items}</sst>"#)
}

/// A small file whose shared strings are a text of 40 MiB, and it says so.
pub fn bomb_honest() -> Vec<u8> {
    bomb("xl/sharedStrings.xml")
}

/// A small file with a part of 40 MiB, most of it a text, and it says so.
pub fn bomb(part: &str) -> Vec<u8> {
    let text = "x".repeat(40 << 20);
    let xml = strings(&format!("<si><t>{text}</t></si>"), 1);
    zipped(&with(parts(&titles()), part, xml))
}

/// The same, but it says that it is small.
pub fn bomb_lying(part: &str) -> Vec<u8> {
    let mut file = bomb(part);
    for (header, name, size) in [(b"PK\x03\x04", 30, 22), (b"PK\x01\x02", 46, 24)] {
        let mut at = 0;
        while let Some(found) = file[at..].windows(4).position(|window| window == header) {
            at += found;
            if file[at + name..].starts_with(part.as_bytes()) {
                file[at + size..at + size + 4].copy_from_slice(&1000_u32.to_le_bytes());
            }
            at += 4;
        }
    }
    file
}

/// Users, and a cell in the last corner that a sheet has.
pub fn far_cell() -> Vec<u8> {
    let last = r#"<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#;
    zipped(&parts(&format!("{}{}{last}", titles(), row(2, PEOPLE[1]))))
}

/// Users, cut off after so many fiftieths.
pub fn truncated(fiftieths: usize) -> Vec<u8> {
    let mut file = workbook(&[("People", PEOPLE)]);
    file.truncate(file.len() * fiftieths / 50);
    file
}

/// Users, and entities of entities of entities, in a part.
pub fn billion_laughs(part: &str) -> Vec<u8> {
    let entity = |nth: i32| {
        let ten = format!("&l{};", nth - 1).repeat(10);
        format!(r#"<!ENTITY l{nth} "{ten}">"#)
    };
    let entities: Vec<String> = (1..10).map(entity).collect();
    let entities = format!(r#"<!ENTITY l0 "lol">{}"#, entities.concat());
    let parts = parts(&format!("{}{}", titles(), row(2, PEOPLE[1])));
    let old = parts.iter().find(|(name, _)| name == part);
    let old = old.map_or(strings("<si><t>&l9;</t></si>", 1), |(_, bytes)| {
        String::from_utf8(bytes.clone()).unwrap()
    });
    let xml = old.replacen(STRICT, &format!("{STRICT}<!DOCTYPE lolz [{entities}]>"), 1);
    zipped(&with(parts, part, xml))
}

/// As Excel writes a workbook with a password, but for what is in it.
pub fn encrypted() -> Vec<u8> {
    compound("EncryptedPackage")
}

/// As programs of before 2007 wrote a workbook.
pub fn old_format() -> Vec<u8> {
    compound("Workbook")
}

fn compound(stream: &str) -> Vec<u8> {
    let mut file = vec![0; 4096];
    file[..8].copy_from_slice(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
    let name: Vec<u8> = stream.encode_utf16().flat_map(u16::to_le_bytes).collect();
    file[1024..1024 + name.len()].copy_from_slice(&name);
    file
}

/// Users, and so many shared strings with nothing in them: five bytes each.
pub fn many_strings(count: usize) -> Vec<u8> {
    let parts = parts(&format!("{}{}", titles(), row(2, PEOPLE[1])));
    zipped(&with(parts, "xl/sharedStrings.xml", strings(&"<si/>".repeat(count), count as u64)))
}

/// So many rows of users, of which no two are the same.
pub fn many_people(rows: u32) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (place, title) in (0..).zip(["Names", "NID", "Phone", "Gender", "Email"]) {
        sheet.write_string(0, place, title).unwrap();
    }
    for row in 1..=rows {
        let cells = [
            format!("Person {row} Of Kigali"),
            format!("11990801{row:08}"),
            format!("078{row:07}"),
            "F".to_owned(),
            format!("person{row}@example.com"),
        ];
        for (place, text) in (0..).zip(cells) {
            sheet.write_string(row, place, text).unwrap();
        }
    }
    book.save_to_buffer().unwrap()
}
