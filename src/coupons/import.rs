//! `tap-analytics seed --coupons`: loads coupons from a JSON file, whoever made it.
//!
//! A coupon that cannot be taken is reported with its place and everything that is wrong with it, and the rest goes
//! in. A second run changes nothing but for what was missing.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    model::{BATCH_COUPONS_MAX, code_key},
    registry::Registry,
    store::coupons::NewCoupon,
    wire::coupons::{self, Code},
};
use crate::{
    clock::Clock,
    db::Db,
    error::Violation,
    ids::{TagId, TeamId, uuid_from},
    proto::tap_v1,
    reasons,
    tags::directory::TagDirectory,
    wire::excerpt,
};

/// The sample, and whose it is.
const SAMPLE: &str = "data/coupons.json";
const SAMPLE_TEAM: i32 = 1;

/// What to load.
#[derive(clap::Args, Debug)]
pub struct File {
    /// JSON: an array of coupons, or an object with one as `coupons`. Each as the API shows it: `couponcode` and
    /// `title`, and optionally `id`, category, merchant, description, store, publishedAt, expireAt and so on. Without
    /// any file, the sample data/coupons.json as well.
    #[arg(long, value_name = "FILE", requires = "team")]
    pub coupons: Option<PathBuf>,
    /// The number of the team whose coupons they are.
    #[arg(long, value_name = "NUMBER", requires = "coupons")]
    pub team: Option<i32>,
}

impl File {
    /// Whether a file is named.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.coupons.is_some()
    }
}

/// Loads the file; where none is named, the sample.
///
/// # Errors
/// When the file or the store cannot be read, or when coupons were left out: the others are in.
pub async fn run(db: &Db, clock: &Clock, file: &File) -> anyhow::Result<()> {
    let path = file.coupons.as_deref().unwrap_or(Path::new(SAMPLE));
    let team = TeamId(file.team.unwrap_or(SAMPLE_TEAM));
    let rows = read(path)?;
    let tags = Arc::new(TagDirectory::new(db.clone()));
    tags.refresh_team(team).await?;
    if tags.revision(team).is_none() {
        bail!("there is no team {team}: `tap-analytics teams list` shows which there are");
    }
    let (db, clock) = (db.clone(), clock.clone());
    let registry = Registry { db, clock, tags: Arc::clone(&tags), coupons_max: i64::MAX };
    let mut import = Import {
        name: path.display().to_string(),
        codes: HashMap::new(),
        places: HashMap::new(),
        bad: 0,
    };
    let (mut read, mut made, mut new) = (0, 0, Vec::new());
    let last = rows.len();
    for (place, row) in (1..).zip(rows) {
        new.extend(import.row(place, &row, |uid| tags.find(team, uid).map(|tag| tag.id)));
        if new.len() == BATCH_COUPONS_MAX || place == last {
            read += new.len();
            let imported = registry.import(team, std::mem::take(&mut new)).await?;
            made += imported.made;
            for id in imported.taken {
                read -= 1;
                let text = "is that of another coupon of the team, whatever the case";
                let bad = Violation::new("couponcode", reasons::DUPLICATE_COUPONCODE, text);
                import.report(import.places.get(&id).copied().unwrap_or_default(), &[bad]);
            }
        }
    }
    let (rows, were) = if import.bad == 1 { ("coupon", "was") } else { ("coupons", "were") };
    eprintln!("{}: {read} coupons read, {made} new, {} {rows} left out", import.name, import.bad);
    match import.bad {
        0 => Ok(()),
        bad => bail!(
            "{bad} {rows} {were} left out, as reported above: mend them and run seed again, what is there already is passed over"
        ),
    }
}

/// The coupons of a file.
fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let name = path.display();
    let text = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let json: Value =
        serde_json::from_slice(&text).with_context(|| format!("{name} is not JSON"))?;
    let rows = match json {
        Value::Object(mut object) => object.remove("coupons").unwrap_or_default(),
        rows => rows,
    };
    match rows {
        Value::Array(rows) => Ok(rows),
        _ => bail!("{name} is neither an array of coupons nor an object with one as `coupons`"),
    }
}

/// What is known of a file so far.
struct Import {
    name: String,
    /// Codes in one case, and where they are.
    codes: HashMap<String, usize>,
    places: HashMap<Uuid, usize>,
    bad: usize,
}

