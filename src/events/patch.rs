//! What is changed in refused events before they are sent again.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::check::{EVENT_ID, OCCURRED_AT, SESSION_ID};
use crate::{
    error::Violation,
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

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty() && self.sessions.is_empty()
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
