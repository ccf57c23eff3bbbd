//! What holds whatever is in a cell.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{
    PHONE,
    tests::{check_in, rules},
};
use crate::imports::{
    cells::{Cell, Form},
    kind::{Findings, Kind},
};

#[test]
fn no_description_repeats_the_cell() {
    let marker = "7319Qz";
    let mut reasons = HashSet::new();
    for kind in Kind::ALL {
        for column in kind.columns() {
            for form in
                [Form::Text, Form::Number, Form::Bool, Form::Date, Form::Error, Form::Formula]
            {
                for text in [
                    marker.to_owned(),
                    format!("={marker}"),
                    format!("{marker}\n"),
                    marker.repeat(500),
                    "073197319".to_owned(),
                    "0731973197 / 0731973198".to_owned(),
                    "9731973197319731".to_owned(),
                    "1731973197319731".to_owned(),
                    "1731973197319730".to_owned(),
                    "femal7319".to_owned(),
                    format!("https://{marker}:x@example.com"),
                ] {
                    let mut findings = Findings::default();
                    let cell = Cell { text: &text, form };
                    let _value = (column.check)(cell, &rules("RW"), &mut findings);
                    for found in findings.violations.iter().chain(&findings.warnings) {
                        reasons.insert(found.reason);
                        assert!(!found.description.contains("7319"), "{}", found.description);
                        assert!(!found.description.contains("Qz"), "{}", found.description);
                    }
                }
            }
        }
    }
    assert!(reasons.len() > 15, "{reasons:?}");
}

/// Texts that are near to what rules take.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[+(0]{0,2}[0-9 ()./+-]{0,20}",
        "\\+?(250)?0?7[0-9]{8}",
        "[1-4](19|20)[0-9]{2}[78][0-9]{9,11}",
        "[fmeal o]{1,8}",
        "\\PC{1,6}@[a-zA-Z.\\PC]{1,9}\\.[a-z]{2}",
    ]
}

proptest! {
    #[test]
    fn what_was_accepted_is_accepted_again_as_it_is(
        place in 0_usize..5, text in any_text(), number in any::<bool>(),
        region in prop_oneof![Just("RW"), Just("US"), Just("IT"), Just("AR"), Just("DE")],
    ) {
        let form = if number { Form::Number } else { Form::Text };
        if let (Some(value), _) = check_in(region, place, &text, form) {
            let again = check_in(region, place, &value, Form::Text);
            prop_assert_eq!(&again, &(Some(value.clone()), vec![]));
            let digits = value.strip_prefix('+').unwrap_or_default();
            prop_assert!(place != PHONE || digits.len() > 4 && digits.bytes().all(|b| b.is_ascii_digit()));
        }
    }
}
