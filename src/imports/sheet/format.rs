//! What a file is: by what is in it, and not by what it is called.

use super::{Unread, archive::broken, refused};
use crate::{reasons, wire::excerpt};

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Workbook,
    Text,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Workbook => "xlsx",
            Self::Text => "csv",
        }
    }
}

/// How archives of Excel's begin, and files of before 2007, and files with a password.
const ARCHIVE: &[u8] = b"PK\x03\x04";
const COMPOUND: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0];
/// How other files begin that might be uploaded by mistake, though they may have no NUL in them.
const OTHERS: &[&[u8]] = &[
    b"%PDF",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"Rar!",
    b"{\\rtf",
    b"PK\x05\x06",
];

/// Byte order marks of UTF-16.
pub(super) const LITTLE_ENDIAN: &[u8] = &[0xff, 0xfe];
pub(super) const BIG_ENDIAN: &[u8] = &[0xfe, 0xff];

/// Finds out what it is.
///
/// # Errors
/// [`Unread::File`] when it is nothing that can be read, or is called something else.
pub(super) fn of(bytes: &[u8], filename: &str) -> Result<Format, Unread> {
    if bytes.is_empty() {
        return Err(refused(reasons::FILE_EMPTY, "there is nothing in it: choose another file"));
    }
    let format = by_content(bytes)?;
    let Some(ending) = ending(filename) else { return Ok(format) };
    if ending.eq_ignore_ascii_case(format.ending()) {
        return Ok(format);
    }
    let known = [Format::Workbook, Format::Text].map(Format::ending);
    let text = if known.iter().any(|known| ending.eq_ignore_ascii_case(known)) {
        let what = match format {
            Format::Workbook => "a workbook",
            Format::Text => "text",
        };
        format!("it is {what}: its name must end in .{}", format.ending())
    } else {
        format!("its name ends in {}: save it as .xlsx, or as CSV UTF-8 (.csv)", excerpt(ending))
    };
    Err(refused(reasons::WRONG_EXTENSION, text))
}

/// What is behind the last dot of a name.
fn ending(filename: &str) -> Option<&str> {
    let name = filename.trim().rsplit(['/', '\\']).next()?;
    let (_, ending) = name.rsplit_once('.')?;
    (!ending.is_empty()).then_some(ending)
}

fn by_content(bytes: &[u8]) -> Result<Format, Unread> {
    if bytes.starts_with(ARCHIVE) {
        return Ok(Format::Workbook);
    }
    if ARCHIVE.starts_with(bytes) && bytes.len() > 2 {
        return Err(broken());
    }
    if bytes.starts_with(COMPOUND) {
        return Err(compound(bytes));
    }
    let wide = bytes.starts_with(LITTLE_ENDIAN) || bytes.starts_with(BIG_ENDIAN);
    if !wide && (bytes.contains(&0) || OTHERS.iter().any(|start| bytes.starts_with(start))) {
        let text = "it is neither an Excel workbook nor text: save it as .xlsx, or as CSV UTF-8";
        return Err(refused(reasons::UNKNOWN_FORMAT, text));
    }
    Ok(Format::Text)
}

fn compound(bytes: &[u8]) -> Unread {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.windows(name.len()).any(|window| window == name) {
        return protected();
    }
    let text = "it is a file of before Excel 2007, such as .xls: save it as .xlsx";
    refused(reasons::OLD_FORMAT, text)
}

/// It has a password.
pub(super) fn protected() -> Unread {
    let text = "it opens with a password only: take the password off in Excel (File, Info, Protect Workbook), and save it";
    refused(reasons::PASSWORD_PROTECTED, text)
}
