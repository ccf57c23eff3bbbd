use chrono::{DateTime, Utc};

use super::*;
use crate::{
    imports::{
        cells::{Cell, Form},
        kind::{Findings, Kind},
    },
    reasons,
};

pub(super) fn rules(region: &str) -> Rules {
    let now: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().unwrap();
    Rules { region: Region::parse(region).unwrap(), now }
}

/// What becomes of a cell: its value, and the reasons of what is wrong and of what is doubtful.
pub(super) fn check_in(
    region: &str,
    place: usize,
    text: &str,
    form: Form,
) -> (Option<String>, Vec<&'static str>) {
    let mut findings = Findings::default();
    let value = (COLUMNS[place].check)(Cell { text, form }, &rules(region), &mut findings);
    assert!(value.is_none() != findings.violations.is_empty(), "{text}: {findings:?}");
    let found = findings.violations.iter().chain(&findings.warnings);
    assert!(found.clone().all(|found| found.field == COLUMNS[place].field));
    (value, found.map(|found| found.reason).collect())
}

fn good(region: &str, place: usize, text: &str, value: &str) {
    let expected = (Some(value.to_owned()), vec![]);
    assert_eq!(check_in(region, place, text, Form::Text), expected, "{text}");
}

fn warned(region: &str, place: usize, text: &str, form: Form, value: &str, reason: &'static str) {
    let expected = (Some(value.to_owned()), vec![reason]);
    assert_eq!(check_in(region, place, text, form), expected, "{text}");
}

fn bad(region: &str, place: usize, text: &str, form: Form, reason: &'static str) {
    assert_eq!(check_in(region, place, text, form), (None, vec![reason]), "{text}");
}

#[test]
fn regions_are_those_of_which_phone_numbers_are_known() {
    for (text, letters) in [("rw", "RW"), ("Ke", "KE"), ("US", "US"), ("gb", "GB")] {
        assert_eq!(Region::parse(text).unwrap().as_str(), letters);
    }
    for text in ["", "R", "RWA", "001", "QQ", "ZZ", "r1", "\u{e9}", "R\u{e9}", "  "] {
        assert_eq!(Region::parse(text), None, "{text}");
    }
    assert_eq!(Region::parse("RW"), Some(Region::DEFAULT));
}

#[test]
fn every_column_is_required_and_says_so() {
    for (place, column) in COLUMNS.iter().enumerate() {
        assert!(column.required);
        bad("RW", place, "", Form::Text, reasons::EMPTY);
        bad("RW", place, " \u{a0}", Form::Text, reasons::EMPTY);
        bad("RW", place, "#REF!", Form::Error, reasons::CELL_ERROR);
        bad("RW", place, "", Form::Formula, reasons::FORMULA_WITHOUT_VALUE);
        bad("RW", place, "true", Form::Bool, reasons::WRONG_CELL_TYPE);
        bad("RW", place, "1990-01-01", Form::Date, reasons::WRONG_CELL_TYPE);
    }
    let unique: Vec<_> = COLUMNS.iter().filter(|it| it.unique).map(|it| it.field).collect();
    assert_eq!(unique, ["nid", "phone", "email"]);
}

#[test]
fn names_have_letters_and_single_spaces() {
    good("RW", NAMES, "Kavo Belinu", "Kavo Belinu");
    good("RW", NAMES, "Kavo  \u{a0}Belinu", "Kavo Belinu");
    good("RW", NAMES, "O'Tara-Mel, Jr.", "O'Tara-Mel, Jr.");
    good("RW", NAMES, "\u{e9}", "\u{e9}");
    good("RW", NAMES, "\u{738b}", "\u{738b}");
    good("RW", NAMES, &"\u{e9}".repeat(200), &"\u{e9}".repeat(200));
    bad("RW", NAMES, &"\u{e9}".repeat(201), Form::Text, reasons::TOO_LONG);
    for text in ["Kavo\nBelinu", "Kavo\tBelinu", "a\u{7}b", "a\u{202e}b", "a\u{200b}b"] {
        bad("RW", NAMES, text, Form::Text, reasons::MALFORMED_TEXT);
    }
    for text in ["-", "+", "123", "...", "\u{661}"] {
        bad("RW", NAMES, text, Form::Text, reasons::NO_LETTERS);
    }
    bad("RW", NAMES, "123", Form::Number, reasons::NO_LETTERS);
    for text in ["=", "=A1", "@sum", "+Kavo", "-Kavo", "-2+3"] {
        bad("RW", NAMES, text, Form::Text, reasons::LOOKS_LIKE_FORMULA);
    }
}

