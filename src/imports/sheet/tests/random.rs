//! Files that are somehow.

use std::sync::LazyLock;

use proptest::{arbitrary::any, collection::vec, prelude::*, sample::Index};

use super::{
    books::{self, PEOPLE, Parts, parts, row, strings, titles, with, zipped},
    *,
};

static BOOK: LazyLock<Vec<u8>> = LazyLock::new(|| books::workbook(&[("People", PEOPLE)]));
static PARTS: LazyLock<Parts> = LazyLock::new(|| {
    let shared = r#"<row r="3"><c r="A3" t="s" s="1"><v>1</v></c><c r="B3" t="b"><v>1</v></c><c><f t="shared" si="0" ref="A1:B2">A1</f><v>2.5</v></c></row>"#;
    let parts = parts(&format!("{}{}{shared}", titles(), row(2, PEOPLE[1])));
    let styles = r#"<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy"/></numFmts><fonts><font><name val="a"/></font></fonts><cellXfs><xf/><xf numFmtId="164" fontId="0"/></cellXfs></styleSheet>"#;
    with(
        with(
            parts,
            "xl/sharedStrings.xml",
            strings("<si><t>a</t></si><si><r><t>b</t></r></si>", 2),
        ),
        "xl/styles.xml",
        styles,
    )
});

/// Reads it: the sink checks the rows.
fn try_to_read(bytes: &[u8]) {
    let _ = read_as(bytes, "", None);
}

fn change(bytes: &mut Vec<u8>, at: Index, by: u8) {
    let place = at.index(bytes.len());
    if by < 16 {
        bytes.remove(place);
    } else if by < 32 {
        bytes.insert(place, by);
    } else {
        bytes[place] ^= by;
    }
}

/// What makes a difference in XML.
const PIECES: &[&str] = &[
    "<",
    ">",
    "/",
    "\"",
    "&#x10ffff;",
    "&amp;",
    "<c>",
    "</c>",
    "<row r=\"9\">",
    "</row>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?a?>",
    "<v>1</v>",
    "<f>",
    "</f>",
    "<is>",
    "<t>",
    "r=\"XFD1048576\"",
    "t=\"s\"",
    "99999999999",
    "-1",
    "\u{0}",
    "é",
    "<si/>",
    "</sheetData>",
    "<!DOCTYPE a>",
    "t=\"d\"",
    "A4294967295",
];

proptest! {
    #[test]
    fn changed_workbooks_are_read_or_not(changes in vec((any::<Index>(), any::<u8>()), 1..6)) {
        let mut bytes = BOOK.clone();
        for (at, by) in changes {
            change(&mut bytes, at, by);
        }
        try_to_read(&bytes);
    }

    #[test]
    fn changed_parts_are_read_or_not(
        part: Index,
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        pieces in vec((any::<Index>(), any::<Index>()), 0..4),
    ) {
        let mut parts = PARTS.clone();
        let nth = part.index(parts.len());
        let bytes = &mut parts[nth].1;
        for (at, by) in changes {
            change(bytes, at, by);
        }
        for (at, piece) in pieces {
            let (at, piece) = (at.index(bytes.len()), PIECES[piece.index(PIECES.len())]);
            bytes.splice(at..at, piece.bytes());
        }
        try_to_read(&zipped(&parts));
    }

    #[test]
    fn any_text_is_read_or_not(bytes in vec(any::<u8>(), 0..200), text in ".{0,80}", titled in ",{0,2}[\"a-c\n\r,;é ]{0,80}") {
        try_to_read(&bytes);
        try_to_read(text.as_bytes());
        try_to_read(format!("names,nid,phone\n{titled}").as_bytes());
        try_to_read(&[b"PK\x03\x04", &*bytes].concat());
    }

    #[test]
    fn texts_are_read_as_they_were_written(rows in vec(vec("[a-z0-9,\"\n;é]{1,10}", 3), 1..8)) {
        let mut csv = "names,nid,phone\n".to_owned();
        for row in &rows {
            let quoted: Vec<String> = row.iter().map(|text| format!("\"{}\"", text.replace('"', "\"\""))).collect();
            csv.push_str(&quoted.join(","));
            csv.push('\n');
        }
        let mut all: Vec<Vec<&str>> = vec![PEOPLE[0].to_vec()];
        all.extend(rows.iter().map(|row| row.iter().map(|text| text.trim()).collect::<Vec<_>>()));
        let slices: Vec<&[&str]> = all.iter().map(|row| &**row).collect();
        let book = books::workbook(&[("People", &slices)]);
        let expected = (2..).zip(&all[1..]).filter(|(_, row)| row.iter().any(|text| !text.is_empty()));
        let expected: Vec<(u32, Vec<&str>)> = expected.map(|(number, row)| (number, row.clone())).collect();
        if !expected.is_empty() {
            for file in [csv.as_bytes(), &*book] {
                let kept = read_file(file);
                prop_assert_eq!(kept.texts(), expected.clone());
            }
        }
    }
}
