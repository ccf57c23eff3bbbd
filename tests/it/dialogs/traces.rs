//! What is left of what customers said: nothing anywhere without consent, and after it was taken back neither a row nor an
//! entry of an index.

use std::{collections::BTreeSet, time::Duration};

use regex::bytes::Regex;
use reqwest::{Client, Method};
use serde_json::json;
use tonic::Code;

use super::{Chat, ask_at, said, state, with};
use crate::{
    app::{
        App, Options, OwnPostgres, connect, envoy::Envoy, eventually, files::found_in, store,
        wires::Door,
    },
    live::Service,
};

/// What is looked for: with a kind behind it.
const MARK: &str = "zq7kx-";

fn mark(kind: &str) -> String {
    format!("{MARK}{kind}.")
}

/// The kinds of which something is in a text.
fn kinds(bytes: &[u8]) -> BTreeSet<String> {
    let mark = Regex::new(&format!("{MARK}([a-z]+)\\.")).unwrap();
    let kind = |found: regex::bytes::Captures<'_>| String::from_utf8(found[1].to_vec()).unwrap();
    mark.captures_iter(bytes).map(kind).collect()
}

/// A service as it is run, before its own PostgreSQL that logs all it is told, with Envoy in front.
struct House {
    postgres: OwnPostgres,
    chat: Chat,
    service: Service,
    envoy: Envoy,
    door: Door,
    folder: tempfile::TempDir,
}

impl House {
    async fn open() -> Self {
        let postgres = OwnPostgres::start().await;
        let sql = connect(&postgres.url).await;
        sql.batch_execute("alter system set log_statement = 'all'").await.unwrap();
        sql.batch_execute("select pg_reload_conf()").await.unwrap();
        let chat = Chat::at(App::on(store(&postgres.url), Options::default()).await).await;
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start_with(
            &postgres.url,
            vec![
                ("TAP_LOG", "trace".to_owned()),
                ("TMPDIR", folder.path().display().to_string()),
                ("log", folder.path().join("log").display().to_string()),
                // Half of what one dialog of the longest messages takes.
                ("TAP_TEAM_PENDING_MIB", "1".to_owned()),
                ("TAP_PENDING_IDLE_S", "2".to_owned()),
            ],
        )
        .await;
        let envoy = Envoy::before(service.grpc.port()).await;
        let door = Door::at(service.grpc).kept().await;
        Self { postgres, chat, service, envoy, door, folder }
    }

    async fn say(&self, customer: &str, dialog: &str, kind: &str) -> String {
        let request = said(customer, dialog, &mark(kind));
        let outcome = ask_at(&self.door, &self.chat.key, "RecordMessage", request).await;
        assert_eq!(outcome.code, Code::Ok, "{outcome:?}");
        state(outcome.answer())
    }

    async fn decide(&self, dialog: &str, granted: bool) {
        let request = json!({"dialogId": dialog, "body": granted});
        let outcome = ask_at(&self.door, &self.chat.key, "SetConsent", request).await;
        assert_eq!(outcome.code, Code::Ok, "{outcome:?}");
    }

    /// A call that is refused, by gRPC.
    async fn refused(&self, rpc: &str, request: serde_json::Value) {
        let outcome = ask_at(&self.door, &self.chat.key, rpc, request).await;
        assert_ne!(outcome.code, Code::Ok, "{outcome:?}");
        assert_eq!(kinds(format!("{outcome:?}").as_bytes()), BTreeSet::new());
    }

