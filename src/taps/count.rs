//! Counts what a query asks for, in one snapshot of the store.

use std::collections::HashMap;

use chrono::{DateTime, Utc, Weekday};

use super::{
    buckets,
    model::{BUCKETS_MAX, Comparison, Counts, GROUP_COUNTS_MAX, Group, GroupBy, Query},
    store,
    tally::{Reads, Tally},
};
use crate::{
    db::{Db, TeamRead},
    error::Error,
    ids::{TagId, TeamId},
    reasons,
    tags::{directory, model::Kind},
};

/// Counts what a query asks for, in one snapshot.
///
/// # Errors
/// As [`super::answers::Answers::query_taps`].
pub async fn count(db: &Db, team: TeamId, query: &Query) -> Result<Counts, Error> {
    let bounds = bounds(query)?;
    let read = db.team(team).await?;
    let counted = count_in(&read, team, query, bounds).await;
    // Also after a refusal: the connection is sound and goes back to the pool.
    let ended = read.end().await;
    let counts = counted?;
    ended?;
    Ok(counts)
}

async fn count_in(
    read: &TeamRead,
    team: TeamId,
    query: &Query,
    bounds: Vec<DateTime<Utc>>,
) -> Result<Counts, Error> {
    let revision = store::revision(read, team).await?;
    let tags = find_tags(read, team, query).await?;
    let reader = Reader { read, team, query, tags };

    let (counts, groups) = reader.buckets_and_groups(&bounds).await?;
    let comparison = match buckets::earlier_bounds(query, &bounds) {
        Some(bounds) => {
            let counts = reader.earlier(&bounds).await?;
            Some(Comparison { bounds, counts })
        }
        None => None,
    };
    Ok(Counts { bounds, counts, groups, comparison, revision })
}

/// The tags to count; `None` means all of the team.
async fn find_tags(
    read: &TeamRead,
    team: TeamId,
    query: &Query,
) -> Result<Option<Vec<TagId>>, Error> {
    if query.tag_uids.is_empty() {
        return Ok(None);
    }
    let found: HashMap<String, TagId> = directory::find_tags(read, team, &query.tag_uids)
        .await?
        .into_iter()
        .map(|(id, uid)| (uid, id))
        .collect();
    let missing: Vec<&str> =
        query.tag_uids.iter().filter(|uid| !found.contains_key(*uid)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(Some(found.into_values().collect()));
    }
    Err(Error::tags_not_found(&missing))
}

/// The bounds of the buckets: one more than there are buckets.
///
/// # Errors
/// [`Error::Invalid`] for too many buckets, or too many counts in groups.
pub fn bounds(query: &Query) -> Result<Vec<DateTime<Utc>>, Error> {
    let bounds = buckets::bounds(query).ok_or_else(|| too_many_buckets(query))?;
    refuse_too_many_counts(query, bounds.len() - 1)?;
    Ok(bounds)
}

fn too_many_buckets(query: &Query) -> Error {
    let narrowest = buckets::narrowest_interval(query).as_str();
    Error::invalid(
        "interval",
        reasons::TOO_MANY_BUCKETS,
        format!(
            "this range has more than {BUCKETS_MAX} buckets by {}: use {narrowest} or wider, or a shorter range",
            query.interval.as_str()
        ),
    )
}

fn refuse_too_many_counts(query: &Query, buckets: usize) -> Result<(), Error> {
    let GroupBy::Tag { limit } = query.group_by else { return Ok(()) };
    // The busiest, and the rest.
    if (limit + 1) * buckets <= GROUP_COUNTS_MAX {
        return Ok(());
    }
    let text = format!(
        "{limit} groups and the rest over {buckets} buckets are more than {GROUP_COUNTS_MAX} counts: use a lower limit or a wider interval"
    );
    Err(Error::invalid("limit", reasons::TOO_MANY_COUNTS, text))
}

/// Reads the counts of one query from one snapshot.
struct Reader<'a> {
    read: &'a TeamRead,
    team: TeamId,
    query: &'a Query,
    /// `None`: all of the team.
    tags: Option<Vec<TagId>>,
}

