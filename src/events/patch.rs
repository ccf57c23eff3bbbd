//! What is changed in refused events before they are sent again.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    check::{EVENT_ID, OCCURRED_AT, SESSION_ID},
    data,
    model::EVENT_BYTES_MAX,
};
use crate::{
    error::Violation,
    json::{self, LEVELS_MAX},
    reasons,
    wire::{excerpt, uuid},
};

/// Places that are set, those that are cleared, and sessions that are mapped.
pub const PLACES_MAX: usize = 50;
pub const SESSIONS_MAX: usize = 1_000;
/// Names of a path, and its characters.
const NAMES_MAX: usize = 10;
const PATH_CHARS_MAX: usize = 200;

/// What is changed in an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// Values by the path to where they go.
    set: BTreeMap<String, Value>,
    /// Paths that are cleared before that.
    remove: Vec<String>,
    /// Sessions by the one that they stand in for.
    sessions: HashMap<Uuid, Uuid>,
}

impl Patch {
    /// A patch of these changes.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(
        set: BTreeMap<String, Value>,
        remove: Vec<String>,
        sessions: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Violation>> {
        let mut bad = Vec::new();
        check_places("patch.set", set.len(), set.keys(), &mut bad);
        check_places("patch.remove", remove.len(), remove.iter(), &mut bad);
        // It goes into each event, of which there are up to a thousand.
        if set.values().map(data::json_len).sum::<usize>() > EVENT_BYTES_MAX {
            let text = format!("has more than {EVENT_BYTES_MAX} bytes: no event can hold that");
            bad.push(Violation::new("patch.set", reasons::TOO_LARGE, text));
        }
        for (path, value) in &set {
            let way = path.split('.').count();
            if json::is_deep(value, LEVELS_MAX.saturating_sub(way)) {
                let text = format!(
                    "{} leads to what would have more than {LEVELS_MAX} levels",
                    excerpt(path)
                );
                bad.push(Violation::new("patch.set", reasons::MALFORMED_VALUE, text));
            }
        }
        for spellings in [&OCCURRED_AT[..], &SESSION_ID, &EVENT_ID] {
            let given =
                spellings.iter().filter(|name| set.keys().any(|path| first(path) == **name));
            if let [one, other, ..] = given.collect::<Vec<_>>()[..] {
                let text = format!("{one} and {other} are the same field: set one of them");
                bad.push(Violation::new("patch.set", reasons::CONFLICTING_FIELDS, text));
            }
        }
        let field = "patch.sessions";
        let mut mapped = HashMap::new();
        for (from, to) in sessions {
            if mapped.len() == SESSIONS_MAX {
                let text = format!("maps more than {SESSIONS_MAX} sessions");
                bad.push(Violation::new(field, reasons::TOO_MANY_PLACES, text));
                break;
            }
            match (uuid(field, &from), uuid(field, &to)) {
                (Ok(_), Ok(to)) if to.is_nil() => {
                    let text = "the UUID of zeros stands for no session";
                    bad.push(Violation::new(field, reasons::MALFORMED_UUID, text));
                }
                (Ok(from), Ok(to)) => {
                    mapped.insert(from, to);
                }
                (from, to) => bad.extend([from.err(), to.err()].into_iter().flatten()),
            }
        }
        if bad.is_empty() { Ok(Self { set, remove, sessions: mapped }) } else { Err(bad) }
    }

    /// Changes an event: clears, then sets, then maps its session.
    pub fn apply(&self, payload: &mut Value) {
        for path in &self.remove {
            remove(payload, path);
        }
        for (path, value) in &self.set {
            set(payload, path, value);
        }
        if let Value::Object(event) = payload {
            self.map_session(event);
        }
    }

    fn map_session(&self, event: &mut Map<String, Value>) {
        if self.sessions.is_empty() {
            return;
        }
        for name in SESSION_ID {
            let place = match event.get_mut(name) {
                Some(Value::Object(session)) if name == "session" => session.get_mut("id"),
                other => other,
            };
            if let Some(Value::String(id)) = place
                && let Some(to) = Uuid::parse_str(id).ok().and_then(|id| self.sessions.get(&id))
            {
                *id = to.to_string();
            }
        }
    }
}

