//! Looks into a workbook before it is opened: a workbook is an archive of parts, and a small archive may hold parts
//! without end.
//!
//! What a part says of its size is not believed: each one that will be read is inflated once, through a limit, and walked
//! over. What no import needs is never read, whatever it is.

use std::io::{Cursor, Read as _};

use zip::{CompressionMethod, ZipArchive};

use super::{
    Sink, Unread, caught,
    guard::{Part, Turn},
    markup::{Bad, Facts, Walk},
    refused,
};
use crate::reasons;

/// A part is walked over in pieces.
const PIECE_BYTES: usize = 64 << 10;
const ENTRIES_MAX: usize = 1_000;
const SHEETS_MAX: u64 = 1_000;
const STRINGS_TAGS_MAX: u64 = 4_000_000;
const TOTAL_BYTES_MAX: u64 = 160 << 20;
/// A part that is larger than this, and so many times as large as in the file, is made to be large.
const SUSPICIOUS_BYTES: u64 = 10 << 20;
const RATIO_MAX: u64 = 100;

/// What the crate that reads a workbook keeps of it, in bytes. Of each shared string: its place in a list that grows by
/// doubling, and its piece of memory.
const STRING_BYTES: u64 = 24 * 2 + 32;
const CLAIMED_STRING_BYTES: u64 = 24;
/// Of each font, fill, border and format, besides the texts in it.
const STYLE_BYTES: u64 = 640;
const STYLES_BYTES_MAX: u64 = 128 << 20;
/// Of each byte of the list of sheets: names that are defined, and addresses of parts.
const OPENING_FACTOR: u64 = 4;

/// Where nothing is that an import needs.
const UNREAD: &[&str] = &[
    "[content_types].xml",
    "customxml/",
    "docprops/",
    "xl/calcchain.xml",
    "xl/charts/",
    "xl/comments",
    "xl/connections.xml",
    "xl/ctrlprops/",
    "xl/drawings/",
    "xl/externallinks/",
    "xl/metadata.xml",
    "xl/persons/",
    "xl/pivotcache/",
    "xl/pivottables/",
    "xl/querytables/",
    "xl/richdata/",
    "xl/slicercaches/",
    "xl/slicers/",
    "xl/tables/",
    "xl/threadedcomments/",
    "xl/timelines/",
    "xl/timelinecaches/",
];

/// What a part is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    None,
    Relations,
    Workbook,
    Styles,
    Theme,
    Strings,
    Sheet,
}

impl Use {
    /// By its name, in lower case.
    fn of(name: &str) -> Self {
        let file = name.rsplit('/').next().unwrap_or_default();
        let is_xml = name.strip_suffix(".xml").is_some();
        match file {
            ".rels" if name == "_rels/.rels" => Self::Relations,
            "workbook.xml.rels" => Self::Relations,
            _ if !is_xml || UNREAD.iter().any(|start| name.starts_with(start)) => Self::None,
            "workbook.xml" => Self::Workbook,
            "styles.xml" => Self::Styles,
            "sharedstrings.xml" => Self::Strings,
            _ if file.starts_with("theme") => Self::Theme,
            _ => Self::Sheet,
        }
    }

    fn turn(self) -> Turn {
        match self {
            Self::None => Turn::Never,
            Self::Sheet => Turn::Reading,
            _ => Turn::Opening,
        }
    }

    /// Its most bytes, and those of a tag or a text in it.
    fn limits(self) -> (u64, usize) {
        match self {
            Self::None => (u64::MAX, 0),
            Self::Relations => (1 << 20, 4 << 10),
            Self::Workbook | Self::Theme => (4 << 20, 64 << 10),
            Self::Styles => (16 << 20, 8 << 10),
            Self::Strings => (48 << 20, 1 << 20),
            Self::Sheet => (128 << 20, 1 << 20),
        }
    }
}

/// A part as the list of parts has it.
struct Entry {
    place: usize,
    part: Part,
    size: u64,
    usage: Use,
}

type Zip<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Finds the parts that may be read.
///
/// # Errors
/// [`Unread`] when it should not be opened, or takes more memory than there is.
pub(super) fn check(bytes: &[u8], sink: &mut dyn Sink) -> Result<Vec<Part>, Unread> {
    let lists = Lists::of(bytes);
    if lists.entries > ENTRIES_MAX || lists.said > ENTRIES_MAX as u64 {
        return Err(expands("it has more than 1,000 parts"));
    }
    if lists.ends == 0 || lists.ends > ENTRIES_MAX {
        return Err(broken());
    }
    let mut zip = caught(|| Zip::new(Cursor::new(bytes)).map_err(|_| broken()))?;
    let mut entries =
        (0..zip.len()).map(|at| entry(&mut zip, at)).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| entry.part.start);
    check_sizes(&entries, bytes.len() as u64)?;
    if !entries.iter().any(|entry| entry.usage == Use::Workbook) {
        let text = "it is an archive, but no Excel workbook: save it as .xlsx, or as CSV UTF-8";
        return Err(refused(reasons::UNKNOWN_FORMAT, text));
    }
    let mut needed = 0;
    for entry in entries.iter().filter(|entry| entry.usage != Use::None) {
        // Whoever waits for the memory may have given up.
        sink.need(0)?;
        needed += needs(entry, &walk(&mut zip, entry)?)?;
    }
    sink.need(usize::try_from(needed).unwrap_or(usize::MAX))?;
    Ok(entries.into_iter().map(|entry| entry.part).collect())
}

/// How many parts there are, before memory is taken for their list.
#[derive(Default)]
struct Lists {
    entries: usize,
    ends: usize,
    /// The most that an end of a list says.
    said: u64,
}

