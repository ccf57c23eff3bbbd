//! Numbers, dates and times of workbooks, as text.

use calamine::ExcelDateTime;

/// Whole numbers below this are exact: 2 to the power of 53.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Beyond these a number would be little but zeros.
const PLAIN: std::ops::Range<f64> = 1e-9..1e21;

/// A number without an exponent, where that can be read.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let plain = value.fract() == 0.0 && value.abs() < EXACT || PLAIN.contains(&value.abs());
    if plain { format!("{value}") } else { format!("{value:e}") }
}

/// A date, a time, or both: ISO 8601.
pub(super) fn moment(value: ExcelDateTime) -> String {
    if value.is_duration() {
        return duration(value.as_f64());
    }
    let (year, month, day, hour, minute, second, milli) = value.to_ymd_hms_milli();
    let whole = value.as_f64().fract() == 0.0 || (hour, minute, second, milli) == (0, 0, 0, 0);
    let time_alone = value.as_f64().abs() < 1.0 && !whole;
    let date = format!("{year:04}-{month:02}-{day:02}");
    if whole {
        return date;
    }
    let part = if milli == 0 { String::new() } else { format!(".{milli:03}") };
    let time = format!("{hour:02}:{minute:02}:{second:02}{part}");
    if time_alone { time } else { format!("{date}T{time}") }
}

/// So many days, as hours, minutes and seconds.
#[expect(clippy::cast_possible_truncation, reason = "it ends at the largest there is")]
fn duration(days: f64) -> String {
    let seconds = (days * 86_400.0).round() as i64;
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    format!("{sign}PT{}H{}M{}S", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use calamine::ExcelDateTimeType;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_as_they_were_typed() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (785_576_983.0, "785576983"),
            (1_199_080_123_456_789.0, "1199080123456789"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (1.5, "1.5"),
            (-2.25, "-2.25"),
            (0.1, "0.1"),
            (0.000_001, "0.000001"),
            (1.199_080_123_456_7e15, "1199080123456700"),
            (2.507_855_769_83e11, "250785576983"),
            (1e20, "100000000000000000000"),
            (1e300, "1e300"),
            (-1e-20, "-1e-20"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn dates_are_iso() {
        let at = |value, kind| moment(ExcelDateTime::new(value, kind, false));
        for (value, expected) in [
            (45_943.0, "2025-10-13"),
            (45_943.5, "2025-10-13T12:00:00"),
            (45_943.541, "2025-10-13T12:59:02.400"),
            (0.25, "06:00:00"),
            (0.0, "1899-12-31"),
            (-5.0, "1899-12-31"),
            (1e300, "9999-12-31"),
        ] {
            assert_eq!(at(value, ExcelDateTimeType::DateTime), expected);
        }
        assert_eq!(at(1.5, ExcelDateTimeType::TimeDelta), "PT36H0M0S");
        assert_eq!(at(-0.5, ExcelDateTimeType::TimeDelta), "-PT12H0M0S");
        assert_eq!(
            moment(ExcelDateTime::new(0.0, ExcelDateTimeType::DateTime, true)),
            "1904-01-01"
        );
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was(value: f64) {
            prop_assume!(!value.is_nan());
            let read: f64 = number(value).parse().unwrap();
            prop_assert_eq!(read.to_bits(), (value + 0.0).to_bits());
        }

        #[test]
        fn any_date_is_written(value: f64, kind: bool, old: bool) {
            let kind = if kind { ExcelDateTimeType::DateTime } else { ExcelDateTimeType::TimeDelta };
            prop_assert!(!moment(ExcelDateTime::new(value, kind, old)).is_empty());
        }
    }
}