fn check_places<'a>(
    field: &str,
    len: usize,
    paths: impl Iterator<Item = &'a String>,
    bad: &mut Vec<Violation>,
) {
    if len > PLACES_MAX {
        let text = format!("has {len} places, and may have {PLACES_MAX}");
        bad.push(Violation::new(field, reasons::TOO_MANY_PLACES, text));
        return;
    }
    for path in paths {
        let names = path.split('.').count();
        let well = path.split('.').all(|name| !name.is_empty() && !name.contains(char::is_control));
        if !well || names > NAMES_MAX || path.chars().nth(PATH_CHARS_MAX).is_some() {
            let text = format!(
                "{} is not a path of 1 to {NAMES_MAX} names with dots between them, at most {PATH_CHARS_MAX} characters",
                excerpt(path)
            );
            bad.push(Violation::new(field, reasons::MALFORMED_PATH, text));
        }
    }
}

/// The first name of a path.
fn first(path: &str) -> &str {
    path.split('.').next().unwrap_or_default()
}

fn remove(payload: &mut Value, path: &str) {
    let (way, name) = path.rsplit_once('.').map_or((None, path), |(way, name)| (Some(way), name));
    let mut here = payload;
    for step in way.into_iter().flat_map(|way| way.split('.')) {
        let Some(next) = here.as_object_mut().and_then(|map| map.get_mut(step)) else { return };
        here = next;
    }
    if let Value::Object(map) = here {
        map.remove(name);
    }
}

