//! Messages, and the dialogs that they are of.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    db::{self, TeamRead, Write},
    dialogs::model::{CustomerHash, Filter, Listed, Message, Text},
    error::Error,
    ids::TeamId,
    paging::TimePlace,
    sql,
};

/// A dialog of which a customer has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialog {
    pub granted: bool,
    /// Whose it is; `None`: nothing of it was stored yet.
    pub customer: Option<CustomerHash>,
    /// When it was last denied or withdrawn.
    pub refused_at: Option<DateTime<Utc>>,
}

impl Dialog {
    /// Whether a message that waited may be stored: not what was said before a no.
    #[must_use]
    pub fn takes(&self, waited: &Message) -> bool {
        self.refused_at.is_none_or(|refused_at| waited.received_at > refused_at)
    }
}

/// A message and where it belongs.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    pub dialog: &'a str,
    pub customer: CustomerHash,
    pub message: &'a Message,
}

/// Those of these dialogs of which customers have decided: nobody changes that until the transaction ends. `None` for one
/// that somebody is at; to bind them, others are waited for.
///
/// # Errors
/// As [`db::query`].
pub async fn hold_dialogs(
    write: &Write,
    team: TeamId,
    dialogs: &[&str],
    to_bind: bool,
) -> Result<Vec<(String, Option<Dialog>)>, Error> {
    let sql = if to_bind { sql!("dialogs/lock_dialogs") } else { sql!("dialogs/hold_dialogs") };
    let rows = write.query(sql, &[&team.0, &dialogs]).await?;
    let held = |row: &Row| {
        let held: bool = row.get("held");
        Ok((row.get("dialog_id"), if held { Some(dialog(row)?) } else { None }))
    };
    rows.iter().map(held).collect()
}

/// A dialog of which a customer has decided, as it is now.
///
/// # Errors
/// As [`db::query`].
pub async fn get_dialog(read: &TeamRead, team: TeamId, id: &str) -> Result<Option<Dialog>, Error> {
    let rows = read.query(sql!("dialogs/get_dialog"), &[&team.0, &id]).await?;
    rows.first().map(dialog).transpose()
}

/// What a row says of a dialog.
///
/// # Errors
/// [`Error::Internal`] when the hash is none.
pub fn dialog(row: &Row) -> Result<Dialog, Error> {
    let customer: Option<&[u8]> = row.get("customer_hash");
    Ok(Dialog {
        granted: row.get("granted"),
        customer: customer.map(hash).transpose()?,
        refused_at: row.get("refused_at"),
    })
}

/// A hash as stored.
///
/// # Errors
/// [`Error::Internal`] when it is none.
pub fn hash(bytes: &[u8]) -> Result<CustomerHash, Error> {
    bytes.try_into().map(CustomerHash).map_err(Error::internal)
}

/// Says whose dialogs these are, where that is not known yet. They are locked.
///
/// # Errors
/// As [`db::query`].
pub async fn bind_dialogs(
    write: &Write,
    team: TeamId,
    dialogs: &[(&str, CustomerHash)],
    replica: Uuid,
) -> Result<(), Error> {
    let ids: Vec<&str> = dialogs.iter().map(|(id, _)| *id).collect();
    let customers: Vec<&[u8]> = dialogs.iter().map(|(_, customer)| &customer.0[..]).collect();
    let params: db::Params<'_> = &[&team.0, &ids, &customers, &replica];
    write.query(sql!("dialogs/bind_dialogs"), params).await?;
    Ok(())
}

