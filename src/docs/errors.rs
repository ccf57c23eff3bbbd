//! The page of errors: its prose, with the tables of [`reasons`] set in.

use crate::reasons::{self, Entry, ROWS};

/// What stands around the tables. `{{mark}}` is a table.
const PROSE: &str = include_str!("errors.md");

/// A table of the page.
struct Table {
    mark: &'static str,
    /// The names of the columns after that of the reason.
    head: &'static [&'static str],
    /// What stands in these, of an entry that belongs here.
    cells: fn(&Entry) -> Option<Vec<String>>,
}

const TABLES: &[Table] = &[
    Table { mark: "{{service}}", head: &["gRPC", "HTTP", "When", "What to do"], cells: service },
    Table { mark: "{{envoy}}", head: &["`code`", "HTTP", "When", "What to do"], cells: envoy },
    Table { mark: "{{fields}}", head: &["Field", "When"], cells: field },
    Table { mark: "{{taps}}", head: &["Field", "When"], cells: tap },
    Table { mark: "{{lines}}", head: &["Column", "When"], cells: line },
];

fn service(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Service { code, http, when, todo } = *entry else { return None };
    let code = code.map_or("any other", reasons::code_name);
    let http = http.map(|http| http.to_string()).unwrap_or_default();
    Some(vec![code.to_owned(), http, when.to_owned(), todo.to_owned()])
}

fn envoy(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Envoy { code, http, others, when, todo } = *entry else { return None };
    let others = if others { format!(", other {}xx", http / 100) } else { String::new() };
    let http = format!("{http}{others}");
    Some(vec![i32::from(code).to_string(), http, when.to_owned(), todo.to_owned()])
}

fn field(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Field { field, when } = *entry else { return None };
    Some(vec![field.to_owned(), when.to_owned()])
}

fn tap(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Tap { field, when } = *entry else { return None };
    Some(vec![field.to_owned(), when.to_owned()])
}

fn line(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Line { column, when } = *entry else { return None };
    Some(vec![column.to_owned(), when.to_owned()])
}

/// The page as Markdown.
#[must_use]
pub fn markdown() -> String {
    TABLES.iter().fold(PROSE.to_owned(), |page, table| page.replace(table.mark, &table.markdown()))
}

impl Table {
    fn markdown(&self) -> String {
        let rule = vec!["---"; self.head.len()].join(" | ");
        let mut lines =
            vec![format!("| Reason | {} |", self.head.join(" | ")), format!("| --- | {rule} |")];
        for row in ROWS {
            if let Some(cells) = (self.cells)(&row.entry) {
                // An empty cell has one space.
                let cells = cells.join(" | ").replace(" |  | ", " | | ");
                lines.push(format!("| `{}` | {cells} |", row.reason));
            }
        }
        lines.join("\n")
    }
}
