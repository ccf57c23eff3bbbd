//! One function for each statement of `sql/imports/`.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    compare::Stored,
    kind::Kind,
    model::{Committed, Hash, Plan, User},
};
use crate::{
    db::{self, TeamRead, Write},
    error::Error,
    ids::{KeyId, TeamId},
    paging::{Page, TimePlace},
    sql,
};

/// A user as it is to be stored.
pub struct NewUser<'a> {
    pub id: Uuid,
    /// Names, national id, phone number, gender, mail address.
    pub values: [&'a str; 5],
    /// Of national id, phone number, mail address.
    pub hashes: [Hash; 3],
}
says_nothing!(NewUser<'_>);

/// Makes this transaction the only one that changes the team's users, and says how many there are.
///
/// # Errors
/// As [`db::query`].
pub async fn lock_book(write: &Write, team: TeamId) -> Result<i64, Error> {
    let rows = write.query(sql!("imports/lock_book"), &[&team.0]).await?;
    Ok(rows.first().map_or(0, |row| row.get("users")))
}

/// Notes how many users there are more, or fewer.
///
/// # Errors
/// As [`db::query`].
pub async fn count_users(write: &Write, team: TeamId, more: i64) -> Result<(), Error> {
    write.query(sql!("imports/count_users"), &[&team.0, &more]).await?;
    Ok(())
}

/// The users who have one of these hashes, of national ids, phone numbers, mail addresses.
///
/// # Errors
/// As [`db::query`].
pub async fn find_users(
    read: &TeamRead,
    team: TeamId,
    hashes: &[[Hash; 3]],
) -> Result<Vec<Stored>, Error> {
    let of = |at: usize| -> Vec<&[u8]> {
        hashes.iter().filter_map(|hashes| hashes.get(at)).map(<[u8; 16]>::as_slice).collect()
    };
    let (nids, phones, emails) = (of(0), of(1), of(2));
    let params: db::Params<'_> = &[&team.0, &nids, &phones, &emails];
    let rows = read.query(sql!("imports/find_users"), params).await?;
    rows.iter().map(stored).collect()
}

fn stored(row: &Row) -> Result<Stored, Error> {
    let hash = |name: &str| Hash::try_from(row.get::<_, &[u8]>(name)).map_err(Error::internal);
    Ok(Stored {
        user: row.get("user_id"),
        hashes: [hash("nid_hash")?, hash("phone_hash")?, hash("email_hash")?],
        names: row.get("names"),
        gender: row.get("gender"),
    })
}

/// Adds users. The book must be locked.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_users(
    write: &Write,
    team: TeamId,
    import: Uuid,
    now: DateTime<Utc>,
    users: &[NewUser<'_>],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.id).collect();
    let [names, nids, phones, genders, emails] =
        [0, 1, 2, 3, 4].map(|at| users.iter().map(|user| user.values[at]).collect::<Vec<&str>>());
    let [nid_hashes, phone_hashes, email_hashes] = [0, 1, 2]
        .map(|at| users.iter().map(|user| user.hashes[at].as_slice()).collect::<Vec<&[u8]>>());
    let params: db::Params<'_> = &[
        &team.0,
        &import,
        &now,
        &ids,
        &names,
        &nids,
        &phones,
        &genders,
        &emails,
        &nid_hashes,
        &phone_hashes,
        &email_hashes,
    ];
    write.query(sql!("imports/insert_users"), params).await?;
    Ok(())
}

/// Changes users, whose national ids stay. The book must be locked.
///
/// # Errors
/// As [`db::query`].
pub async fn update_users(
    write: &Write,
    team: TeamId,
    import: Uuid,
    now: DateTime<Utc>,
    users: &[NewUser<'_>],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = users.iter().map(|user| user.id).collect();
    let [names, phones, genders, emails] =
        [0, 2, 3, 4].map(|at| users.iter().map(|user| user.values[at]).collect::<Vec<&str>>());
    let [phone_hashes, email_hashes] = [1, 2]
        .map(|at| users.iter().map(|user| user.hashes[at].as_slice()).collect::<Vec<&[u8]>>());
    let params: db::Params<'_> = &[
        &team.0,
        &import,
        &now,
        &ids,
        &names,
        &phones,
        &genders,
        &emails,
        &phone_hashes,
        &email_hashes,
    ];
    write.query(sql!("imports/update_users"), params).await?;
    Ok(())
}