#[test]
fn a_nid_of_rwanda_has_its_sixteen_digits() {
    for text in [
        "1199080012345678",
        "1 1990 8 0012345 6 78",
        "1-1990-8-0012345-6-78",
        "1.1990.8.0012345.6.78",
        "'1199080012345678",
        "1199\u{a0}0800\u{2013}12345678",
    ] {
        good("RW", NID, text, "1199080012345678");
    }
    good("RW", NID, "2190070000000010", "2190070000000010");
    good("RW", NID, "3202680000000010", "3202680000000010");
    for (text, reason) in [
        ("119908001234567", reasons::NID_LENGTH),
        ("11990800123456789", reasons::NID_LENGTH),
        ("1", reasons::NID_LENGTH),
        ("119908001234567X", reasons::NOT_DIGITS),
        ("1199080012345678 / 2", reasons::NOT_DIGITS),
        ("-1199080012345678", reasons::NOT_DIGITS),
        ("\u{661}\u{661}", reasons::NOT_DIGITS),
        ("PASSPORT", reasons::NOT_DIGITS),
        ("-", reasons::NOT_DIGITS),
        ("'", reasons::NOT_DIGITS),
        ("4199080012345678", reasons::NID_PREFIX),
        ("0199080012345678", reasons::NID_PREFIX),
        ("1189980012345678", reasons::NID_BIRTH_YEAR),
        ("1202780012345678", reasons::NID_BIRTH_YEAR),
        ("1.19908E+15", reasons::DIGITS_LOST),
        ("1,19908E+15", reasons::DIGITS_LOST),
    ] {
        bad("RW", NID, text, Form::Text, reason);
    }
}

#[test]
fn a_nid_that_is_stored_as_a_number_is_looked_at() {
    let number = Form::Number;
    warned("RW", NID, "1199080012345678", number, "1199080012345678", reasons::STORED_AS_NUMBER);
    bad("RW", NID, "1199080012345670", number, reasons::DIGITS_LOST);
    bad("RW", NID, "1199080012345678.5", number, reasons::DIGITS_LOST);
    bad("RW", NID, "1.5", number, reasons::DIGITS_LOST);
    bad("RW", NID, "1.2E+15", number, reasons::DIGITS_LOST);
    bad("RW", NID, "119908001234567", number, reasons::NID_LENGTH);
    bad("RW", NID, "-5", number, reasons::NOT_DIGITS);
}

#[test]
fn a_nid_of_another_region_is_letters_and_digits() {
    good("KE", NID, "12345678", "12345678");
    good("GB", NID, "qq 12 34 56 c", "QQ123456C");
    good("KE", NID, "ab-12/3", "AB-12/3");
    good("KE", NID, "1199080012345670", "1199080012345670");
    for text in ["123", "-123", "12_34", "12\u{e9}4", &"1".repeat(33)] {
        bad("KE", NID, text, Form::Text, reasons::MALFORMED_NID);
    }
    warned("KE", NID, "12345678", Form::Number, "12345678", reasons::STORED_AS_NUMBER);
    bad("KE", NID, "1199080012345670", Form::Number, reasons::DIGITS_LOST);
    bad("KE", NID, "1234.5", Form::Number, reasons::DIGITS_LOST);
}

