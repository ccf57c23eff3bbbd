//! `tap-analytics seed`: loads tags and taps from CSV files of any size.
//!
//! The taps are read in chunks, so memory does not grow with their file; the tags are held. A line that
//! cannot be taken is reported with its number and everything that is wrong with it, and the rest goes
//! in. A second run changes nothing, and so does a run after one that was killed, except for what was
//! missing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::bail;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    lines::{Line, Lines},
    live::LiveTaps,
    model::{EARLIEST, FUTURE_MAX, NewTap, whole_micros},
    writer::Writer,
};
use crate::{
    access::{
        self,
        key::ApiKey,
        model::{Grant, Preset, QUERIES_PER_HOUR},
    },
    clock::Clock,
    db::Db,
    error::{Error, Violation},
    feeds::Followed as _,
    hints,
    ids::{TeamId, uuid_from},
    reasons,
    tags::{
        self,
        model::{
            Kind, LABEL_CHARS_MAX, NO_ADDRESSES, NewTag, Tag, destination_url, has_addresses,
            is_tag_uid,
        },
    },
};

/// Taps that are read before they are written.
const CHUNK_TAPS: usize = 50_000;
/// Taps of one transaction.
const BATCH_TAPS: usize = 10_000;
/// Teams that are written to at a time.
const TEAMS_AT_A_TIME: usize = 4;
/// The name of the key that each new team gets.
const KEY_NAME: &str = "seed";

/// What to load.
#[expect(clippy::doc_markdown, reason = "these comments are the text of --help")]
#[derive(clap::Args, Debug)]
pub struct Files {
    /// CSV with the columns tag_uid, team_id, created_at, and optionally label, kind and
    /// destination_url. Without
    /// this, the sample: data/tags.csv and data/taps.csv.
    #[arg(long, value_name = "FILE")]
    pub tags: Option<PathBuf>,
    /// CSV with the columns id, tag_uid, count, created_at; of tags in the file above.
    #[arg(long, value_name = "FILE", requires = "tags")]
    pub taps: Option<PathBuf>,
}

/// Loads the files. Prints the key of each team that it makes, once, as `slug key` on standard output.
///
/// # Errors
/// When a file or the store cannot be read, or when lines were left out: the others are in.
pub async fn run(db: &Db, clock: &Clock, files: &Files) -> anyhow::Result<()> {
    let seeder = Seeder { db, clock, writer: Writer::new(db.clone(), clock.clone()) };
    let (tags, taps) = match &files.tags {
        Some(tags) => (tags.as_path(), files.taps.as_deref()),
        None => (Path::new("data/tags.csv"), Some(Path::new("data/taps.csv"))),
    };
    // Both are looked at before anything is written.
    let tag_lines = Lines::open(tags, &["tag_uid", "team_id", "created_at"])?;
    let tap_lines = taps
        .map(|taps| Lines::open(taps, &["id", "tag_uid", "count", "created_at"]))
        .transpose()?;
    let (tags, bad_tags) = seeder.load_tags(tag_lines).await?;
    let bad_taps = match tap_lines {
        Some(lines) => seeder.load_taps(lines, &tags).await?,
        None => 0,
    };
    match bad_tags + bad_taps {
        0 => Ok(()),
        bad => bail!(
            "{bad} lines were left out, as reported above: mend them and run seed again, what is there already is passed over"
        ),
    }
}

/// All tags of the teams of the file, with their teams, by uid.
type Known = HashMap<Arc<str>, (TeamId, Tag)>;

struct Seeder<'a> {
    db: &'a Db,
    clock: &'a Clock,
    writer: Writer,
}