fn set(payload: &mut Value, path: &str, value: &Value) {
    let field = first(path);
    for spellings in [&OCCURRED_AT[..], &SESSION_ID, &EVENT_ID] {
        if spellings.contains(&field) {
            // They would not say the same.
            for other in spellings.iter().filter(|other| **other != field) {
                remove(payload, other);
            }
        }
    }
    let mut here = payload;
    for name in path.split('.') {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Value::Object(map) = here else { return };
        here = map.entry(name).or_insert(Value::Null);
    }
    *here = value.clone();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::data::tests::any_json, *};

    const A: &str = "01a20530-7f5e-7cc1-a3c3-6d2f3b1c9d01";
    const B: &str = "01a20530-7f5e-7cc1-a3c3-6d2f3b1c9d02";

    fn patch(set: Value, remove: &[&str], sessions: &[(&str, &str)]) -> Result<Patch, Vec<String>> {
        let set = serde_json::from_value(set).unwrap();
        let remove = remove.iter().map(|&path| path.to_owned()).collect();
        let sessions = sessions.iter().map(|&(from, to)| (from.to_owned(), to.to_owned()));
        Patch::new(set, remove, sessions).map_err(|bad| {
            bad.into_iter().map(|bad| format!("{} {}", bad.field, bad.reason)).collect()
        })
    }

    fn patched(patch: Result<Patch, Vec<String>>, mut payload: Value) -> Value {
        patch.unwrap().apply(&mut payload);
        payload
    }

    #[test]
    fn fields_are_cleared_and_set_and_objects_on_the_way_are_made() {
        let change = patch(
            json!({"data.plan": "free", "data.cart.total": 3, "category": "shop", "data.text.a": 1}),
            &["data.old", "data.cart", "nothing.here", "data.text.a.b"],
            &[],
        );
        let event = json!({"name": "buy", "data": {"old": 1, "cart": {"items": []}, "text": "t"}});
        let after = json!({
            "name": "buy", "category": "shop",
            "data": {"plan": "free", "cart": {"total": 3}, "text": {"a": 1}},
        });
        assert_eq!(patched(change, event), after);
    }

    #[test]
    fn what_is_set_is_not_contradicted_by_another_spelling() {
        let when = patch(json!({"occurred_at": "then"}), &[], &[]);
        let event = json!({"timestamp": "a", "occurredAt": "b", "occurred_at": "c"});
        assert_eq!(patched(when, event), json!({"occurred_at": "then"}));
        let session = patch(json!({"session_id": A}), &[], &[]);
        let event = json!({"session": {"id": B}, "sessionId": B});
        assert_eq!(patched(session, event), json!({"session_id": A}));
        let session = patch(json!({"session.id": A, "eventId": B}), &[], &[]);
        let event = json!({"session_id": B, "session": {"id": B}, "event_id": A});
        assert_eq!(patched(session, event), json!({"session": {"id": A}, "eventId": B}));
    }

    #[test]
    fn sessions_are_mapped_in_whichever_form_they_are() {
        let change = || patch(json!({}), &[], &[(A, B)]);
        let upper = A.to_uppercase();
        for (event, after) in [
            (json!({"session_id": A}), json!({"session_id": B})),
            (json!({"sessionId": upper}), json!({"sessionId": B})),
            (json!({"session": {"id": A}}), json!({"session": {"id": B}})),
            (json!({"session": A, "x": A}), json!({"session": B, "x": A})),
            (json!({"session_id": B}), json!({"session_id": B})),
            (json!({"session_id": 3, "session": []}), json!({"session_id": 3, "session": []})),
            (json!([A]), json!([A])),
        ] {
            assert_eq!(patched(change(), event), after);
        }
        // One that was set just now, too.
        let both = patch(json!({"session_id": A}), &[], &[(A, B)]);
        assert_eq!(patched(both, json!({})), json!({"session_id": B}));
    }

    #[test]
    fn what_is_no_object_becomes_one_when_something_is_set() {
        let change = || patch(json!({"data.a": 1}), &["x"], &[]);
        for event in [json!(3), json!("text"), json!([1]), json!(null)] {
            assert_eq!(patched(change(), event), json!({"data": {"a": 1}}));
        }
        assert_eq!(patched(patch(json!({}), &["x"], &[]), json!([1])), json!([1]));
    }

    #[test]
    fn everything_wrong_is_said() {
        let long = "x".repeat(201);
        let deep = ["a"; 11].join(".");
        let bad = patch(
            json!({"": 1, "a..b": 1, "a.\0": 1, "timestamp": 1, "occurred_at": 1, "sessionId": 1,
                   "session.id": 1}),
            &[&long, &deep, "fine"],
            &[("x", A), (A, "00000000-0000-0000-0000-000000000000")],
        );
        let said = [
            "patch.set MALFORMED_PATH",
            "patch.set MALFORMED_PATH",
            "patch.set MALFORMED_PATH",
            "patch.remove MALFORMED_PATH",
            "patch.remove MALFORMED_PATH",
            "patch.set CONFLICTING_FIELDS",
            "patch.set CONFLICTING_FIELDS",
            "patch.sessions MALFORMED_UUID",
            "patch.sessions MALFORMED_UUID",
        ];
        assert_eq!(bad.unwrap_err(), said);
    }

    #[test]
    fn there_may_be_only_so_many() {
        let many = |n: usize| -> Value {
            Value::Object((0..n).map(|at| (format!("data.a{at}"), json!(at))).collect())
        };
        assert!(patch(many(50), &["a"; 50], &[]).is_ok());
        let bad = patch(many(51), &["a"; 51], &[]).unwrap_err();
        assert_eq!(bad, ["patch.set TOO_MANY_PLACES", "patch.remove TOO_MANY_PLACES"]);
        let ids: Vec<String> = (0..1_001).map(|_| Uuid::now_v7().to_string()).collect();
        let sessions: Vec<_> = ids.iter().map(|id| (id.as_str(), A)).collect();
        assert!(patch(json!({}), &[], &sessions[..1_000]).is_ok());
        let bad = patch(json!({}), &[], &sessions).unwrap_err();
        assert_eq!(bad, ["patch.sessions TOO_MANY_PLACES"]);
    }

    proptest! {
        #[test]
        fn what_was_set_is_there(
            event in any_json(&["data", "session", "session_id", "id", "timestamp"]),
            path in "(data|session|timestamp|a)(\\.[abid]{1,2}){0,3}",
            gone in "(data|session|timestamp|a)(\\.[abid]{1,2}){0,3}",
            value in any_json(&["id"]),
        ) {
            let change = patch(json!({path.as_str(): value}), &[&gone], &[]).unwrap();
            let mut event = event;
            change.apply(&mut event);
            let there = path.split('.').try_fold(&event, |here, name| here.get(name));
            prop_assert_eq!(there, Some(&value));
        }
    }
}