/// A page of users: the pattern is of names, national id, phone number or mail address.
///
/// # Errors
/// As [`db::query`].
pub async fn list_users(
    read: &TeamRead,
    team: TeamId,
    text: &str,
    import: Option<Uuid>,
    page: &Page<Uuid>,
) -> Result<Vec<User>, Error> {
    let pattern = db::pattern(text);
    let params: db::Params<'_> = &[&team.0, &page.limit(), &page.after, &pattern, &import];
    let rows = read.query(sql!("imports/list_users"), params).await?;
    Ok(rows.iter().map(user).collect())
}

/// A user; `None` when the team has no such user.
///
/// # Errors
/// As [`db::query`].
pub async fn get_user(read: &TeamRead, team: TeamId, id: Uuid) -> Result<Option<User>, Error> {
    let rows = read.query(sql!("imports/get_user"), &[&team.0, &id]).await?;
    Ok(rows.first().map(user))
}

/// Deletes a user, and says whether there was one. The book must be locked.
///
/// # Errors
/// As [`db::query`].
pub async fn delete_user(write: &Write, team: TeamId, id: Uuid) -> Result<bool, Error> {
    let rows = write.query(sql!("imports/delete_user"), &[&team.0, &id]).await?;
    Ok(!rows.is_empty())
}

fn user(row: &Row) -> User {
    User {
        id: row.get("user_id"),
        names: row.get("names"),
        nid: row.get("nid"),
        phone: row.get("phone"),
        gender: row.get("gender"),
        email: row.get("email"),
        import: row.get("import_id"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

/// Notes that an import is committed.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_import(
    write: &Write,
    team: TeamId,
    key: Option<KeyId>,
    import: &Committed,
) -> Result<(), Error> {
    let key = key.map(|key| key.0);
    let counts = [import.total, import.left_out].map(signed);
    let Plan { insert, update, unchanged, conflict } = import.result;
    let result = [insert, update, unchanged, conflict].map(signed);
    let kind = import.kind.as_str();
    let params: db::Params<'_> = &[
        &team.0,
        &import.id,
        &kind,
        &import.region,
        &import.created_at,
        &import.committed_at,
        &key,
        &counts[0],
        &counts[1],
        &result[0],
        &result[1],
        &result[2],
        &result[3],
    ];
    write.query(sql!("imports/insert_import"), params).await?;
    Ok(())
}

/// An import that is committed; `None` when there is no such.
///
/// # Errors
/// As [`db::query`].
pub async fn get_import(
    read: &TeamRead,
    team: TeamId,
    id: Uuid,
) -> Result<Option<Committed>, Error> {
    let rows = read.query(sql!("imports/get_import"), &[&team.0, &id]).await?;
    rows.first().map(committed).transpose()
}

/// A page of imports that are committed, the newest first.
///
/// # Errors
/// As [`db::query`].
pub async fn list_imports(
    read: &TeamRead,
    team: TeamId,
    page: &Page<TimePlace>,
) -> Result<Vec<Committed>, Error> {
    let (at, id) = (page.after.map(|after| after.at), page.after.map(|after| after.id));
    let params: db::Params<'_> = &[&team.0, &page.limit(), &at, &id];
    let rows = read.query(sql!("imports/list_imports"), params).await?;
    rows.iter().map(committed).collect()
}

fn committed(row: &Row) -> Result<Committed, Error> {
    let kind: &str = row.get("kind");
    let kind = Kind::parse(kind)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("unknown kind in the store: {kind}")))?;
    let count = |name: &str| u32::try_from(row.get::<_, i32>(name)).map_err(Error::internal);
    Ok(Committed {
        id: row.get("import_id"),
        kind,
        region: row.get("region"),
        created_at: row.get("created_at"),
        committed_at: row.get("committed_at"),
        total: count("total")?,
        left_out: count("left_out")?,
        result: Plan {
            insert: count("inserted")?,
            update: count("updated")?,
            unchanged: count("unchanged")?,
            conflict: count("conflicts")?,
        },
    })
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