    /// A call that is refused, by JSON.
    async fn refused_json(&self, path: &str, body: String) {
        let request = Client::new().request(Method::POST, self.envoy.url(path));
        let answer = request.header("x-api-key", &self.chat.key).body(body).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path} {}", answer.status());
        let text = answer.text().await.unwrap();
        assert_eq!(kinds(text.as_bytes()), BTreeSet::new(), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_agreed_to_is_nowhere() {
    let mut house = House::open().await;
    // Refused for what it is, or where it was put.
    let long = "x".repeat(10_000);
    let wrong = json!({"text": mark("toolong") + &long});
    house.refused("RecordMessage", with(said("c", "wrong", ""), wrong)).await;
    house
        .refused(
            "RecordMessage",
            with(said("c", "wrong", &mark("language")), json!({"language": "?"})),
        )
        .await;
    house
        .refused(
            "RecordMessage",
            with(said("c", "wrong", "x"), json!({"language": mark("inlanguage")})),
        )
        .await;
    house
        .refused(
            "RecordMessage",
            with(said("c", "wrong", "x"), json!({"requestId": "?", "text": mark("request")})),
        )
        .await;
    house.refused("RecordMessage", said(&mark("customer ?"), "wrong", "x")).await;
    house.refused("SetConsent", json!({"dialogId": "wrong", "body": mark("body")})).await;
    house
        .refused(
            "SetConsent",
            json!({"dialogId": "wrong", "body": {"granted": true, mark("member"): 1}}),
        )
        .await;
    house.refused("ListMessages", json!({"after": mark("after")})).await;
    house
        .refused_json("/v1/data/c/wrong", format!("{{\"text\": \"{}\", ", mark("brokenjson")))
        .await;
    house
        .refused_json("/v1/data/c/wrong", json!({"text": {"a": mark("nested")}}).to_string())
        .await;
    house.refused_json("/v1/data/c/wrong", json!({"text": mark("nolanguage")}).to_string()).await;
    house.refused_json("/v1/consents/wrong", json!(mark("barebody")).to_string()).await;

    // Not agreed to, in every way.
    for (dialog, kind) in [("d1", "denied"), ("d2", "withdrawnpending"), ("d3", "erasedpending")] {
        assert_eq!(house.say(dialog, dialog, kind).await, "PENDING");
    }
    house.decide("d1", false).await;
    assert_eq!(house.say("d1", "d1", "refused").await, "REFUSED");
    let withdraw = json!({"dialogId": "d2"});
    ask_at(&house.door, &house.chat.key, "WithdrawConsent", withdraw).await;
    let erase = json!({"customerId": "d3"});
    ask_at(&house.door, &house.chat.key, "EraseCustomer", erase).await;
    assert_eq!(house.say("d3", "d3", "erased").await, "ERASED");
    assert_eq!(house.say("d4", "d4", "other").await, "PENDING");
    house.refused("RecordMessage", said("d5", "d4", &mark("othercustomer"))).await;
    // Agreed to: this is found, so that the others could be.
    assert_eq!(house.say("yes", "yes", "agreed").await, "PENDING");
    house.decide("yes", true).await;
    assert_eq!(house.say("yes", "yes", "agreedlater").await, "STORED");
    // What came before it was taken back is still in what PostgreSQL has written; what comes after is not.
    assert_eq!(house.say("no", "no", "agreedonce").await, "PENDING");
    house.decide("no", true).await;
    house.decide("no", false).await;
    assert_eq!(house.say("no", "no", "afterwithdrawal").await, "REFUSED");
    // More than may wait.
    let mut held = 0;
    loop {
        let text = format!("{}{long}", mark("budget"));
        let request = said("big", &format!("big-{held}"), &text[..9_000]);
        let outcome = ask_at(&house.door, &house.chat.key, "RecordMessage", request).await;
        if outcome.code == Code::ResourceExhausted {
            break;
        }
        assert_eq!(outcome.code, Code::Ok);
        held += 1;
        assert!(held < 1_000);
    }
    // What waited for too long.
    tokio::time::sleep(Duration::from_secs(3)).await;
    house.decide("d4", true).await;
    // And what still waits when the service is killed.
    assert_eq!(house.say("last", "last", "killed").await, "PENDING");

    let metrics = format!("http://{}/metrics", house.service.admin);
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tap_pending_bytes"), "{metrics}");
    assert_eq!(kinds(metrics.as_bytes()), BTreeSet::new());
    assert_eq!(kinds(house.envoy.stats().await.as_bytes()), BTreeSet::new());
    house.service.kill();

    house.chat.app.sql().await.batch_execute("checkpoint; select pg_switch_wal()").await.unwrap();
    let (found, bytes) = found_in(&house.postgres.files(), kinds);
    let agreed = ["agreed", "agreedlater", "agreedonce"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(agreed), "in the folder of PostgreSQL");
    assert!(bytes > 16 * 1024 * 1024, "its data and its WAL were looked at: {bytes}");
    let (found, bytes) = found_in(house.folder.path(), kinds);
    assert_eq!(found, BTreeSet::new(), "in the log and the temporary files of the service");
    assert!(bytes > 1_000, "it has logged something: {bytes}");
    let (found, bytes) = found_in(house.envoy.files(), kinds);
    assert_eq!(found, BTreeSet::new(), "in the log of Envoy");
    assert!(bytes > 1_000, "it has logged something: {bytes}");
}

/// Everything of messages that is in the pages of the table and of its indexes, dead or alive.
async fn entries(sql: &tokio_postgres::Client) -> i64 {
    let all = "
        with items as (
            select count(*) as n
            from generate_series(0, pg_relation_size('messages') / current_setting('block_size')::int - 1) as block,
                heap_page_items(get_raw_page('messages', block::int)) where lp_len > 0
            union all
            select count(*)
            from pg_index,
                generate_series(1, pg_relation_size(indexrelid) / current_setting('block_size')::int - 1) as block,
                bt_page_stats(indexrelid::regclass::text, block) as stats,
                bt_page_items(indexrelid::regclass::text, block)
            where indrelid = 'messages'::regclass and stats.type = 'l' and stats.live_items + stats.dead_items > 0
        )
        select sum(n)::bigint from items";
    sql.query_one(all, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_back_or_erased_leaves_no_row_and_no_entry_of_an_index() {
    let postgres = OwnPostgres::start().await;
    let sql = connect(&postgres.url).await;
    // As often as it can: what is shown is that the table asks for it, not how long that takes.
    sql.batch_execute("create extension pageinspect").await.unwrap();
    sql.batch_execute("alter system set autovacuum_naptime = '1s'").await.unwrap();
    sql.batch_execute("select pg_reload_conf()").await.unwrap();
    let chat = Chat::at(App::on(store(&postgres.url), Options::default()).await).await;
    for dialog in ["d", "e", "f"] {
        chat.say(dialog, dialog, &mark("one")).await;
        chat.decide(dialog, true).await;
        chat.say(dialog, dialog, &mark("two")).await;
    }
    sql.batch_execute("analyze").await.unwrap();
    // Six rows, each in as many indexes as there are but that of requests, which these do not have.
    assert_eq!(entries(&sql).await, 6 * 7);

    chat.withdraw("d").await;
    chat.decide("e", false).await;
    chat.erase("f").await;
    assert_eq!(chat.texts(json!({})).await, [""; 0]);
    assert_eq!(chat.rows("messages").await, 0);
    eventually("the pages are cleared, with nobody asking for it", || async {
        entries(&sql).await == 0
    })
    .await;
    // Nor is anything of it in the statistics, which keep what was deleted.
    let kept = "select count(*) from pg_stats
        where tablename in ('messages', 'customers', 'dialogs', 'consents')
            and attname in ('text', 'customer_id', 'dialog_id')";
    assert_eq!(chat.app.scalar::<i64>(kept).await, 0);
    // No customer who was erased is named anywhere in the store; nor in what was kept of the requests.
    for (table, column) in
        [("customers", "customer_id"), ("dialogs", "dialog_id"), ("consents", "dialog_id")]
    {
        let named = format!("select count(*) from {table} where {column} = 'f'");
        assert_eq!(chat.app.scalar::<i64>(&named).await, 0, "{table}");
    }
}
