//! The events that are measured, and writing them without any promise: the same rows by COPY and by INSERT, into
//! the same table with the same indexes.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::ensure;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tap_analytics::{clock::Clock, config, sql};
use tokio_postgres::{
    Client, Statement,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    TEAM,
    postgres::{Postgres, connect},
};

pub(crate) const SESSIONS: u32 = 1_000;
/// Rows of a commit, as many as the service stores in one.
const ROWS: usize = 2_000;
const CATEGORIES: [&str; 5] = ["page", "link", "form", "video", "shop"];
const COPY_EVENTS: &str = "copy events (team_id, event_id, revision, received_at, stored_at, receipt_id, key_id, application, content_hash, session_id, category, name, bytes, data, occurred_at) from stdin (format binary)";

/// An event, the same in each run but for its time.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: Uuid,
    pub(crate) session: Uuid,
    category: &'static str,
    name: String,
    data: Value,
    at: DateTime<Utc>,
}

impl Made {
    pub(crate) fn new(number: u32, at: DateTime<Utc>) -> Self {
        let hash = blake3::hash(&number.to_le_bytes());
        let bytes = hash.as_bytes();
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[..16]);
        let [a, b, c, d] = [bytes[16], bytes[17], bytes[18], bytes[19]];
        let category = CATEGORIES[usize::from(a) % CATEGORIES.len()];
        let data = json!({
            "page": format!("/menu/{}", b % 50),
            "position": u16::from(c) * 4,
            "element": format!("button.order-{d}"),
            "campaign": "spring",
            "total": f64::from(b) / 4.0,
            "returning": d % 2 == 0,
        });
        Self {
            id: Uuid::new_v8(id),
            session: session(u32::from_le_bytes([a, b, c, 0]) % SESSIONS),
            category,
            name: format!("seen-{}", d % 4),
            data,
            at: at + TimeDelta::microseconds(i64::from(number)),
        }
    }

    /// As an application sends it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "event_id": self.id.to_string(),
            "session_id": self.session.to_string(),
            "category": self.category,
            "name": self.name,
            "occurred_at": self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "data": self.data,
        })
    }
}

pub(crate) fn session(number: u32) -> Uuid {
    Uuid::from_u128(0x8000_0000_0000_8000_0000_0000_0000 + u128::from(number))
}

/// A database with a team and its sessions.
pub(crate) async fn database(postgres: &Postgres, name: &str) -> anyhow::Result<config::Store> {
    let store = postgres.create_database(name).await?;
    let admin = connect(&store).await?;
    admin.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    let sessions: Vec<Uuid> = (0..SESSIONS).map(session).collect();
    let (taps, keys): (Vec<Option<Uuid>>, Vec<Uuid>) =
        sessions.iter().map(|_| (None, Uuid::from_u128(1))).unzip();
    let names = vec!["bench"; sessions.len()];
    let made_at = Clock::system().now();
    let create = sql!("events/create_sessions").text;
    admin.execute(create, &[&TEAM.0, &sessions, &taps, &keys, &names, &made_at]).await?;
    Ok(store)
}

/// Writes rows as they are, in transactions of their own: nothing is checked or counted.
#[derive(Debug)]
pub(crate) struct Plain {
    /// As administrator: row-level security forbids COPY to all others.
    client: Client,
    copy: Statement,
    insert: Statement,
    revision: i64,
}

impl Plain {
    pub(crate) async fn new(store: &config::Store) -> anyhow::Result<Self> {
        let client = connect(store).await?;
        let copy = client.prepare(COPY_EVENTS).await?;
        let insert = client.prepare(sql!("events/store_events").text).await?;
        Ok(Self { client, copy, insert, revision: 0 })
    }

    /// How long COPY takes.
    pub(crate) async fn copy(&mut self, events: &[Made]) -> anyhow::Result<Duration> {
        let types = [
            Type::INT4,
            Type::UUID,
            Type::INT8,
            Type::TIMESTAMPTZ,
            Type::TIMESTAMPTZ,
            Type::UUID,
            Type::UUID,
            Type::TEXT,
            Type::BYTEA,
            Type::UUID,
            Type::TEXT,
            Type::TEXT,
            Type::INT4,
            Type::TEXT,
            Type::TIMESTAMPTZ,
        ];
        let (start, key) = (Instant::now(), Uuid::from_u128(1));
        for events in events.chunks(ROWS) {
            let now = Clock::system().now();
            let sink = self.client.copy_in(&self.copy).await?;
            let mut rows = pin!(BinaryCopyInWriter::new(sink, &types));
            for event in events {
                self.revision += 1;
                let (receipt, data) = (Uuid::now_v7(), event.data.to_string());
                let bytes = i32::try_from(data.len())?;
                let hash = &event.id.as_bytes()[..];
                let row: [&(dyn ToSql + Sync); 15] = [
                    &TEAM.0,
                    &event.id,
                    &self.revision,
                    &now,
                    &now,
                    &receipt,
                    &key,
                    &"bench",
                    &hash,
                    &event.session,
                    &event.category,
                    &event.name,
                    &bytes,
                    &data,
                    &event.at,
                ];
                rows.as_mut().write(&row).await?;
            }
            rows.finish().await?;
        }
        Ok(start.elapsed())
    }

    /// How long INSERT takes, by the statement of the service.
    pub(crate) async fn insert(&mut self, events: &[Made]) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for events in events.chunks(ROWS) {
            let now = Clock::system().now();
            let each = |of: fn(&Made) -> Uuid| events.iter().map(of).collect::<Vec<_>>();
            let (ids, sessions) = (each(|event| event.id), each(|event| event.session));
            let (receipts, keys) = (each(|_| Uuid::now_v7()), each(|_| Uuid::from_u128(1)));
            let (received, names) = (vec![now; events.len()], vec!["bench"; events.len()]);
            let hashes: Vec<&[u8]> = events.iter().map(|event| &event.id.as_bytes()[..]).collect();
            let categories: Vec<_> = events.iter().map(|event| event.category).collect();
            let what: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
            let data: Vec<_> = events.iter().map(|event| event.data.to_string()).collect();
            let occurred: Vec<_> = events.iter().map(|event| event.at).collect();
            let row: [&(dyn ToSql + Sync); 14] = [
                &TEAM.0,
                &self.revision,
                &now,
                &ids,
                &receipts,
                &received,
                &keys,
                &names,
                &hashes,
                &sessions,
                &categories,
                &what,
                &data,
                &occurred,
            ];
            let rows = self.client.execute(&self.insert, &row).await?;
            ensure!(usize::try_from(rows)? == events.len(), "only {rows} were inserted");
            self.revision += i64::try_from(rows)?;
        }
        Ok(start.elapsed())
    }
}
