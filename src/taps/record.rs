//! Records what callers report: finds the tags, writes, and says what became of each tap.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{NewTap, Outcome, TapClass},
    queue::{Entered, Queue, Recorded},
};
use crate::{
    error::{Error, Violation},
    ids::TeamId,
    reasons,
    tags::{
        directory::TagDirectory,
        model::{Kind, Tag},
    },
};

/// A batch as far as it can be checked without the store.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub taps: Vec<Reported>,
    pub rejected: Vec<Rejected>,
}

/// A tap that is well formed; whether there is such a tag is yet to be seen.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Its place in the batch.
    pub index: usize,
    pub tag_uid: String,
    /// What the caller calls it; `None`: it gets a new id.
    pub tap_id: Option<Uuid>,
    pub tapped_at: DateTime<Utc>,
    pub count: i32,
    /// `None`: as the tag says.
    pub kind: Option<Kind>,
    pub country: Option<String>,
    pub device: Option<String>,
    pub attributes: BTreeMap<String, String>,
}

/// A tap that was not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the batch.
    pub index: usize,
    /// As the caller sent it.
    pub tap_id: String,
    /// The tag, when it could be the uid of one.
    pub tag_uid: Option<String>,
    pub violations: Vec<Violation>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    pub accepted: usize,
    pub duplicates: usize,
    /// In the order of the batch.
    pub rejected: Vec<Rejected>,
    /// The team's revision after it.
    pub revision: i64,
}

/// Records batches.
#[derive(Clone, Debug)]
pub struct Recorder {
    tags: Arc<TagDirectory>,
    queue: Queue,
}

impl Recorder {
    /// Looks tags up here, and writes there.
    #[must_use]
    pub fn new(tags: Arc<TagDirectory>, queue: Queue) -> Self {
        Self { tags, queue }
    }

    /// Records a batch. On return what was accepted is durable.
    ///
    /// # Errors
    /// As [`Queue::write`].
    pub async fn record(&self, team: TeamId, batch: Checked) -> Result<Recording, Error> {
        self.begin(team, batch).await?.finish().await
    }

    /// Brings a batch into the line of its team: what is brought after it is written after it.
    ///
    /// # Errors
    /// As [`Queue::write`].
    pub async fn begin(&self, team: TeamId, batch: Checked) -> Result<Begun, Error> {
        let Checked { taps, mut rejected } = batch;
        let unknown = |uid: &&str| self.tags.find(team, uid).is_none();
        let bad = rejected.iter().filter_map(|tap| tap.tag_uid.as_deref());
        let uids = taps.iter().map(|tap| tap.tag_uid.as_str()).chain(bad);
        let unknown: BTreeSet<&str> = uids.filter(unknown).collect();
        if !unknown.is_empty() {
            let unknown: Vec<String> = unknown.into_iter().map(str::to_owned).collect();
            self.tags.look_again(team, &unknown).await?;
        }

        // Everything that is wrong with a tap is told at once.
        for tap in &mut rejected {
            tap.violations
                .extend(tap.tag_uid.as_deref().and_then(|uid| self.find(team, uid).err()));
        }

        let mut names = Vec::with_capacity(taps.len());
        let mut known = Vec::with_capacity(taps.len());
        for tap in taps {
            let name = (tap.index, tap.tap_id);
            match self.resolve(team, tap) {
                Ok(tap) => {
                    names.push(name);
                    known.push(tap);
                }
                Err(violation) => rejected.push(reject(name, violation)),
            }
        }

        Ok(Begun { names, rejected, written: self.queue.enter(team, known).await? })
    }

    fn resolve(&self, team: TeamId, tap: Reported) -> Result<NewTap, Violation> {
        let tag = self.find(team, &tap.tag_uid)?;
        Ok(NewTap {
            tap_id: tap.tap_id.unwrap_or_else(Uuid::now_v7),
            tag: tag.id,
            tapped_at: tap.tapped_at,
            count: tap.count,
            kind: tap.kind.unwrap_or(tag.kind),
            class: TapClass::Human,
            country: tap.country,
            device: tap.device,
            attributes: tap.attributes,
        })
    }

    /// A tag that can be tapped.
    fn find(&self, team: TeamId, uid: &str) -> Result<Arc<Tag>, Violation> {
        let tag = self.tags.find(team, uid).ok_or_else(|| {
            Violation::new(
                "tag_uid",
                reasons::UNKNOWN_TAG,
                "is not a tag of this team: check the uid",
            )
        })?;
        if tag.archived_at.is_some() {
            return Err(Violation::new(
                "tag_uid",
                reasons::TAG_ARCHIVED,
                "is archived: use another tag",
            ));
        }
        Ok(tag)
    }
}

/// A batch that is in the line of its team.
#[derive(Debug)]
pub struct Begun {
    /// Of the taps that are written: place and id.
    names: Vec<(usize, Option<Uuid>)>,
    rejected: Vec<Rejected>,
    written: Entered,
}

impl Begun {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// As [`Queue::write`].
    pub async fn finish(self) -> Result<Recording, Error> {
        let Self { names, mut rejected, written } = self;
        let Recorded { outcomes, revision } = written.wait().await?;
        let (mut accepted, mut duplicates) = (0, 0);
        for (name, outcome) in names.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Stored(_) => accepted += 1,
                Outcome::Duplicate => duplicates += 1,
                Outcome::Conflict => rejected.push(reject(name, conflict())),
            }
        }
        rejected.sort_by_key(|tap| tap.index);
        Ok(Recording { accepted, duplicates, rejected, revision })
    }
}

fn reject((index, tap_id): (usize, Option<Uuid>), violation: Violation) -> Rejected {
    let tap_id = tap_id.map(|id| id.to_string()).unwrap_or_default();
    Rejected { index, tap_id, tag_uid: None, violations: vec![violation] }
}

fn conflict() -> Violation {
    Violation::new(
        "tap_id",
        reasons::DUPLICATE_CONFLICT,
        "is the id of another tap at this instant, which differs from this one: use a new id",
    )
}
