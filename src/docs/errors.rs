//! The page of errors: its prose, with the tables of [`reasons`] set in.

use std::collections::BTreeSet;

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
    Table { mark: "{{events}}", head: &["Field", "When"], cells: event },
    Table { mark: "{{lines}}", head: &["Column", "When"], cells: line },
    Table { mark: "{{files}}", head: &["When"], cells: file },
    Table { mark: "{{cells}}", head: &["Column", "When"], cells: cell },
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

fn event(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Event { field, when } = *entry else { return None };
    Some(vec![field.to_owned(), when.to_owned()])
}

fn line(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Line { column, when } = *entry else { return None };
    Some(vec![column.to_owned(), when.to_owned()])
}

fn file(entry: &Entry) -> Option<Vec<String>> {
    let Entry::File { when } = *entry else { return None };
    Some(vec![when.to_owned()])
}

fn cell(entry: &Entry) -> Option<Vec<String>> {
    let Entry::Cell { column, when } = *entry else { return None };
    Some(vec![column.to_owned(), when.to_owned()])
}

/// The page as Markdown.
#[must_use]
pub fn markdown() -> String {
    TABLES.iter().fold(PROSE.to_owned(), |page, table| page.replace(table.mark, &table.markdown()))
}

/// The page as the inside of an HTML document.
pub(super) fn html() -> String {
    let mut seen = BTreeSet::new();
    let blocks = PROSE.split("\n\n").map(str::trim).map(|block| {
        if let Some(table) = TABLES.iter().find(|table| table.mark == block) {
            table.html(&mut seen)
        } else if let Some(title) = block.strip_prefix("# ") {
            format!("<h1>{}</h1>", inline(title))
        } else if let Some(title) = block.strip_prefix("## ") {
            format!("<h2>{}</h2>", inline(title))
        } else {
            format!("<p>{}</p>", inline(block))
        }
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// Text as HTML; what is between backticks is code.
fn inline(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let mut html = String::new();
    for (at, part) in escaped.split('`').enumerate() {
        let code = at % 2 == 1;
        html.push_str(if code { "<code>" } else { "" });
        html.push_str(part);
        html.push_str(if code { "</code>" } else { "" });
    }
    html
}

impl Table {
    /// Where a reason is seen for the first time is what a link to it leads to.
    fn html(&self, seen: &mut BTreeSet<&'static str>) -> String {
        let heads: Vec<String> = self.head.iter().map(|head| inline(head)).collect();
        let mut lines = vec![
            "<div class=\"scroll\" tabindex=\"0\"><table>".to_owned(),
            format!("<thead><tr><th>Reason</th><th>{}</th></tr></thead>", heads.join("</th><th>")),
            "<tbody>".to_owned(),
        ];
        for row in ROWS {
            let Some(cells) = (self.cells)(&row.entry) else { continue };
            let reason = row.reason;
            let id = if seen.insert(reason) { format!(" id=\"{reason}\"") } else { String::new() };
            let cells: Vec<String> = cells.iter().map(|cell| inline(cell)).collect();
            let cells = cells.join("</td><td>");
            lines.push(format!(
                "<tr{id}><td><a href=\"#{reason}\"><code>{reason}</code></a></td><td>{cells}</td></tr>"
            ));
        }
        lines.push("</tbody></table></div>".to_owned());
        lines.join("\n")
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_code_is_code() {
        assert_eq!(inline("a < b & `\"c\"`"), "a &lt; b &amp; <code>&quot;c&quot;</code>");
    }

    #[test]
    fn every_reason_has_one_anchor() {
        let page = html();
        for row in ROWS {
            let anchors = page.matches(&format!("id=\"{}\"", row.reason)).count();
            assert_eq!(anchors, 1, "{}", row.reason);
        }
        assert!(!page.contains("{{") && !page.contains('`'), "{page}");
    }
}
