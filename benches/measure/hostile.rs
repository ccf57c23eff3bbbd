//! Files by which somebody means harm: those of the tests, and garbage that is as large as a file may be.

#[expect(unreachable_pub, dead_code, clippy::unwrap_used, reason = "it is a module of tests, too")]
#[path = "../../tests/it/app/books.rs"]
mod books;

use tap_analytics::imports::model::FILE_BYTES_MAX;

/// A file.
#[derive(Debug)]
pub(crate) struct Hostile {
    pub(crate) what: &'static str,
    pub(crate) filename: &'static str,
    pub(crate) bytes: Vec<u8>,
}

const TITLES: &str = "Names,NID,Phone,Gender,Email\n";

/// Files of some kilobytes, or of some hundred: each is refused.
pub(crate) fn small() -> Vec<Hostile> {
    let cut = |part: usize| books::truncated(part);
    [
        ("a bomb", "a.xlsx", books::bomb_honest()),
        ("a bomb in a sheet", "a.xlsx", books::bomb("xl/worksheets/sheet1.xml")),
        ("a bomb in styles", "a.xlsx", books::bomb("xl/styles.xml")),
        ("a bomb in a picture", "a.xlsx", books::bomb("xl/media/image1.png")),
        ("a bomb that lies", "a.xlsx", books::bomb_lying("xl/sharedStrings.xml")),
        ("a bomb in a sheet that lies", "a.xlsx", books::bomb_lying("xl/worksheets/sheet1.xml")),
        ("millions of strings", "a.xlsx", books::many_strings(5_000_000)),
        ("a billion laughs", "a.xlsx", books::billion_laughs("xl/sharedStrings.xml")),
        ("laughs in a sheet", "a.xlsx", books::billion_laughs("xl/worksheets/sheet1.xml")),
        ("no header, and a cell in the last corner", "a.xlsx", books::far_cell()),
        ("a password", "a.xlsx", books::encrypted()),
        ("an old format", "a.xls", books::old_format()),
        ("cut off in the middle", "a.xlsx", cut(25)),
        ("cut off at the end", "a.xlsx", cut(49)),
        ("a wrong extension", "a.csv", books::workbook(&[("S", books::PEOPLE)])),
    ]
    .map(of)
    .into()
}

/// Files that are as large as they may be: each is refused, or its rows are marked.
pub(crate) fn large() -> Vec<Hostile> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut rest = |bytes: &mut dyn FnMut(&mut fastrand::Rng) -> u8, start: &str| {
        let mut file = start.as_bytes().to_vec();
        file.resize_with(FILE_BYTES_MAX, || bytes(&mut random));
        file
    };
    let mut any = |random: &mut fastrand::Rng| random.u8(..);
    let mut typed = |random: &mut fastrand::Rng| {
        *random.choice(b"abcdefghij0123456789 ,,,,\n").unwrap_or(&b',')
    };
    let mut quoted = |random: &mut fastrand::Rng| *random.choice(b"ab01,,\"\"\n").unwrap_or(&b',');
    [
        ("any bytes", "a.csv", rest(&mut any, "")),
        ("any bytes below titles", "a.csv", rest(&mut any, TITLES)),
        ("letters, digits, commas and lines below titles", "a.csv", rest(&mut typed, TITLES)),
        ("quotes, commas and lines below titles", "a.csv", rest(&mut quoted, TITLES)),
        ("commas below titles", "a.csv", rest(&mut |_| b',', TITLES)),
        ("lines below titles", "a.csv", rest(&mut |_| b'\n', TITLES)),
        ("one cell below titles", "a.csv", rest(&mut |_| b'x', TITLES)),
    ]
    .map(of)
    .into()
}

fn of((what, filename, bytes): (&'static str, &'static str, Vec<u8>)) -> Hostile {
    Hostile { what, filename, bytes }
}