impl Reader<'_> {
    async fn buckets_and_groups(
        &self,
        bounds: &[DateTime<Utc>],
    ) -> Result<(Vec<i64>, Vec<Group>), Error> {
        let mut tally = Tally::new(self.query, bounds);
        let tags = match self.query.group_by {
            GroupBy::Tag { limit } => self.add_busiest(limit, bounds, &mut tally).await?,
            GroupBy::None | GroupBy::Kind | GroupBy::HourOfWeek => {
                self.add_all(self.query.group_by, bounds, &mut tally).await?;
                Vec::new()
            }
        };

        let groups = match self.query.group_by {
            GroupBy::None => Vec::new(),
            GroupBy::Tag { .. } => self.tag_groups(&tags, &mut tally).await?,
            GroupBy::Kind => kind_groups(&tally),
            GroupBy::HourOfWeek => hour_groups(self.query.week_start, &tally.by_hour),
        };
        Ok((tally.counts, groups))
    }

    /// The counts of an earlier range, without groups.
    async fn earlier(&self, bounds: &[DateTime<Utc>]) -> Result<Vec<i64>, Error> {
        let query = Query { group_by: GroupBy::None, ..self.query.clone() };
        let mut tally = Tally::new(&query, bounds);
        self.add_all(GroupBy::None, bounds, &mut tally).await?;
        Ok(tally.counts)
    }

    async fn add_all(
        &self,
        group_by: GroupBy,
        bounds: &[DateTime<Utc>],
        tally: &mut Tally<'_>,
    ) -> Result<(), Error> {
        let Reads { raw, days } = Reads::plan(self.query, bounds);
        for bounds in &raw {
            let (tags, classes) = (self.tags.as_deref(), &self.query.classes);
            for cell in
                store::count_raw(self.read, self.team, bounds, tags, classes, group_by).await?
            {
                tally.add(cell);
            }
        }
        if let Some(days) = &days {
            let tags = self.tags.as_deref().unwrap_or(&[TagId::WHOLE_TEAM]);
            let classes = &self.query.classes;
            store::count_days(self.read, self.team, days, tags, classes, tally).await?;
        }
        Ok(())
    }

    /// Adds all taps to the tally, and those of the busiest tags apart; returns these, the busiest
    /// first.
    async fn add_busiest(
        &self,
        limit: usize,
        bounds: &[DateTime<Utc>],
        tally: &mut Tally<'_>,
    ) -> Result<Vec<TagId>, Error> {
        let (read, team, tags) = (self.read, self.team, self.tags.as_deref());
        let Reads { raw, days } = Reads::plan(self.query, bounds);
        let (by_tag, classes) = (self.query.group_by, &self.query.classes);

        let mut totals: HashMap<TagId, i64> = HashMap::new();
        for ends in raw.iter().filter_map(|bounds| Some([*bounds.first()?, *bounds.last()?])) {
            for cell in store::count_raw(read, team, &ends, tags, classes, by_tag).await? {
                *totals.entry(cell.tag).or_default() += cell.count;
            }
        }
        if let Some(days) = &days {
            for (tag, count) in store::rank_tags(read, team, days, tags, classes).await? {
                *totals.entry(tag).or_default() += count;
            }
        }
        let mut ranked: Vec<(TagId, i64)> =
            totals.into_iter().filter(|(_, count)| *count > 0).collect();
        ranked.sort_by_key(|(tag, count)| (std::cmp::Reverse(*count), *tag));
        let busiest: Vec<TagId> = ranked.iter().take(limit).map(|(tag, _)| *tag).collect();
        tally.watch(&busiest);
        // Raw taps come as a sum over all tags, and those of the busiest as a part of it.
        tally.tags_are_parts = true;
        for bounds in &raw {
            let all = store::count_raw(read, team, bounds, tags, classes, GroupBy::None).await?;
            let parts =
                store::count_raw(read, team, bounds, Some(&busiest), classes, by_tag).await?;
            all.into_iter().chain(parts).for_each(|cell| tally.add(cell));
        }
        if let Some(days) = &days {
            // So does the roll-up when all tags are asked for, in the row of the whole team.
            tally.tags_are_parts = tags.is_none();
            let rows: Vec<TagId> = match tags {
                Some(tags) => tags.to_vec(),
                None => busiest.iter().copied().chain([TagId::WHOLE_TEAM]).collect(),
            };
            store::count_days(read, team, days, &rows, classes, tally).await?;
        }
        Ok(busiest)
    }

    async fn tag_groups(
        &self,
        busiest: &[TagId],
        tally: &mut Tally<'_>,
    ) -> Result<Vec<Group>, Error> {
        let mut names: HashMap<TagId, (String, String)> = HashMap::new();
        for (tag, uid, label) in store::name_tags(self.read, self.team, busiest).await? {
            names.insert(tag, (uid, label));
        }

        let mut rest = tally.counts.clone();
        let mut groups = Vec::with_capacity(busiest.len() + 1);
        for tag in busiest {
            let counts = tally.by_tag.remove(tag).unwrap_or_default();
            for (rest, count) in rest.iter_mut().zip(&counts) {
                *rest -= count;
            }
            let (key, label) = names.remove(tag).unwrap_or_default();
            groups.push(Group { key, label, other: false, total: counts.iter().sum(), counts });
        }
        if rest.iter().any(|count| *count != 0) {
            let total = rest.iter().sum();
            groups.push(Group {
                key: String::new(),
                label: String::new(),
                other: true,
                total,
                counts: rest,
            });
        }
        Ok(groups)
    }
}

fn kind_groups(tally: &Tally<'_>) -> Vec<Group> {
    let group = |(kind, counts): (Kind, &Vec<i64>)| Group {
        key: kind.as_str().to_owned(),
        label: kind.label().to_owned(),
        other: false,
        total: counts.iter().sum(),
        counts: counts.clone(),
    };
    Kind::ALL.into_iter().zip(&tally.by_kind).map(group).collect()
}

/// The 168 groups of the hours of a week.
fn hour_groups(week_start: Weekday, by_hour: &[i64]) -> Vec<Group> {
    let days = std::iter::successors(Some(week_start), |day| Some(day.succ()));
    let hours = days.flat_map(|day| (0..24).map(move |hour| format!("{day} {hour:02}:00")));
    let groups = by_hour.iter().enumerate().zip(hours);
    groups
        .map(|((at, total), label)| Group {
            key: at.to_string(),
            label,
            other: false,
            total: *total,
            counts: Vec::new(),
        })
        .collect()
}