impl Import {
    /// The coupon of a row; `None`, and it is reported, when it cannot be taken.
    fn row(
        &mut self,
        place: usize,
        row: &Value,
        tag: impl Fn(&str) -> Option<TagId>,
    ) -> Option<NewCoupon> {
        let mut bad = Vec::new();
        let Value::Object(fields) = row else {
            let bad = Violation::new("coupon", reasons::WRONG_TYPE, "is not an object");
            self.report(place, &[bad]);
            return None;
        };
        let mut fields = Fields { members: fields, prefix: "", bad: &mut bad };
        let id = Some(fields.text("id")).filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| fields.text("_id"));
        let new = fields.coupon();
        let wrong_types = bad.len();
        let content = coupons::content("", new, Code::Chosen, &mut bad);
        for violation in &mut bad[wrong_types..] {
            violation.field = camel(&violation.field);
        }
        let mut tags = Vec::new();
        for uid in &content.tag_uids {
            if let Some(tag) = tag(uid) {
                tags.push(tag);
            } else {
                let text = format!("names {}, which is no tag of the team", excerpt(uid));
                bad.push(Violation::new("tagUids", reasons::UNKNOWN_TAG, text));
            }
        }
        let key = code_key(&content.couponcode);
        // One that has no id is known by its code.
        let id =
            if id.is_empty() { uuid_from(&format!("couponcode {key}")) } else { uuid_from(&id) };
        if let Some(first) = self.places.get(&id).filter(|_| bad.is_empty()) {
            let text = format!("is that of coupon {first} too");
            bad.push(Violation::new("id", reasons::DUPLICATE_CONFLICT, text));
        }
        if bad.is_empty() {
            match self.codes.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(place);
                }
                Entry::Occupied(entry) => {
                    let text = format!("is that of coupon {} too, whatever the case", entry.get());
                    bad.push(Violation::new("couponcode", reasons::DUPLICATE_COUPONCODE, text));
                }
            }
        }
        if !bad.is_empty() {
            self.report(place, &bad);
            return None;
        }
        self.places.insert(id, place);
        tags.sort_unstable();
        Some(NewCoupon { id, content, tags })
    }

    fn report(&mut self, place: usize, violations: &[Violation]) {
        self.bad += 1;
        let texts: Vec<String> = violations
            .iter()
            .map(|v| format!("{} {} ({})", v.field, v.description, v.reason))
            .collect();
        eprintln!("{} coupon {place}: {}", self.name, texts.join("; "));
    }
}

/// A name as JSON has it: `store.lat`, `expireAt`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &capital.into_iter().chain(letters).collect::<String>()
    })
}

/// The fields of an object, of whatever type somebody's program has written them: a number for a text, a text for a
/// number, null for nothing.
struct Fields<'a> {
    members: &'a Map<String, Value>,
    prefix: &'a str,
    bad: &'a mut Vec<Violation>,
}

