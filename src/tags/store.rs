//! One function for each statement of `sql/tags/`.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::model::{Filter, Kind, NewTag, Tag};
use crate::{
    db::{self, Db, TeamRead, Write},
    error::Error,
    ids::{TagId, TeamId},
    sql,
};

/// The tags of the team among these uids, with their uids.
///
/// # Errors
/// As [`db::query`].
pub async fn find_tags(
    read: &TeamRead,
    team: TeamId,
    uids: &[String],
) -> Result<Vec<(TagId, String)>, Error> {
    let rows = read.query(sql!("tags/find_tags"), &[&team.0, &uids]).await?;
    Ok(rows.iter().map(|row| (TagId(row.get("tag_id")), row.get("uid"))).collect())
}

/// One tag; `None` when the team has no such tag.
///
/// # Errors
/// As [`db::query`].
pub async fn get_tag(read: &TeamRead, team: TeamId, uid: &str) -> Result<Option<Tag>, Error> {
    let rows = read.query(sql!("tags/get_tag"), &[&team.0, &uid]).await?;
    rows.first().map(|row| tag(row, TagId(row.get("tag_id")))).transpose()
}

/// The tags of the team among these uids. The team must be locked.
///
/// # Errors
/// As [`db::query`].
pub async fn get_tags(write: &Write, team: TeamId, uids: &[&str]) -> Result<Vec<Tag>, Error> {
    let rows = write.query(sql!("tags/get_tags"), &[&team.0, &uids]).await?;
    rows.iter().map(|row| tag(row, TagId(row.get("tag_id")))).collect()
}

/// The tags after this uid, in the order of the uids, at most `limit`.
///
/// # Errors
/// As [`db::query`].
pub async fn list_tags(
    read: &TeamRead,
    team: TeamId,
    filter: &Filter,
    after: &str,
    limit: i64,
) -> Result<Vec<Tag>, Error> {
    let pattern = db::pattern(&filter.text);
    let kind = filter.kind.map(Kind::as_str);
    let params: db::Params<'_> = &[&team.0, &after, &limit, &pattern, &kind, &filter.archived];
    let rows = read.query(sql!("tags/list_tags"), params).await?;
    rows.iter().map(|row| tag(row, TagId(row.get("tag_id")))).collect()
}

/// Makes this transaction the only one that changes the team's tags, and says which state these are in.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_team(write: &Write, team: TeamId) -> Result<i64, Error> {
    let rows = write.query(sql!("tags/lock_team"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("tags_revision")))
}

/// How many tags the team has.
///
/// # Errors
/// As [`db::query`].
pub async fn count_tags(write: &Write, team: TeamId) -> Result<usize, Error> {
    let rows = write.query(sql!("tags/count_tags"), &[&team.0]).await?;
    let tags: i32 = rows.first().map_or(0, |row| row.get("tags"));
    usize::try_from(tags).map_err(Error::internal)
}

/// Adds those that the team does not have, and says which these were. Their uids must differ, and the team
/// must be locked.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_tags(
    write: &Write,
    team: TeamId,
    tags: &[&NewTag],
) -> Result<Vec<(TagId, String)>, Error> {
    let uids: Vec<&str> = tags.iter().map(|tag| tag.uid.as_str()).collect();
    let labels: Vec<&str> = tags.iter().map(|tag| tag.label.as_str()).collect();
    let kinds: Vec<&str> = tags.iter().map(|tag| tag.kind.as_str()).collect();
    let created_ats: Vec<DateTime<Utc>> = tags.iter().map(|tag| tag.created_at).collect();
    let destinations: Vec<Option<&str>> =
        tags.iter().map(|tag| tag.destination_url.as_deref()).collect();
    let params: db::Params<'_> = &[&team.0, &uids, &labels, &kinds, &created_ats, &destinations];
    let rows = write.query(sql!("tags/insert_tags"), params).await?;
    Ok(rows.iter().map(|row| (TagId(row.get("tag_id")), row.get("uid"))).collect())
}

/// Changes a tag to this. The team must be locked.
///
/// # Errors
/// As [`db::query`].
pub async fn update_tag(write: &Write, team: TeamId, tag: &Tag) -> Result<(), Error> {
    let params: db::Params<'_> = &[
        &team.0,
        &tag.id.0,
        &tag.label.as_ref(),
        &tag.kind.as_str(),
        &tag.destination_url.as_deref(),
        &tag.archived_at,
    ];
    write.query(sql!("tags/update_tag"), params).await?;
    Ok(())
}

/// Changes tags to these, but for whether they are archived. The team must be locked.
///
/// # Errors
/// As [`db::query`].
pub async fn update_tags(write: &Write, team: TeamId, tags: &[Tag]) -> Result<(), Error> {
    let ids: Vec<i32> = tags.iter().map(|tag| tag.id.0).collect();
    let labels: Vec<&str> = tags.iter().map(|tag| tag.label.as_ref()).collect();
    let kinds: Vec<&str> = tags.iter().map(|tag| tag.kind.as_str()).collect();
    let destinations: Vec<Option<&str>> =
        tags.iter().map(|tag| tag.destination_url.as_deref()).collect();
    let params: db::Params<'_> = &[&team.0, &ids, &labels, &kinds, &destinations];
    write.query(sql!("tags/update_tags"), params).await?;
    Ok(())
}

/// Tells every replica, when the transaction ends, that the tags of a team are in another state.
///
/// # Errors
/// As [`db::query`].
pub async fn notify_tags(write: &Write, team: TeamId, revision: i64) -> Result<(), Error> {
    write.query(sql!("tags/notify_tags"), &[&format!("{team}:{revision}")]).await?;
    Ok(())
}

/// Which state the tags of each team are in.
///
/// # Errors
/// As [`db::query`].
pub async fn tag_revisions(db: &Db) -> Result<Vec<(TeamId, i64)>, Error> {
    let rows = db::query(&db.system().await?, sql!("tags/tag_revisions"), &[]).await?;
    Ok(rows.iter().map(|row| (TeamId(row.get("team_id")), row.get("tags_revision"))).collect())
}

/// The tags of a team at one moment.
#[derive(Clone, Debug)]
pub struct TeamTags {
    pub slug: String,
    pub revision: i64,
    pub tags: Vec<Tag>,
}

/// All tags of a team; `None` when there is no such team.
///
/// # Errors
/// As [`db::query`].
pub async fn load_tags(db: &Db, team: TeamId) -> Result<Option<TeamTags>, Error> {
    let rows = db::query(&db.system().await?, sql!("tags/load_tags"), &[&team.0]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    // A team without tags is one row without a tag.
    let tags =
        rows.iter().filter_map(|row| row.get::<_, Option<i32>>("tag_id").map(|id| (id, row)));
    Ok(Some(TeamTags {
        slug: first.get("slug"),
        revision: first.get("tags_revision"),
        tags: tags.map(|(id, row)| tag(row, TagId(id))).collect::<Result<_, Error>>()?,
    }))
}

fn tag(row: &Row, id: TagId) -> Result<Tag, Error> {
    let (uid, label, kind): (&str, &str, &str) =
        (row.get("uid"), row.get("label"), row.get("kind"));
    let kind = Kind::parse(kind)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("unknown kind in the store: {kind}")))?;
    Ok(Tag {
        id,
        uid: uid.into(),
        label: label.into(),
        kind,
        destination_url: row.get::<_, Option<&str>>("destination_url").map(Into::into),
        created_at: row.get("created_at"),
        archived_at: row.get("archived_at"),
    })
}