#[test]
fn one_phone_number_has_one_value_however_it_is_written() {
    for text in [
        "0785576983",
        "785576983",
        "+250785576983",
        "250785576983",
        "00250785576983",
        "0785 576 983",
        "078-557-6983",
        "078.557.6983",
        "078/5576983",
        "(+250) 785 576 983",
        "+250 (0) 785 576 983",
        "+ 250 785576983",
        "(0785) 576983",
        "'0785576983",
        "0785\u{a0}576\u{2011}983",
    ] {
        good("RW", PHONE, text, "+250785576983");
    }
    for (text, value) in [
        ("0788123456", "+250788123456"),
        ("0791234567", "+250791234567"),
        ("0721234567", "+250721234567"),
        ("0731234567", "+250731234567"),
        ("0252580000", "+250252580000"),
        ("+14155552671", "+14155552671"),
        ("+254712123456", "+254712123456"),
        ("0032470123456", "+32470123456"),
    ] {
        good("RW", PHONE, text, value);
    }
    good("KE", PHONE, "0712123456", "+254712123456");
    good("US", PHONE, "(415) 555-2671", "+14155552671");
    good("IT", PHONE, "06 6982 1234", "+390669821234");
}

#[test]
fn a_bad_phone_number_has_its_reason() {
    for (text, reason) in [
        ("none", reasons::NOT_DIGITS),
        ("07855769B3", reasons::NOT_DIGITS),
        ("tel 0785576983", reasons::NOT_DIGITS),
        ("0785576983 ext 4", reasons::NOT_DIGITS),
        ("0785576983#", reasons::NOT_DIGITS),
        ("*182*1#", reasons::NOT_DIGITS),
        ("+", reasons::NOT_DIGITS),
        ("-785576983", reasons::NOT_DIGITS),
        ("\u{660}\u{667}\u{668}", reasons::NOT_DIGITS),
        ("0", reasons::PHONE_LENGTH),
        ("078", reasons::PHONE_LENGTH),
        ("078557698", reasons::PHONE_LENGTH),
        ("07855769831", reasons::PHONE_LENGTH),
        ("+25078557698", reasons::PHONE_LENGTH),
        ("+2507855769", reasons::PHONE_LENGTH),
        ("+2507855769831", reasons::PHONE_LENGTH),
        ("078557698312345678", reasons::PHONE_LENGTH),
        (&"7".repeat(300), reasons::PHONE_LENGTH),
        ("0700000000", reasons::UNKNOWN_PHONE),
        ("0119999999", reasons::UNKNOWN_PHONE),
        ("+999123456789", reasons::UNKNOWN_PHONE),
        ("0785576983/0785576984", reasons::SEVERAL_PHONES),
        ("0785576983 / 0785576984", reasons::SEVERAL_PHONES),
        ("0785576983, 0785576984", reasons::SEVERAL_PHONES),
        ("0785576983;0785576984", reasons::SEVERAL_PHONES),
        ("0785576983 0785576984", reasons::SEVERAL_PHONES),
        ("0785576983 or 0785576984", reasons::SEVERAL_PHONES),
        ("+250785576983+250785576984", reasons::SEVERAL_PHONES),
        ("0785576983\n0785576984", reasons::SEVERAL_PHONES),
        ("2.50786E+11", reasons::DIGITS_LOST),
    ] {
        bad("RW", PHONE, text, Form::Text, reason);
    }
}

#[test]
fn a_phone_number_that_is_stored_as_a_number_has_no_zero_in_front() {
    let number = Form::Number;
    warned("RW", PHONE, "785576983", number, "+250785576983", reasons::ZEROS_LOST);
    let whole = check_in("RW", PHONE, "250785576983", number);
    assert_eq!(whole, (Some("+250785576983".to_owned()), vec![]));
    // Of a country without such zeros.
    let whole = check_in("US", PHONE, "4155552671", number);
    assert_eq!(whole, (Some("+14155552671".to_owned()), vec![]));
    bad("RW", PHONE, "785576983.5", number, reasons::DIGITS_LOST);
    bad("RW", PHONE, "78557698", number, reasons::PHONE_LENGTH);
    bad("RW", PHONE, "-785576983", number, reasons::NOT_DIGITS);
}

#[test]
fn genders_are_taken_from_usual_spellings() {
    for (value, texts) in [
        ("M", "M m Male MALE male. man Boy H homme Masculin gabo UMUGABO M\u{e2}le m. umuhungu"),
        ("F", "F f Female w Woman girl Femme F\u{e9}minin gore umugore f. F.. fille umukobwa"),
        ("O", "O o Other x X Non-Binary nonbinary non\u{a0}binary autre IKINDI other."),
    ] {
        for text in texts.split(' ') {
            good("RW", GENDER, text, value);
        }
    }
    good("RW", GENDER, "Non binary", "O");
}