impl Fields<'_> {
    fn coupon(&mut self) -> tap_v1::NewCoupon {
        let store = match self.members.get("store") {
            None | Some(Value::Null) => None,
            Some(Value::Object(fields)) => {
                let mut store = Fields { members: fields, prefix: "store.", bad: self.bad };
                Some(tap_v1::Store {
                    lat: store.number("lat"),
                    long: store.number("long"),
                    city: Some(store.text("city")),
                    phone: Some(store.text("phone")),
                    state: Some(store.text("state")),
                    street: Some(store.text("street")),
                    zip: Some(store.text("zip")),
                })
            }
            Some(_) => {
                self.wrong("store", "an object");
                None
            }
        };
        tap_v1::NewCoupon {
            couponcode: self.text("couponcode"),
            category: self.text("category"),
            title: self.text("title"),
            description: self.text("description"),
            merchant: self.text("merchant"),
            store,
            published_at: self.text("publishedAt"),
            expire_at: self.text("expireAt"),
            tag_uids: self.texts("tagUids"),
            max_redemptions: self.times("maxRedemptions"),
            max_per_subject: self.times("maxPerSubject"),
            disabled: self.flag("disabled"),
            metadata: self.pairs("metadata"),
        }
    }

    fn wrong(&mut self, name: &str, wanted: &str) {
        let field = format!("{}{name}", self.prefix);
        self.bad.push(Violation::new(field, reasons::WRONG_TYPE, format!("must be {wanted}")));
    }

    fn text(&mut self, name: &str) -> String {
        match self.members.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => {
                self.wrong(name, "a text");
                String::new()
            }
        }
    }

    fn number(&mut self, name: &str) -> Option<f64> {
        let number = match self.members.get(name) {
            None | Some(Value::Null) => return None,
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) if text.is_empty() => return None,
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        if number.is_none() {
            self.wrong(name, "a number");
        }
        number
    }

    fn times(&mut self, name: &str) -> Option<i32> {
        let times = match self.members.get(name) {
            None | Some(Value::Null) => return None,
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let times = times.and_then(|times| i32::try_from(times).ok());
        if times.is_none() {
            self.wrong(name, "a whole number, up to 2147483647");
        }
        times
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.members.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.wrong(name, "true or false");
                false
            }
        }
    }

    fn texts(&mut self, name: &str) -> Vec<String> {
        let texts = match self.members.get(name) {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(texts)) => {
                texts.iter().map(|text| text.as_str().map(str::to_owned)).collect()
            }
            Some(_) => None,
        };
        if texts.is_none() {
            self.wrong(name, "an array of texts");
        }
        texts.unwrap_or_default()
    }

    fn pairs(&mut self, name: &str) -> BTreeMap<String, String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        };
        let pairs = match self.members.get(name) {
            None | Some(Value::Null) => Some(BTreeMap::new()),
            Some(Value::Object(pairs)) => {
                // One without a value says nothing.
                let said = |value: &Value| !value.is_null() && value.as_str() != Some("");
                let pairs = pairs.iter().filter(|(_, value)| said(value));
                pairs.map(|(key, value)| Some((key.clone(), text(value)?))).collect()
            }
            Some(_) => None,
        };
        if pairs.is_none() {
            self.wrong(name, "an object of texts");
        }
        pairs.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn import() -> Import {
        let name = "test".to_owned();
        Import { name, codes: HashMap::new(), places: HashMap::new(), bad: 0 }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            Just(json!("2016-03-05T08:40:51.620Z")),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
            let names = prop_oneof![
                Just("couponcode".to_owned()),
                Just("title".to_owned()),
                Just("store".to_owned()),
                Just("lat".to_owned()),
                Just("expireAt".to_owned()),
                Just("tagUids".to_owned()),
                Just("metadata".to_owned()),
                ".{0,5}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((names, inner), 0..8)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_row_is_it_is_taken_or_reported(row in any_value()) {
            let mut import = import();
            let taken = import.row(1, &row, |_| None);
            prop_assert_eq!(taken.is_none(), import.bad == 1);
            if let Some(taken) = taken {
                prop_assert!(!taken.content.couponcode.is_empty());
                prop_assert!(taken.content.violations("").is_empty());
            }
        }
    }

    #[test]
    fn a_row_may_have_numbers_for_texts_and_texts_for_numbers() {
        let row = json!({
            "_id": 7,
            "couponcode": 2016,
            "title": "Free coffee",
            "store": {"lat": "52.5", "long": 13.4, "zip": 10115, "phone": null},
            "maxRedemptions": "10",
            "metadata": {"campaign": 3, "vip": true},
            "somethingElse": [1, 2],
        });
        let taken = import().row(1, &row, |_| None).unwrap();
        assert_eq!(taken.content.couponcode, "2016");
        assert_eq!((taken.content.store.lat, taken.content.store.long), (Some(52.5), Some(13.4)));
        assert_eq!(taken.content.store.zip, "10115");
        assert_eq!(taken.content.max_redemptions, Some(10));
        assert_eq!(taken.content.metadata["vip"], "true");
        let again = import().row(1, &row, |_| None).unwrap();
        assert_eq!(again.id, taken.id, "the same in each run");
    }

    #[test]
    fn names_are_those_of_json() {
        assert_eq!(camel("expire_at"), "expireAt");
        assert_eq!(camel("max_per_subject"), "maxPerSubject");
        assert_eq!(camel("store.lat"), "store.lat");
    }
}
