//! Whatever is changed in whatever order, rows and counts are as if the file had been uploaded as it is now.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use super::{Importer, nid, person, phone, text};

/// A change of a row.
#[derive(Clone, Debug)]
enum Step {
    Nid(u32, u32),
    Phone(u32, u32),
    Email(u32, u32),
    Gender(u32, bool),
    Skip(u32, bool),
}

/// Of a few rows, with few values, so that many are twins; and some that are stored.
const ROWS: u32 = 8;
const VALUES: u32 = 6;

fn step() -> impl Strategy<Value = Step> {
    let (row, value) = (0..ROWS, 0..VALUES + 3);
    prop_oneof![
        (row.clone(), value.clone()).prop_map(|(row, value)| Step::Nid(row, value)),
        (row.clone(), value.clone()).prop_map(|(row, value)| Step::Phone(row, value)),
        (row.clone(), value).prop_map(|(row, value)| Step::Email(row, value)),
        (row.clone(), any::<bool>()).prop_map(|(row, good)| Step::Gender(row, good)),
        (row, any::<bool>()).prop_map(|(row, skipped)| Step::Skip(row, skipped)),
    ]
}

/// What a row has in its cells. The last values are no good.
#[derive(Clone, Debug)]
struct Cells([String; 5]);

impl Cells {
    fn change(&mut self, step: &Step) -> Option<(&'static str, String)> {
        let (at, field, text) = match *step {
            Step::Nid(_, value) => {
                (1, "nid", if value < VALUES { nid(value) } else { "12".to_owned() })
            }
            Step::Phone(_, value) => {
                (2, "phone", if value < VALUES { phone(value) } else { String::new() })
            }
            Step::Email(_, value) => (
                4,
                "email",
                if value < VALUES { format!("p{value}@example.com") } else { "@".to_owned() },
            ),
            Step::Gender(_, good) => (3, "gender", if good { "F" } else { "?" }.to_owned()),
            Step::Skip(..) => return None,
        };
        self.0[at].clone_from(&text);
        Some((field, text))
    }
}

fn row_of(step: &Step) -> u32 {
    match *step {
        Step::Nid(row, _)
        | Step::Phone(row, _)
        | Step::Email(row, _)
        | Step::Gender(row, _)
        | Step::Skip(row, _) => row,
    }
}

/// Rows and counts, without what tells that they were changed.
async fn seen(desk: &Importer, id: &str) -> (Vec<Value>, Value, Value, Value) {
    let mut rows = desk.rows(id, json!({})).await;
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("changed");
    }
    let import = desk.get(id).await;
    (rows, import["counts"].clone(), import["faults"].clone(), import["plan"].clone())
}

#[test]
fn changes_lead_where_a_new_upload_leads() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let desk = runtime.block_on(async {
        let desk = Importer::open().await;
        // 0 and 1 are stored, 1 under another name.
        desk.store(&format!(
            "{}\n{}\n{}\n",
            super::TITLES,
            person(0),
            person(1).replace("Person", "Other")
        ))
        .await;
        desk
    });
    let config =
        ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let steps = proptest::collection::vec(step(), 1..14);
    TestRunner::new(config)
        .run(&steps, |steps| {
            runtime.block_on(async {
                let mut cells: Vec<Cells> = (0..ROWS)
                    .map(|row| {
                        let person = person(row % VALUES);
                        let cells: Vec<String> = person.split(',').map(str::to_owned).collect();
                        Cells(cells.try_into().unwrap())
                    })
                    .collect();
                let csv = |cells: &[Cells]| {
                    let rows: Vec<String> = cells.iter().map(|cells| cells.0.join(",")).collect();
                    format!("{}\n{}\n", super::TITLES, rows.join("\n"))
                };
                let changed = text(&desk.ready(&csv(&cells)).await["id"]).to_owned();
                let mut skipped = vec![false; cells.len()];
                for step in &steps {
                    let row = row_of(step);
                    let at = row as usize;
                    if let Some((field, text)) = cells[at].change(step) {
                        desk.patch(&changed, row + 2, json!({ field: text })).await;
                    } else {
                        skipped[at] = matches!(step, Step::Skip(_, true));
                        let request =
                            json!({"importId": changed, "row": row + 2, "skipped": skipped[at]});
                        desk.answer("PatchImportRow", request).await;
                    }
                }
                let fresh = text(&desk.ready(&csv(&cells)).await["id"]).to_owned();
                for (row, _) in (0_u32..).zip(&skipped).filter(|(_, skipped)| **skipped) {
                    let request = json!({"importId": fresh, "row": row + 2, "skipped": true});
                    desk.answer("PatchImportRow", request).await;
                }
                assert_eq!(seen(&desk, &changed).await, seen(&desk, &fresh).await, "{steps:?}");
                for id in [changed, fresh] {
                    desk.answer("CancelImport", json!({ "importId": id })).await;
                }
            });
            Ok(())
        })
        .unwrap();
}