impl Seeder<'_> {
    /// Adds teams and tags. Returns all tags of these teams by uid, and how many lines were bad.
    async fn load_tags(&self, mut lines: Lines) -> anyhow::Result<(Known, u64)> {
        let mut teams: BTreeMap<TeamId, Vec<NewTag>> = BTreeMap::new();
        let mut owners: HashMap<String, TeamId> = HashMap::new();
        while let Some(line) = lines.read()? {
            let (team, tag) = match parse_tag(&line, self.clock.now()) {
                Ok(parsed) => parsed,
                Err(violations) => {
                    lines.report(&line, &violations);
                    continue;
                }
            };
            let owner = *owners.entry(tag.uid.clone()).or_insert(team);
            if owner == team {
                teams.entry(team).or_default().push(tag);
            } else {
                let text = format!(
                    "belongs to team {owner} already: a line of taps could not say which is meant"
                );
                lines.report(&line, &[Violation::new("tag_uid", reasons::DUPLICATE_TAG, text)]);
            }
        }

        let there = self.teams().await?;
        let mut known = HashMap::new();
        for (team, new) in &teams {
            if !there.contains(team)
                && let Some(key) = self.make_team(*team).await?
            {
                println!("team-{team} {}", key.reveal());
            }
            self.insert_tags(*team, new).await?;
            let there = tags::store::load_tags(self.db, *team).await?;
            for tag in there.map(|there| there.tags).unwrap_or_default() {
                if owners.get(&*tag.uid) == Some(team) {
                    known.insert(Arc::clone(&tag.uid), (*team, tag));
                }
            }
        }
        lines.finish(&format!("{} teams, {} tags", teams.len(), known.len()));
        Ok((known, lines.bad))
    }

    /// Makes a team with a key that can do everything, also make others. `None` when another run has just
    /// made it.
    async fn make_team(&self, team: TeamId) -> anyhow::Result<Option<ApiKey>> {
        let (slug, name) = (format!("team-{team}"), format!("Team {team}"));
        let grant = Grant {
            name: KEY_NAME,
            scopes: Preset::Admin.scopes(),
            queries_per_hour: QUERIES_PER_HOUR,
            expires_at: None,
        };
        let key =
            access::command::create_team_with_key(self.db, self.clock, team, &slug, &name, grant)
                .await?;
        if key.is_none() && !self.teams().await?.contains(&team) {
            bail!("cannot make team {team}: another team has the slug {slug}");
        }
        Ok(key)
    }

    /// The teams that are there.
    async fn teams(&self) -> Result<HashSet<TeamId>, Error> {
        let teams = access::store::list_teams(self.db).await?;
        Ok(teams.iter().map(|team| team.id).collect())
    }

    /// However many there are: the limit of a team is for requests.
    async fn insert_tags(&self, team: TeamId, new: &[NewTag]) -> Result<(), Error> {
        // A uid that comes twice in a statement would break its unique key.
        let mut unique: BTreeMap<&str, &NewTag> = BTreeMap::new();
        for tag in new {
            unique.entry(&tag.uid).or_insert(tag);
        }
        let unique: Vec<&NewTag> = unique.into_values().collect();

        let write = self.db.system_write().await?;
        let work = async {
            let revision = tags::store::lock_team(&write, team).await? + 1;
            if !tags::store::insert_tags(&write, team, &unique).await?.is_empty() {
                tags::store::notify_tags(&write, team, revision).await?;
            }
            Ok(())
        };
        let done = work.await;
        write.end(done).await
    }

    /// Adds taps. Returns how many lines were bad.
    async fn load_taps(&self, mut lines: Lines, tags: &Known) -> anyhow::Result<u64> {
        let (mut read, mut stored) = (0_u64, 0_usize);
        let mut chunk: HashMap<TeamId, Vec<NewTap>> = HashMap::new();
        let mut chunk_len = 0;
        loop {
            let line = lines.read()?;
            if let Some(line) = &line {
                match parse_tap(line, tags, self.clock.now()) {
                    Ok((team, tap)) => {
                        chunk.entry(team).or_default().push(tap);
                        (read, chunk_len) = (read + 1, chunk_len + 1);
                    }
                    Err(violations) => lines.report(line, &violations),
                }
            }
            if chunk_len == CHUNK_TAPS || line.is_none() {
                stored += self.write(std::mem::take(&mut chunk)).await?;
                chunk_len = 0;
            }
            if line.is_none() {
                break;
            }
        }
        lines.finish(&format!("{read} taps read, {stored} new"));
        Ok(lines.bad)
    }

    async fn write(&self, chunk: HashMap<TeamId, Vec<NewTap>>) -> Result<usize, Error> {
        stream::iter(chunk)
            .map(|(team, taps)| async move {
                let mut stored = 0;
                for batch in taps.chunks(BATCH_TAPS) {
                    let written = self.writer.write(team, batch, self.clock.now()).await?;
                    stored += written.stored();
                    // The taps are in: who does not hear of it looks within a second.
                    if let Err(error) =
                        hints::announce(self.db, LiveTaps::NAME, team, written.revision).await
                    {
                        tracing::warn!(
                            cause = error.log_text(),
                            "cannot tell the service of new taps"
                        );
                    }
                }
                Ok(stored)
            })
            .buffer_unordered(TEAMS_AT_A_TIME)
            .try_fold(0, |sum, stored| async move { Ok(sum + stored) })
            .await
    }
}

