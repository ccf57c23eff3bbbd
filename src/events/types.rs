//! Event types, compiled once and kept by their version: whoever changes a type makes another version.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    check::{Draft, Known},
    model::Settings,
    schema::Schema,
    settle::off_the_runtime,
    store::setup as store,
};
use crate::{db::TeamRead, error::Error, ids::TeamId};

/// Bytes of schemas that are kept compiled, by their text.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;

/// What a schema counts at least.
const BYTES_MIN: u32 = 64 * 1024;

/// What has to be asked of the store about events.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub sessions: HashSet<Uuid>,
    /// Categories and names.
    pub kinds: BTreeSet<(String, String)>,
}

impl Asked {
    /// Also about this one.
    pub fn about(&mut self, draft: &Draft<'_>) {
        self.sessions.extend(draft.session_id());
        if let Some((category, name)) = draft.kind() {
            self.kinds.insert((category.to_owned(), name.to_owned()));
        }
    }
}

/// What the store knows of what events name.
#[derive(Clone, Debug)]
pub struct Facts {
    pub settings: Settings,
    /// Those that are there.
    pub sessions: HashSet<Uuid>,
    /// By category and name.
    pub schemas: HashMap<(String, String), Arc<Schema>>,
}

impl Facts {
    /// As events are judged by it.
    #[must_use]
    pub fn known(&self) -> Known<'_> {
        let Self { settings, sessions, schemas } = self;
        Known { settings: *settings, sessions, schemas }
    }
}

/// What is compiled.
#[derive(Clone, Debug)]
pub struct Types {
    compiled: moka::sync::Cache<Uuid, (Arc<Schema>, u32)>,
}

impl Default for Types {
    fn default() -> Self {
        // A short text with large patterns takes some megabytes.
        let weigher = |_: &Uuid, (_, bytes): &(Arc<Schema>, u32)| (*bytes).max(BYTES_MIN);
        Self {
            compiled: moka::sync::Cache::builder()
                .weigher(weigher)
                .max_capacity(KEPT_BYTES)
                .build(),
        }
    }
}

impl Types {
    /// What must be known to judge events.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn facts(
        &self,
        read: &TeamRead,
        team: TeamId,
        asked: &Asked,
    ) -> Result<Facts, Error> {
        let settings = store::get_settings(read, team).await?;
        let sessions: Vec<Uuid> = asked.sessions.iter().copied().collect();
        let sessions = if sessions.is_empty() {
            HashSet::new()
        } else {
            store::find_sessions(read, team, &sessions).await?.into_iter().collect()
        };
        let kinds: Vec<(&str, &str)> =
            asked.kinds.iter().map(|(category, name)| (category.as_str(), name.as_str())).collect();
        let mut schemas = HashMap::new();
        for (category, name, version) in store::find_types(read, team, &kinds).await? {
            if let Some(schema) = self.schema(read, team, (&category, &name), version).await? {
                schemas.insert((category, name), schema);
            }
        }
        Ok(Facts { settings, sessions, schemas })
    }

    /// The compiled schema; `None` when the type was deleted in this moment.
    async fn schema(
        &self,
        read: &TeamRead,
        team: TeamId,
        (category, name): (&str, &str),
        version: Uuid,
    ) -> Result<Option<Arc<Schema>>, Error> {
        if let Some((schema, _)) = self.compiled.get(&version) {
            return Ok(Some(schema));
        }
        let Some(found) = store::get_type(read, team, category, name).await? else {
            return Ok(None);
        };
        let bytes = u32::try_from(found.schema.len()).unwrap_or(u32::MAX);
        let text = found.schema;
        let schema = off_the_runtime(move || Schema::parse(&text)).await?.or_else(|bad| {
            // By a release that takes less than the one that stored it: what is sent is kept as refused.
            let why = bad.description;
            tracing::error!(team = team.0, why, "a stored event type takes nothing any more");
            Schema::parse(r#"{"not": {}}"#)
        });
        let schema = schema.map_err(|bad| Error::internal(anyhow::anyhow!(bad.description)))?;
        let schema = Arc::new(schema);
        // As it was found: it may have been changed since its version was looked up.
        self.compiled.insert(found.version, (Arc::clone(&schema), bytes));
        Ok(Some(schema))
    }
}
