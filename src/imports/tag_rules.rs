//! The rules of tags: those of tags that are made one by one.

use super::{
    cells::{Cell, Form},
    forms::{self, DIGITS_KEPT},
    kind::{Column, Findings, Rules},
    sheet::header::folded,
};
use crate::{
    reasons,
    tags::model::{
        Kind, LABEL_CHARS_MAX, NO_ADDRESSES, destination_url, has_addresses, is_tag_uid,
    },
    wire::malformed_tag_uid,
};

/// Places of the columns.
pub const UID: usize = 0;
pub const LABEL: usize = 1;
pub const KIND: usize = 2;
pub const DESTINATION_URL: usize = 3;

/// The columns of tags. Where one has no value: no label, NFC, and no destination.
pub const COLUMNS: &[Column] = &[
    Column {
        field: "uid",
        aliases: &[
            "UID",
            "Tag UID",
            "Tag",
            "Tag ID",
            "ID",
            "Serial",
            "Serial number",
            "Serial no",
            "Chip UID",
            "Chip ID",
        ],
        required: true,
        unique: true,
        check: uid,
    },
    Column {
        field: "label",
        aliases: &["Label", "Name", "Title", "Tag label", "Tag name", "Description"],
        required: false,
        unique: false,
        check: label,
    },
    Column {
        field: "kind",
        aliases: &["Kind", "Type", "Tag kind", "Tag type"],
        required: false,
        unique: false,
        check: kind,
    },
    Column {
        field: "destination_url",
        aliases: &[
            "Destination URL",
            "Destination",
            "URL",
            "Link",
            "Target",
            "Target URL",
            "Address",
            "Web address",
        ],
        required: false,
        unique: false,
        check: destination,
    },
];

fn uid(cell: Cell<'_>, _rules: &Rules, findings: &mut Findings) -> Option<String> {
    let field = "uid";
    let text = forms::required(cell, field, findings)?;
    if cell.form == Form::Number && text.len() > DIGITS_KEPT {
        findings.bad(field, reasons::DIGITS_LOST, forms::DIGITS_LOST);
        return None;
    }
    if !is_tag_uid(text) {
        findings.violations.push(malformed_tag_uid(field));
        return None;
    }
    if !has_addresses(text) {
        findings.bad(field, reasons::MALFORMED_TAG_UID, NO_ADDRESSES);
        return None;
    }
    if cell.form == Form::Number {
        let text = "is stored as a number, by which zeros in front of it are lost: look whether it is whole, and store the column as Text";
        findings.warn(field, reasons::STORED_AS_NUMBER, text);
    }
    Some(text.to_owned())
}

fn label(cell: Cell<'_>, _rules: &Rules, findings: &mut Findings) -> Option<String> {
    let field = "label";
    let text = forms::optional(cell, field, findings)?;
    let chars = text.chars().count();
    if chars > LABEL_CHARS_MAX {
        let text = format!("has {chars} characters: at most {LABEL_CHARS_MAX} are possible");
        findings.bad(field, reasons::TOO_LONG, text);
        return None;
    }
    if text.chars().any(char::is_control) {
        let text = "has line breaks, tabs or other control characters: leave them out";
        findings.bad(field, reasons::MALFORMED_TEXT, text);
        return None;
    }
    Some(text.to_owned())
}

fn kind(cell: Cell<'_>, _rules: &Rules, findings: &mut Findings) -> Option<String> {
    let field = "kind";
    let text = forms::optional(cell, field, findings)?;
    let word = folded(text);
    let known = Kind::ALL
        .into_iter()
        .find(|kind| [kind.as_str(), &folded(kind.label())].contains(&word.as_str()));
    if known.is_none() {
        let text = "must be nfc, qr or link, or empty for nfc";
        findings.bad(field, reasons::UNKNOWN_KIND, text);
    }
    known.map(|kind| kind.as_str().to_owned())
}

