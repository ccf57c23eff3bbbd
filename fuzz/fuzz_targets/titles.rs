//! Text as rows of titles: lines, with tabs between cells.
#![no_main]

use tap_analytics::imports::sheet::header::{Line, Titles, folded};
use tap_analytics_fuzz::COLUMNS;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let lines: Vec<Line> = (1..)
        .zip(text.lines().take(20))
        .map(|(number, line)| Line {
            number,
            titles: (0..).zip(line.split('\t').map(str::to_owned)).collect(),
        })
        .collect();
    let titles = Titles::new(COLUMNS);
    let Some(found) = titles.find(&lines) else { return };
    assert!(found.known > 0 && found.known <= COLUMNS.len());
    for column in &found.columns {
        let once = folded(&column.title);
        assert_eq!(folded(&once), once);
        assert!(column.known.is_none() || !once.is_empty());
    }
});