/// A line of the tags file.
fn parse_tag(line: &Line, now: DateTime<Utc>) -> Result<(TeamId, NewTag), Vec<Violation>> {
    let mut bad = line.shape_violations();
    let uid = line.field("tag_uid");
    if !is_tag_uid(uid) || !has_addresses(uid) {
        let text = "must be 1 to 64 letters, digits, or . _ : -";
        let text = if is_tag_uid(uid) { NO_ADDRESSES } else { text };
        bad.push(Violation::new("tag_uid", reasons::MALFORMED_TAG_UID, text));
    }
    let team = line.field("team_id").parse().ok().filter(|team| *team > 0);
    if team.is_none() {
        bad.push(Violation::new(
            "team_id",
            reasons::MALFORMED_NUMBER,
            "must be a number from 1 to 2147483647",
        ));
    }
    let label = line.field("label");
    if label.chars().count() > LABEL_CHARS_MAX {
        bad.push(Violation::new("label", reasons::TOO_LONG, "must be at most 200 characters"));
    }
    if label.chars().any(char::is_control) {
        bad.push(Violation::new(
            "label",
            reasons::MALFORMED_TEXT,
            "must have no control characters",
        ));
    }
    let kind = line.field("kind");
    let kind = if kind.is_empty() { Some(Kind::Nfc) } else { Kind::parse(kind) };
    if kind.is_none() {
        bad.push(Violation::new("kind", reasons::UNKNOWN_VALUE, "must be nfc, qr or link"));
    }
    let destination = Some(line.field("destination_url")).filter(|url| !url.is_empty());
    let destination_url = destination.map(destination_url).transpose().unwrap_or_else(|why| {
        bad.push(Violation::new("destination_url", why.reason(), why.description()));
        None
    });
    let created_at = instant(line, now, &mut bad);
    match (team, kind, created_at) {
        (Some(team), Some(kind), Some(created_at)) if bad.is_empty() => {
            let (uid, label) = (uid.to_owned(), label.to_owned());
            Ok((TeamId(team), NewTag { uid, label, kind, destination_url, created_at }))
        }
        _ => Err(bad),
    }
}

fn parse_tap(
    line: &Line,
    tags: &Known,
    now: DateTime<Utc>,
) -> Result<(TeamId, NewTap), Vec<Violation>> {
    let mut bad = line.shape_violations();
    let id = line.field("id");
    if !(1..=200).contains(&id.len()) {
        bad.push(Violation::new(
            "id",
            reasons::REQUIRED,
            "is required: anything unique to the tap, up to 200 bytes",
        ));
    }
    let tag = tags.get(line.field("tag_uid"));
    if tag.is_none() {
        bad.push(Violation::new("tag_uid", reasons::UNKNOWN_TAG, "is not in the file of tags"));
    }
    let count = line.field("count").parse().ok().filter(|count| (1..=1_000_000).contains(count));
    if count.is_none() {
        bad.push(Violation::new(
            "count",
            reasons::COUNT_OUT_OF_RANGE,
            "must be a whole number from 1 to 1000000",
        ));
    }
    let tapped_at = instant(line, now, &mut bad);
    match (tag, count, tapped_at) {
        (Some((team, tag)), Some(count), Some(tapped_at)) if bad.is_empty() => {
            Ok((*team, NewTap { count, ..NewTap::new(uuid_from(id), tag.id, tapped_at, tag.kind) }))
        }
        _ => Err(bad),
    }
}

/// `created_at`: RFC 3339, or the same without an offset, which is UTC.
fn instant(line: &Line, now: DateTime<Utc>, bad: &mut Vec<Violation>) -> Option<DateTime<Utc>> {
    let text = line.field("created_at");
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).or_else(|_| {
        let no_offset = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d"];
        let parsed = no_offset.iter().find_map(|format| {
            let midnight =
                if *format == "%Y-%m-%d" { format!("{text} 00:00:00") } else { text.to_owned() };
            let format = if *format == "%Y-%m-%d" { "%Y-%m-%d %H:%M:%S" } else { format };
            NaiveDateTime::parse_from_str(&midnight, format).ok()
        });
        parsed.map(|at| at.and_utc()).ok_or(())
    });
    let violation = match at {
        Ok(at) if at > now + FUTURE_MAX => {
            Violation::new("created_at", reasons::TIMESTAMP_IN_FUTURE, "lies in the future")
        }
        Ok(at) if at < EARLIEST => Violation::new(
            "created_at",
            reasons::TIMESTAMP_TOO_OLD,
            format!("lies before {EARLIEST:?}"),
        ),
        Ok(at) => {
            return Some(whole_micros(at));
        }
        Err(()) => Violation::new(
            "created_at",
            reasons::MALFORMED_DATE,
            "must be an instant such as 2023-01-01T08:00:00Z; without an offset it is UTC",
        ),
    };
    bad.push(violation);
    None
}