#[test]
fn a_misspelled_gender_is_guessed_only_where_it_can_be_one() {
    for (value, texts) in [
        ("M", "mael maale amle malle males hommme masculn umugabbo umugbo"),
        ("F", "femal femle famale fmeale feamle femalle femae wman womam femm umugoree femelee"),
        ("O", "othr othre non-binry autr. ikind"),
    ] {
        for text in texts.split(' ') {
            warned("RW", GENDER, text, Form::Text, value, reasons::GENDER_GUESSED);
        }
    }
    for text in [
        "emale",
        "fmale",
        "hemme",
        "fomme",
        "mother",
        "father",
        "mf",
        "m/f",
        "male/female",
        "malefemale",
        "mm",
        "ma",
        "fe",
        "?",
        ".",
        "-",
        "1",
        "2",
        "unknown",
        "n/a",
        "umugaro",
        "\u{0130}",
        &"male".repeat(9_000),
    ] {
        bad("RW", GENDER, text, Form::Text, reasons::UNKNOWN_GENDER);
    }
    bad("RW", GENDER, "1", Form::Number, reasons::UNKNOWN_GENDER);
}

#[test]
fn mail_addresses_are_in_lower_case() {
    for (text, value) in [
        ("user@example.com", "user@example.com"),
        ("User.Name+Tag@Example.CO.RW", "user.name+tag@example.co.rw"),
        ("o'tara@example.org", "o'tara@example.org"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a@b\u{fc}cher.example", "a@b\u{fc}cher.example"),
    ] {
        good("RW", EMAIL, text, value);
    }
    for text in [
        "user",
        "user@",
        "@example.com",
        "user@example",
        "user@@example.com",
        "us er@example.com",
        "user@exam ple.com",
        "User <user@example.com>",
        "<user@example.com>",
        "user@[127.0.0.1]",
        "user@127.0.0.1",
        "user@example.com.",
        "user@.example.com",
        "user@example..com",
        ".user@example.com",
        "user.@example.com",
        "a@example.com;b@example.com",
        "a@example.com, b@example.com",
        "mailto:user@example.com",
        "user@exa_mple.com",
        "user@-example.com",
        "\"a b\"@example.com",
        "user@example.com\nx",
        "user,example.com",
    ] {
        bad("RW", EMAIL, text, Form::Text, reasons::MALFORMED_EMAIL);
    }
    bad("RW", EMAIL, "12", Form::Number, reasons::MALFORMED_EMAIL);
    let host = ["x".repeat(60), "x".repeat(60), "x".repeat(60), "x".repeat(60)].join(".");
    good("RW", EMAIL, &format!("u@{host}.example"), &format!("u@{host}.example"));
    let long = format!("user@{host}.example");
    assert_eq!(long.len(), 256);
    bad("RW", EMAIL, &long, Form::Text, reasons::TOO_LONG);
}

#[test]
fn a_gender_that_is_not_that_of_the_nid_is_looked_at() {
    for (region, nid, gender, differs) in [
        ("RW", "1199080012345678", "M", false),
        ("RW", "1199070012345678", "F", false),
        ("RW", "1199070012345678", "M", true),
        ("RW", "1199080012345678", "F", true),
        ("RW", "1199080012345678", "O", false),
        ("RW", "1199050012345678", "F", false),
        ("RW", "119908001234567", "F", false),
        ("KE", "1199080012345678", "F", false),
    ] {
        let cells = ["Kavo Belinu", nid, "+250785576983", gender, "a@example.com"];
        let checked = Kind::Users.check(cells.map(Cell::text), &rules(region));
        let warnings: Vec<_> =
            checked.findings.warnings.iter().map(|it| (it.field.as_str(), it.reason)).collect();
        let expected: &[_] = if differs { &[("gender", reasons::GENDER_DIFFERS)] } else { &[] };
        assert_eq!(warnings, expected, "{region} {nid} {gender}");
    }
}
