//! `ListMessages` over many messages, beside the same pages by LIMIT and OFFSET, as they are made without page tokens.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tap_analytics::{
    access::model::Preset,
    config,
    proto::tap_v1::{ListMessagesRequest, ListMessagesResponse, message_state},
};
use tokio_postgres::{Statement, types::ToSql};
use tonic::transport::Channel;
use uuid::Uuid;

use super::{
    TEAM, Times,
    dialogs::{self, Client, said},
    postgres::{Postgres, connect},
    process, progress,
    report::{Report, Row},
    serve,
};

const CUSTOMERS: u32 = 50_000;
const DIALOGS: u32 = 200_000;
/// Whose the `n`th dialog is: customers with low numbers have many, the first one some thousand.
const SKEWED: &str = "1 + floor(50000 * power(random(), 3))::integer";
const BUSIEST: u32 = 1;
const USUAL: u32 = 25_000;
/// Customers who have to have the hashes that the service makes: each says something to it.
const KNOWN: [u32; 2] = [BUSIEST, USUAL];

const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1_000;
/// The page far down, or the last one that is full.
const DEEP: u32 = 1_000;

/// Calls that are not measured.
const WARM_UP: u32 = 30;
const SQL_WARM_UP: u32 = 2;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) messages: u32,
    pub(crate) calls: u32,
    pub(crate) sql_calls: u32,
}

/// Which messages to list.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    language: &'static str,
    customer: u32,
}

const KINDS: &[Kind] = &[
    Kind { name: "all", language: "", customer: 0 },
    Kind { name: "of a language, 60 %", language: "en", customer: 0 },
    Kind { name: "of a language, 0.1 %", language: "pt-BR", customer: 0 },
    Kind { name: "of the busiest customer", language: "", customer: BUSIEST },
    Kind { name: "of a customer", language: "", customer: USUAL },
];

impl Kind {
    fn request(&self) -> ListMessagesRequest {
        let customer_id = match self.customer {
            0 => String::new(),
            customer => format!("customer-{customer}"),
        };
        ListMessagesRequest {
            language: self.language.to_owned(),
            customer_id,
            ..ListMessagesRequest::default()
        }
    }

    /// In SQL, with the language as `$2` and the hash of the customer as `$3`.
    fn condition(&self) -> String {
        let language =
            if self.language.is_empty() { "$2::text is not null" } else { "language = $2" };
        let customer = if self.customer == 0 { "$3::bytea is null" } else { "customer_hash = $3" };
        format!("team_id = $1 and {language} and {customer}")
    }
}

/// Adds the rows.
pub(crate) async fn measure(
    postgres: &Postgres,
    size: Size,
    report: &mut Report,
) -> anyhow::Result<()> {
    let store = dialogs::database(postgres).await?;
    let key = serve::key_of(&store, Preset::Admin).await?;
    let (program, _, grpc) = process::start(&store).await?;
    let channel = Channel::from_shared(grpc)?.tcp_nodelay(true).connect().await?;
    let mut lister = Lister { client: Client::new(channel, key), size };
    for customer in KNOWN {
        let dialog = format!("known-{customer}");
        lister.client.clone().consent(dialog.clone()).await?;
        let message = said(customer, dialog);
        lister.client.say(message, message_state::Value::Stored).await?;
    }
    load(&store, size.messages).await?;
    let all = size.messages + u32::try_from(KNOWN.len())?;
    let plain = Plain { admin: connect(&store).await?, size };
    for kind in KINDS {
        let (found, hash) = plain.count(kind).await?;
        let deep = DEEP.min(u32::try_from(found)? / PAGE);
        let pages = if deep > 1 { vec![1, deep] } else { vec![1] };
        for page in pages {
            progress(format!("ListMessages {}, page {page}", kind.name));
            let (times, ids) = lister.page(kind, page).await?;
            let sql = plain.page(kind, hash.as_deref(), page, &ids).await?;
            report.add(Row {
                work: format!(
                    "ListMessages, {}, page {page}, {PAGE} a page, {found} messages of {all}",
                    kind.name
                ),
                measured: dialogs::shown(&times),
                baseline: format!(
                    "the same page by LIMIT and OFFSET in plain SQL {}",
                    dialogs::shown(&sql)
                ),
                ratio: compared(times.percentile(50), sql.percentile(50)),
                ..Row::default()
            });
        }
    }
    drop((program, lister, plain));
    postgres.drop_database(&store).await
}

fn compared(time: Duration, beside: Duration) -> String {
    let faster = beside.as_secs_f64() / time.as_secs_f64();
    if faster >= 1.0 {
        format!("{faster:.1} times faster")
    } else {
        format!("{:.1} times slower", 1.0 / faster)
    }
}

