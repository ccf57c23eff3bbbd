//! Files that are uploaded.

use bytes::Bytes;

use crate::{
    error::{Error, Violation},
    imports::{
        kind::Kind,
        model::{FILE_BYTES_MAX, FILENAME_CHARS_MAX, SHEET_CHARS_MAX},
        people::Region,
        sheet::clean,
        shelf::New,
    },
    proto::tap_v1::{UploadImportRequest, import_kind},
    reasons,
    wire::{check_text, required, unknown_value},
};

/// What the first piece of a file says.
pub struct First {
    pub new: New,
    /// What the file is called. May be empty.
    pub filename: String,
    /// What parts of a form are between, when it is one.
    pub boundary: Option<String>,
    pub data: Bytes,
}
says_nothing!(First);

/// Checks what the first piece says.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn first(request: UploadImportRequest) -> Result<First, Error> {
    let mut bad = Vec::new();
    let kind = kind(request.kind, &mut bad);
    let filename = checked_name(&request.filename, &mut bad);
    check_text("sheet", &request.sheet, SHEET_CHARS_MAX, &mut bad);
    let sheet = Some(clean(&request.sheet)).filter(|sheet| !sheet.is_empty());
    let region = region(&request.region, &mut bad);
    let file = request.file.unwrap_or_default();
    let boundary = boundary(&file.content_type, &mut bad);
    match (kind, region) {
        (Some(kind), Some(region)) if bad.is_empty() => {
            let new = New { kind, sheet, region };
            Ok(First { new, filename, boundary, data: file.data })
        }
        _ => Err(Error::Invalid(bad)),
    }
}

/// The name of a file, alone.
fn checked_name(name: &str, bad: &mut Vec<Violation>) -> String {
    // A path of the caller's machine is nobody's business, and some browsers send one.
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    check_text("filename", &name, FILENAME_CHARS_MAX, bad);
    name
}

/// The same of one that a form has.
///
/// # Errors
/// [`Error::Invalid`].
pub fn filename(name: &str) -> Result<String, Error> {
    let mut bad = Vec::new();
    let name = checked_name(name, &mut bad);
    if bad.is_empty() { Ok(name) } else { Err(Error::Invalid(bad)) }
}

fn kind(value: i32, bad: &mut Vec<Violation>) -> Option<Kind> {
    use import_kind::Value;
    match Value::try_from(value) {
        Ok(Value::Users) => Some(Kind::Users),
        Ok(Value::Tags) => Some(Kind::Tags),
        Ok(Value::Unset) => {
            bad.push(required("kind", "USERS or TAGS"));
            None
        }
        Err(_) => {
            bad.push(unknown_value("kind", value, "USERS or TAGS"));
            None
        }
    }
}

fn region(text: &str, bad: &mut Vec<Violation>) -> Option<Region> {
    if text.is_empty() {
        return Some(Region::DEFAULT);
    }
    let region = Region::parse(text);
    if region.is_none() {
        let text =
            "must be two letters of ISO 3166 such as RW or KE, of which phone numbers are known";
        bad.push(Violation::new("region", reasons::UNKNOWN_REGION, text));
    }
    region
}

/// What parts of a form are between, by the content type; `None` when it is none.
fn boundary(content_type: &str, bad: &mut Vec<Violation>) -> Option<String> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = multer::parse_boundary(content_type).ok();
    if boundary.is_none() {
        let text =
            "is a form without a boundary in its content type: let your client make the header";
        bad.push(Violation::new("file", reasons::MALFORMED_FORM, text));
    }
    boundary
}

/// The file is too large.
#[must_use]
pub fn too_large() -> Error {
    let text = format!("is larger than {} MiB: split it", FILE_BYTES_MAX >> 20);
    Error::invalid("file", reasons::FILE_TOO_LARGE, text)
}

/// There is nothing in it.
#[must_use]
pub fn empty() -> Error {
    let text = "is empty: send the file as the body, such as by curl --data-binary @users.xlsx";
    Error::invalid("file", reasons::FILE_EMPTY, text)
}

/// A form without a file.
#[must_use]
pub fn no_file() -> Error {
    let text = "is missing in the form: send one, such as by curl -F file=@users.xlsx";
    Error::invalid("file", reasons::REQUIRED, text)
}

/// A form with more than one file.
#[must_use]
pub fn several_files() -> Error {
    Error::invalid("file", reasons::SEVERAL_FILES, "is there more than once: send one at a time")
}

/// The rest of it did not come.
#[must_use]
pub fn cut_off() -> Violation {
    Violation::new("file", reasons::IMPORT_INTERRUPTED, "did not come whole: send it again")
}

/// What is no form.
#[must_use]
pub fn no_form() -> Error {
    let text = "is no form, whatever its content type says: it may have been cut off";
    Error::invalid("file", reasons::MALFORMED_FORM, text)
}