impl Lists {
    fn of(bytes: &[u8]) -> Self {
        let mut lists = Self::default();
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'P') {
            rest = rest.get(at..).unwrap_or_default();
            let number = |from: usize, to: usize| {
                let bytes = rest.get(from..to).unwrap_or_default().iter().rev();
                bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
            };
            match rest.get(..4) {
                Some(b"PK\x01\x02") => lists.entries += 1,
                Some(b"PK\x05\x06") => {
                    lists.ends += 1;
                    // All ones: the number is in the end of the large kind.
                    let said = number(10, 12);
                    lists.said = lists.said.max(if said == 0xffff { 0 } else { said });
                }
                Some(b"PK\x06\x06") => lists.said = lists.said.max(number(32, 40)),
                _ => {}
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        lists
    }
}

fn entry(zip: &mut Zip<'_>, place: usize) -> Result<Entry, Unread> {
    let file = caught(|| zip.by_index_raw(place).map_err(|_| broken()))?;
    if file.encrypted() {
        return Err(super::format::protected());
    }
    if !matches!(file.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(broken());
    }
    let name = file.name().map_err(|_| broken())?.replace('\\', "/").to_ascii_lowercase();
    let usage = Use::of(&name);
    let start = file.data_start().ok_or_else(broken)?;
    let end = start.checked_add(file.compressed_size()).ok_or_else(broken)?;
    let part = Part { header: file.header_start(), start, end, turn: usage.turn() };
    Ok(Entry { place, part, size: file.size(), usage })
}

/// By what the parts say, and by where they are.
fn check_sizes(entries: &[Entry], length: u64) -> Result<(), Unread> {
    let mut total = 0_u64;
    let mut end = 0;
    for Entry { part, size, usage, .. } in entries {
        let packed = part.end - part.start;
        if part.start < end || part.end > length {
            return Err(broken());
        }
        end = part.end;
        let ratio = size / packed.max(1);
        if *size > SUSPICIOUS_BYTES && ratio > RATIO_MAX {
            let text = format!("a part of it becomes {ratio} times as large as it is in the file");
            return Err(expands(&text));
        }
        if *usage != Use::None {
            total = total.saturating_add(*size);
        }
        let max = usage.limits().0;
        if *size > max {
            return Err(expands(&format!("a part of it has more than {} MiB", max >> 20)));
        }
    }
    if total > TOTAL_BYTES_MAX {
        let most = TOTAL_BYTES_MAX >> 20;
        return Err(expands(&format!("its parts have more than {most} MiB")));
    }
    Ok(())
}

/// Inflates a part, and keeps nothing of it.
fn walk(zip: &mut Zip<'_>, entry: &Entry) -> Result<Facts, Unread> {
    let mut walk = Walk::new(entry.usage.limits().1);
    let mut piece = vec![0; PIECE_BYTES];
    let mut rest = entry.size;
    caught(|| {
        let mut file = zip.by_index(entry.place).map_err(|_| broken())?;
        loop {
            // No further than it says, and then a byte more: none should come.
            let wanted = usize::try_from(rest.max(1)).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let read = match file.read(piece.get_mut(..wanted).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if rest == 0 && error.to_string().contains("larger") => {
                    return Err(lies());
                }
                Err(_) => return Err(broken()),
            };
            rest = rest.checked_sub(read as u64).ok_or_else(lies)?;
            walk.feed(piece.get(..read).unwrap_or_default()).map_err(bad)?;
        }
        Ok::<_, Unread>(())
    })?;
    if rest > 0 {
        return Err(broken());
    }
    walk.end().map_err(bad)
}

/// What will be kept of a part.
fn needs(entry: &Entry, facts: &Facts) -> Result<u64, Unread> {
    let bytes = match entry.usage {
        Use::Strings => {
            if facts.tags > STRINGS_TAGS_MAX || facts.strings_claimed > STRINGS_TAGS_MAX {
                return Err(expands("it has more shared strings than can be read"));
            }
            let more = facts.strings_claimed.saturating_sub(facts.strings);
            entry.size + facts.strings * STRING_BYTES + more * CLAIMED_STRING_BYTES
        }
        Use::Styles => {
            // The texts of a font and of a format are kept once for each format that has them.
            let texts = facts.longest as u64 * 2;
            let bytes = facts.styles.saturating_mul(STYLE_BYTES + texts);
            if bytes > STYLES_BYTES_MAX {
                return Err(expands("it has more formats of cells than can be read"));
            }
            bytes + entry.size * 2
        }
        Use::Relations | Use::Workbook | Use::Theme => {
            if facts.sheets > SHEETS_MAX {
                return Err(expands("it has more than 1,000 sheets"));
            }
            entry.size * OPENING_FACTOR
        }
        Use::None | Use::Sheet => 0,
    };
    // Any part may be said to be the shared strings, where it is in a folder of its own.
    let claimed = if entry.usage == Use::Strings { 0 } else { facts.strings_claimed };
    if claimed > 0 { Err(broken()) } else { Ok(bytes) }
}

fn bad(bad: Bad) -> Unread {
    match bad {
        Bad::Broken => broken(),
        Bad::Dtd => refused(
            reasons::HAS_DTD,
            "a part of it has a DOCTYPE or an ENTITY, which no workbook needs: save it anew in Excel",
        ),
        Bad::TooMuch => expands("a part of it has a text or a tag that is longer than any may be"),
    }
}

fn expands(what: &str) -> Unread {
    let text = format!("{what}: save the rows alone, as a new workbook or as CSV UTF-8");
    refused(reasons::FILE_EXPANDS, text)
}

fn lies() -> Unread {
    expands("a part of it is larger than it says")
}

/// It cannot be read.
pub(super) fn broken() -> Unread {
    let text = "it is cut off or damaged: open it in Excel, save it as .xlsx, and upload that";
    refused(reasons::BROKEN_FILE, text)
}