fn destination(cell: Cell<'_>, _rules: &Rules, findings: &mut Findings) -> Option<String> {
    let field = "destination_url";
    let text = forms::optional(cell, field, findings)?;
    match destination_url(text) {
        Ok(url) => Some(url),
        Err(why) => {
            findings.bad(field, why.reason(), why.description());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::imports::{kind, people::Region};

    fn rules() -> Rules {
        Rules { region: Region::DEFAULT, now: DateTime::UNIX_EPOCH }
    }

    /// What becomes of a cell of a column: its value, and the reasons of what is wrong and of what is doubtful.
    fn check(place: usize, text: &str, form: Form) -> (Option<String>, Vec<&'static str>) {
        let mut findings = Findings::default();
        let value = (COLUMNS[place].check)(Cell { text, form }, &rules(), &mut findings);
        let found = findings.violations.iter().chain(&findings.warnings);
        assert!(found.clone().all(|found| found.field == COLUMNS[place].field));
        (value, found.map(|found| found.reason).collect())
    }

    #[test]
    fn a_good_cell_is_kept() {
        for (place, text, value) in [
            (UID, "04:A2-b_c.9", "04:A2-b_c.9"),
            (LABEL, "Table 7", "Table 7"),
            (LABEL, "=1+1", "=1+1"),
            (KIND, "NFC", "nfc"),
            (KIND, "Qr code", "qr"),
            (KIND, "qr-code", "qr"),
            (KIND, "QR", "qr"),
            (KIND, "link", "link"),
            (DESTINATION_URL, "HTTPS://a.example", "https://a.example/"),
        ] {
            assert_eq!(check(place, text, Form::Text), (Some(value.to_owned()), vec![]), "{text}");
        }
        for place in [LABEL, KIND, DESTINATION_URL] {
            assert_eq!(check(place, "", Form::Text), (None, vec![]));
        }
        assert_eq!(check(LABEL, "12", Form::Number), (Some("12".to_owned()), vec![]));
    }

    #[test]
    fn a_bad_cell_has_its_reason() {
        let long = "x".repeat(2_100);
        for (place, text, form, reason) in [
            (UID, "", Form::Text, reasons::EMPTY),
            (UID, "a b", Form::Text, reasons::MALFORMED_TAG_UID),
            (UID, "..", Form::Text, reasons::MALFORMED_TAG_UID),
            (UID, &long, Form::Text, reasons::MALFORMED_TAG_UID),
            (UID, "#REF!", Form::Error, reasons::CELL_ERROR),
            (UID, "1234567890123450", Form::Number, reasons::DIGITS_LOST),
            (UID, "2026-01-01", Form::Date, reasons::WRONG_CELL_TYPE),
            (LABEL, &long, Form::Text, reasons::TOO_LONG),
            (LABEL, "a\nb", Form::Text, reasons::MALFORMED_TEXT),
            (LABEL, "", Form::Formula, reasons::FORMULA_WITHOUT_VALUE),
            (KIND, "barcode", Form::Text, reasons::UNKNOWN_KIND),
            (KIND, "true", Form::Bool, reasons::WRONG_CELL_TYPE),
            (DESTINATION_URL, "menu", Form::Text, reasons::MALFORMED_URL),
            (DESTINATION_URL, "https://a:b@c.example", Form::Text, reasons::CREDENTIALS_IN_URL),
            (DESTINATION_URL, &long, Form::Text, reasons::TOO_LONG),
        ] {
            assert_eq!(check(place, text, form), (None, vec![reason]), "{text} {form:?}");
        }
        let (value, found) = check(UID, "412", Form::Number);
        assert_eq!((value.as_deref(), found), (Some("412"), vec![reasons::STORED_AS_NUMBER]));
    }

    proptest! {
        #[test]
        fn what_was_accepted_is_accepted_again(
            place in 0_usize..4, text in "\\PC{0,20}|https?://[a-z.]{1,9}/\\PC{0,9}", number in any::<bool>(),
        ) {
            let form = if number { Form::Number } else { Form::Text };
            if let (Some(value), _) = check(place, &text, form) {
                prop_assert_eq!(check(place, &value, Form::Text), (Some(value), vec![]));
            }
        }
    }

    #[test]
    fn no_title_is_of_two_columns() {
        for kind in kind::Kind::ALL {
            let mut of = std::collections::HashMap::new();
            for column in kind.columns() {
                for title in column.aliases.iter().chain([&column.field]) {
                    let before = of.insert(folded(title), column.field);
                    assert!(before.is_none_or(|before| before == column.field), "{title}");
                }
            }
        }
    }
}
