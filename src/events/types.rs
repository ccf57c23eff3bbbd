//! Event types, compiled once and kept by their version: whoever changes a type makes another version.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use super::{check::Known, model::Settings, schema::Schema, store::setup as store};
use crate::{db::TeamRead, error::Error, ids::TeamId};

/// Bytes of schemas that are kept compiled, by their text.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;

/// What is compiled.
#[derive(Clone, Debug)]
pub struct Types {
    compiled: moka::sync::Cache<Uuid, (Arc<Schema>, u32)>,
}

impl Default for Types {
    fn default() -> Self {
        let weigher = |_: &Uuid, (_, bytes): &(Arc<Schema>, u32)| *bytes;
        Self { compiled: moka::sync::Cache::builder().weigher(weigher).max_capacity(KEPT_BYTES).build() }
    }
}

impl Types {
    /// What must be known to judge events of these sessions and kinds.
    ///
    /// # Errors
    /// As [`crate::db::query`].
    pub async fn known(
        &self,
        read: &TeamRead,
        team: TeamId,
        sessions: &HashSet<Uuid>,
        kinds: &BTreeSet<(&str, &str)>,
    ) -> Result<Known, Error> {
        let settings: Settings = store::get_settings(read, team).await?;
        let asked: Vec<Uuid> = sessions.iter().copied().collect();
        let sessions = store::find_sessions(read, team, &asked).await?.into_iter().collect();
        let kinds: Vec<(&str, &str)> = kinds.iter().copied().collect();
        let mut schemas = HashMap::new();
        for (category, name, version) in store::find_types(read, team, &kinds).await? {
            if let Some(schema) = self.schema(read, team, (&category, &name), version).await? {
                schemas.insert((category, name), schema);
            }
        }
        Ok(Known { settings, sessions, schemas })
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
        let schema = Schema::compile(&found.schema).map_err(|bad| {
            let why = &bad.description;
            Error::internal(anyhow::anyhow!("a stored event type cannot be compiled: {why}"))
        })?;
        let schema = Arc::new(schema);
        let bytes = u32::try_from(found.schema.len()).unwrap_or(u32::MAX);
        // As it was found: it may have been changed since its version was looked up.
        self.compiled.insert(found.version, (Arc::clone(&schema), bytes));
        Ok(Some(schema))
    }
}
