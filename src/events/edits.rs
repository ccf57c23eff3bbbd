//! Changes events that are stored, at once: held to the same rules as new ones, and counted anew.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    check::{self, Draft},
    model::{Application, Content, Event},
    settle::off_the_runtime,
    store::{
        events as store,
        setup::{self, NewSession},
    },
    types::{Asked, Types},
};
use crate::{
    clock::Clock,
    db::{Db, Write},
    error::Error,
    etag::{Expected, etag_mismatch},
    ids::TeamId,
    reasons,
    taps::buckets::quarter_of,
};

/// Changes events.
#[derive(Clone, Debug)]
pub struct Editor {
    pub db: Db,
    pub clock: Clock,
    pub types: Types,
}

/// What to change of an event: its fields by name, as they are sent.
#[derive(Clone, Debug)]
pub enum Edit {
    /// These; a null clears.
    Some(Map<String, Value>),
    /// All of them.
    Whole(Map<String, Value>),
}

impl Editor {
    /// Changes an event.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong with what it would be, [`Error::NotFound`],
    /// [`Error::Aborted`] when somebody was faster; as [`crate::db::query`].
    pub async fn change(
        &self,
        team: TeamId,
        id: Uuid,
        expected: Expected,
        edit: Edit,
        by: &Application,
    ) -> Result<Event, Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            let event = lock(&write, team, id, expected).await?;
            let before = check::payload_of(Some(id), &event.content);
            let mut payload = match edit {
                Edit::Whole(_) => Value::Object(Map::new()),
                Edit::Some(_) => before.clone(),
            };
            if let (Value::Object(fields), Edit::Some(edit) | Edit::Whole(edit)) =
                (&mut payload, edit)
            {
                fields.extend(edit);
                fields.remove("event_id");
            }
            let content = self.checked(&write, team, &payload, by).await?;
            if check::payload_of(Some(id), &content) == before {
                return Ok(event);
            }
            recount(&write, team, Some(&event.content), Some(&content)).await?;
            let changed = store::change_event(&write, team, id, &content, self.clock.now()).await?;
            changed.ok_or_else(|| Error::internal(anyhow::anyhow!("a locked event is gone: {id}")))
        };
        let done = work.await;
        write.end(done).await
    }

    /// Deletes an event.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Aborted`]; as [`crate::db::query`].
    pub async fn delete(&self, team: TeamId, id: Uuid, expected: Expected) -> Result<(), Error> {
        let write = self.db.team_write(team).await?;
        let work = async {
            let event = lock(&write, team, id, expected).await?;
            recount(&write, team, Some(&event.content), None).await?;
            store::delete_event(&write, team, id, self.clock.now()).await
        };
        let done = work.await;
        write.end(done).await
    }

    /// What is in an event, if nothing is wrong with it.
    async fn checked(
        &self,
        write: &Write,
        team: TeamId,
        payload: &Value,
        by: &Application,
    ) -> Result<Content, Error> {
        let now = self.clock.now();
        let draft = Draft::read(payload, now);
        let mut asked = Asked::default();
        asked.about(&draft);
        let facts = self.types.facts(write, team, &asked).await?;
        let payload = payload.clone();
        let judge = move || (Draft::read(&payload, now).settle(&facts.known()), facts);
        let (judged, facts) = off_the_runtime(judge).await?;
        let content = judged.map_err(Error::Invalid)?.content;
        let id = content.session_id;
        if !facts.sessions.contains(&id) {
            let new = [NewSession { id, tap_id: None, application: by }];
            setup::create_sessions(write, team, &new, now).await?;
        }
        Ok(content)
    }
}

async fn lock(write: &Write, team: TeamId, id: Uuid, expected: Expected) -> Result<Event, Error> {
    let found = store::lock_event(write, team, id).await?;
    let event = found.ok_or_else(|| Error::not_found(reasons::EVENT_NOT_FOUND, "event"))?;
    if expected.allows(event.version) { Ok(event) } else { Err(etag_mismatch("event")) }
}

/// Counts an event where it is now, and no longer where it was.
async fn recount(
    write: &Write,
    team: TeamId,
    before: Option<&Content>,
    after: Option<&Content>,
) -> Result<(), Error> {
    let place = |content: &&Content| (quarter_of(content.occurred_at), content.category.clone());
    let (from, to) = (before.as_ref().map(place), after.as_ref().map(place));
    if from == to {
        return Ok(());
    }
    let less = from.iter().map(|(quarter, category)| (*quarter, category.as_str(), -1));
    let more = to.iter().map(|(quarter, category)| (*quarter, category.as_str(), 1));
    store::count_quarters(write, team, &less.chain(more).collect::<Vec<_>>()).await
}