/// Loads dialogs and messages.
async fn load(store: &config::Store, messages: u32) -> anyhow::Result<()> {
    let start = Instant::now();
    progress(format!("loading {DIALOGS} dialogs and {messages} messages"));
    dialogs::load(store, CUSTOMERS, DIALOGS, SKEWED).await?;
    let admin = connect(store).await?;
    admin
        .batch_execute("set synchronous_commit = off; set jit = off; set work_mem = '128MB'")
        .await?;
    let sql = include_str!("../sql/load_messages.sql");
    let params: [&(dyn ToSql + Sync); 2] = [&i32::try_from(messages)?, &i32::try_from(DIALOGS)?];
    let rows = admin.execute(sql, &params).await.context("cannot load messages")?;
    ensure!(rows == u64::from(messages), "only {rows} messages are loaded");
    admin.batch_execute("vacuum analyze").await?;
    // What was loaded is written out now, and not while others are measured.
    admin.batch_execute("checkpoint").await?;
    progress(format!("they are loaded, {} s", start.elapsed().as_secs()));
    Ok(())
}

/// Lists by the service.
#[derive(Debug)]
struct Lister {
    client: Client,
    size: Size,
}

impl Lister {
    /// How long a page takes, asked for again and again, and the ids of the messages on it.
    async fn page(&mut self, kind: &Kind, page: u32) -> anyhow::Result<(Times, Vec<String>)> {
        let mut request = kind.request();
        let mut before = (page - 1) * PAGE;
        while before > 0 {
            // Tokens are bound to what is listed, but not to the size of pages.
            let size = before.min(PAGE_MAX);
            request.page_size = i32::try_from(size)?;
            let answer = self.list(request.clone()).await?;
            ensure!(answer.messages.len() == usize::try_from(size)?, "a page is not full");
            request.page_token = answer.next_page_token;
            before -= size;
        }
        request.page_size = i32::try_from(PAGE)?;
        let (mut times, mut ids) = (Vec::new(), Vec::new());
        for nth in 0..WARM_UP + self.size.calls {
            let asked = request.clone();
            let start = Instant::now();
            let answer = self.list(asked).await?;
            let elapsed = start.elapsed();
            if nth >= WARM_UP {
                times.push(elapsed);
            }
            ids = answer.messages.into_iter().map(|message| message.id).collect();
        }
        ensure!(!ids.is_empty(), "a page without messages");
        Ok((Times::new(times), ids))
    }

    async fn list(&mut self, request: ListMessagesRequest) -> anyhow::Result<ListMessagesResponse> {
        let request = self.client.request(request);
        Ok(self.client.service.list_messages(request).await?.into_inner())
    }
}

/// Lists by plain SQL, as the owner of the tables.
struct Plain {
    admin: tokio_postgres::Client,
    size: Size,
}

impl Plain {
    /// How many messages there are of a kind, and the hash of its customer.
    async fn count(&self, kind: &Kind) -> anyhow::Result<(i64, Option<Vec<u8>>)> {
        let hash = "select customer_hash from customers where team_id = $1 and customer_id = $2";
        let customer = self.admin.query_opt(hash, &[&TEAM.0, &kind.request().customer_id]).await?;
        let hash: Option<Vec<u8>> = customer.map(|row| row.get(0));
        let count = format!("select count(*) from messages where {}", kind.condition());
        let row = self.admin.query_one(&count, &[&TEAM.0, &kind.language, &hash]).await?;
        Ok((row.get(0), hash))
    }

    /// How long a page takes. Fails unless the same messages are on it.
    async fn page(
        &self,
        kind: &Kind,
        hash: Option<&[u8]>,
        page: u32,
        ids: &[String],
    ) -> anyhow::Result<Times> {
        let statement = self.prepare(kind).await?;
        let (limit, offset) = (i64::from(PAGE), i64::from((page - 1) * PAGE));
        let params: [&(dyn ToSql + Sync); 5] = [&TEAM.0, &kind.language, &hash, &limit, &offset];
        let mut times = Vec::new();
        for nth in 0..SQL_WARM_UP + self.size.sql_calls {
            let start = Instant::now();
            let rows = self.admin.query(&statement, &params).await?;
            let elapsed = start.elapsed();
            if nth >= SQL_WARM_UP {
                times.push(elapsed);
            }
            let found = rows.iter().map(|row| row.get::<_, Uuid>(0).to_string());
            ensure!(found.eq(ids.iter().cloned()), "page {page} {} has others", kind.name);
        }
        Ok(Times::new(times))
    }

    /// Customers are joined to the page only, and not to all that is before it.
    async fn prepare(&self, kind: &Kind) -> anyhow::Result<Statement> {
        let sql = format!(
            "select message_id, dialog_id, customer_id, language, text, received_at, redacted_at \
             from ( \
                 select * from messages where {} \
                 order by received_at desc, message_id desc limit $4 offset $5 \
             ) as page \
             join customers using (team_id, customer_hash) \
             order by received_at desc, message_id desc",
            kind.condition()
        );
        Ok(self.admin.prepare(&sql).await?)
    }
}