/// Stores messages of dialogs that have consent. Returns the ids of those that it stored: not those of requests that
/// were stored before.
///
/// # Errors
/// As [`db::query`].
pub async fn insert_messages(
    write: &Write,
    team: TeamId,
    messages: &[Placed<'_>],
) -> Result<Vec<Uuid>, Error> {
    let column = |of: fn(&Placed<'_>) -> Uuid| messages.iter().map(of).collect::<Vec<_>>();
    let ids = column(|placed| placed.message.id);
    let dialogs: Vec<&str> = messages.iter().map(|placed| placed.dialog).collect();
    let customers: Vec<&[u8]> = messages.iter().map(|placed| &placed.customer.0[..]).collect();
    let requests: Vec<Option<Uuid>> =
        messages.iter().map(|placed| placed.message.request_id).collect();
    let languages: Vec<&str> = messages.iter().map(|placed| &*placed.message.language).collect();
    let texts: Vec<&str> = messages.iter().map(|placed| placed.message.text.as_str()).collect();
    let received: Vec<DateTime<Utc>> =
        messages.iter().map(|placed| placed.message.received_at).collect();
    let params: db::Params<'_> =
        &[&team.0, &ids, &dialogs, &customers, &requests, &languages, &texts, &received];
    let rows = write.query(sql!("dialogs/insert_messages"), params).await?;
    Ok(rows.iter().map(|row| row.get("message_id")).collect())
}

/// What a request brought before.
#[derive(Clone, Debug)]
pub struct Brought {
    pub id: Uuid,
    pub language: String,
    /// `None`: it was redacted since.
    pub text: Option<Text>,
}

/// Messages by the dialogs and requests that brought them.
///
/// # Errors
/// As [`db::query`].
pub async fn find_requests(
    read: &TeamRead,
    team: TeamId,
    requests: &[(&str, Uuid)],
) -> Result<Vec<((String, Uuid), Brought)>, Error> {
    let (dialogs, ids): (Vec<&str>, Vec<Uuid>) = requests.iter().copied().unzip();
    let rows = read.query(sql!("dialogs/find_requests"), &[&team.0, &dialogs, &ids]).await?;
    let brought = |row: &Row| {
        let redacted: Option<DateTime<Utc>> = row.get("redacted_at");
        let text = Text::new(row.get("text"));
        let brought = Brought {
            id: row.get("message_id"),
            language: row.get("language"),
            text: redacted.is_none().then_some(text),
        };
        ((row.get("dialog_id"), row.get("request_id")), brought)
    };
    Ok(rows.iter().map(brought).collect())
}

/// Deletes what is stored of a dialog that is locked; says how many.
///
/// # Errors
/// As [`db::query`].
pub async fn delete_messages_of_dialog(
    write: &Write,
    team: TeamId,
    dialog: &str,
) -> Result<i64, Error> {
    let sql = sql!("dialogs/delete_messages_of_dialog");
    let rows = write.query(sql, &[&team.0, &dialog]).await?;
    Ok(rows.first().map_or(0, |row| row.get("gone")))
}

/// A page of messages, the newest first, and how many there are without the bound on bytes.
///
/// # Errors
/// As [`db::query`].
pub async fn list_messages(
    read: &TeamRead,
    team: TeamId,
    filter: &Filter,
    after: Option<TimePlace>,
    limit: i64,
) -> Result<(Vec<Listed>, usize), Error> {
    let customer = filter.customer.map(|customer| customer.0.to_vec());
    let (at, id) = (after.map(|after| after.at), after.map(|after| after.id));
    let params: db::Params<'_> = &[
        &team.0,
        &limit,
        &filter.language,
        &customer,
        &filter.dialog,
        &filter.after,
        &filter.before,
        &at,
        &id,
    ];
    let rows = read.query(sql!("dialogs/list_messages"), params).await?;
    let found = rows.first().map_or(0, |row| row.get::<_, i64>("found"));
    let listed = |row: &Row| Listed {
        message: Message {
            id: row.get("message_id"),
            request_id: None,
            language: row.get::<_, &str>("language").into(),
            text: Text::new(row.get("text")),
            received_at: row.get("received_at"),
        },
        customer: row.get::<_, Option<String>>("customer_id").unwrap_or_default(),
        dialog: row.get("dialog_id"),
        redacted_at: row.get("redacted_at"),
    };
    Ok((rows.iter().map(listed).collect(), usize::try_from(found).unwrap_or_default()))
}

/// Messages that came before an instant and were not redacted, the oldest first: ids and texts.
///
/// # Errors
/// As [`db::query`].
pub async fn find_unredacted(
    read: &TeamRead,
    team: TeamId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(Uuid, Text)>, Error> {
    let rows = read.query(sql!("dialogs/find_unredacted"), &[&team.0, &before, &limit]).await?;
    Ok(rows.iter().map(|row| (row.get("message_id"), Text::new(row.get("text")))).collect())
}

/// Replaces texts.
///
/// # Errors
/// As [`db::query`].
pub async fn redact_messages(
    write: &Write,
    team: TeamId,
    now: DateTime<Utc>,
    texts: &[(Uuid, Text)],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = texts.iter().map(|(id, _)| *id).collect();
    let texts: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    write.query(sql!("dialogs/redact_messages"), &[&team.0, &now, &ids, &texts]).await?;
    Ok(())
}

/// Deletes messages that came before an instant, the oldest first; says how many.
///
/// # Errors
/// As [`db::query`].
pub async fn delete_old_messages(
    write: &Write,
    team: TeamId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<i64, Error> {
    let params: db::Params<'_> = &[&team.0, &before, &limit];
    let rows = write.query(sql!("dialogs/delete_old_messages"), params).await?;
    Ok(rows.first().map_or(0, |row| row.get("gone")))
}
