//! The schema: migrations, roles, row-level security.

use std::collections::BTreeSet;

use tap_analytics::{
    access::model::Scope,
    clock::Clock,
    config,
    db::Db,
    error::Error,
    migrate::{self, MIGRATIONS},
};
use tokio_postgres::error::SqlState;

use crate::app::{
    self, App, chats::Chats, connect, empty_database, offers::Offers, people::People, root, store,
    tap, visits::Visits,
};

#[tokio::test]
async fn two_replicas_may_migrate_at_once() {
    let url = empty_database().await;
    let runs = (0..4).map(|_| {
        let store = store(&url);
        async move { migrate::run(&store).await.unwrap().len() }
    });
    let applied: Vec<usize> = futures_util::future::join_all(runs).await;
    assert_eq!(applied.iter().sum::<usize>(), MIGRATIONS.len(), "each migration once: {applied:?}");
    assert_eq!(migrate::run(&store(&url)).await.unwrap(), [""; 0]);
}

#[test]
fn every_migration_file_is_in_the_list_in_order() {
    let mut files: Vec<String> = std::fs::read_dir(root().join("sql/schema"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let listed: Vec<String> = MIGRATIONS
        .iter()
        .enumerate()
        .map(|(at, (name, _))| {
            let (version, name) = name.strip_prefix('V').unwrap().split_once("__").unwrap();
            assert_eq!(version, (at + 1).to_string());
            format!("{:0>4}_{name}.sql", at + 1)
        })
        .collect();
    assert_eq!(files, listed);
}

/// Tables that hold rows of teams; partitions are reached through their parents only.
pub const TABLES: &str = "select c.relname::text, c.relrowsecurity
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and c.relname <> 'refinery_schema_history'
    order by 1";

#[tokio::test]
async fn every_table_is_guarded_and_explained() {
    let app = App::start().await;
    let sql = app.sql().await;
    let tables = sql.query(TABLES, &[]).await.unwrap();
    assert_eq!(tables.len(), 31);
    for table in tables {
        let (name, guarded): (String, bool) = (table.get(0), table.get(1));
        assert!(guarded, "{name} has no row-level security");
        let comment = format!("select obj_description('{name}'::regclass)");
        assert!(app.scalar::<Option<String>>(&comment).await.is_some(), "{name} has no comment");
        let first = format!(
            "select a.attname::text from pg_index i
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
             where i.indrelid = '{name}'::regclass and i.indisprimary"
        );
        // What signs tokens belongs to the service itself.
        let expected = if name == "secrets" { "name" } else { "team_id" };
        assert_eq!(
            app.scalar::<String>(&first).await,
            expected,
            "first column of the primary key of {name}"
        );
    }
    let weak: i64 = app
        .scalar(
            "select count(*) from pg_roles
             where rolname in ('tap_app', 'tap_system') and (rolsuper or rolbypassrls or rolcreaterole)",
        )
        .await;
    assert_eq!(weak, 0);
    let owners = sql
        .query("select distinct tableowner::text from pg_tables where schemaname = 'public'", &[])
        .await
        .unwrap();
    assert_eq!(owners.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["tap_owner"]);
}

/// An address for a role: no password is needed in tests.
pub fn as_role(url: &str, role: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    format!("postgres://{role}@{rest}")
}

#[tokio::test]
async fn the_role_of_requests_sees_one_team_and_nothing_without_one() {
    let app = App::start().await;
    let (acme, other) = (app.team("acme").await, app.team("other").await);
    for (number, team) in (1..).zip([&acme, &other]) {
        let key = app.key(team.id, None, Scope::ALL, None).await;
        Visits::of(&app, team.id, &key, number).await;
        Offers::of(&app, &key, number).await;
        Chats::of(&app, &key, number).await;
        People::of(&app, &key).await;
        let tag = app.tags(team.id, &["a"]).await[0];
        app.write(team.id, &[tap(tag, "2023-05-01T12:00:00Z")]).await;
        let done = format!(
            "insert into requests select {0}, gen_random_uuid(), now(), sha256(''), '';
             insert into key_events
             select {0}, gen_random_uuid(), now(), gen_random_uuid(), null, 'created', '[]'",
            team.id
        );
        app.sql().await.batch_execute(&done).await.unwrap();
    }
    let role = connect(&as_role(&app.store.database_url, "tap_app")).await;
    let count = async |table: &str| -> Result<i64, tokio_postgres::Error> {
        Ok(role.query_one(&format!("select count(*) from {table}"), &[]).await?.get(0))
    };
    let tables = app.sql().await.query(TABLES, &[]).await.unwrap();
    let mut seen = BTreeSet::new();
    for table in tables.iter().map(|row| row.get::<_, String>(0)) {
        role.batch_execute("set app.team_id = ''").await.unwrap();
        match count(&table).await {
            Ok(rows) => assert_eq!(rows, 0, "{table} without a team"),
            Err(error) => {
                assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{table}");
                continue;
            }
        }
        for team in [&acme, &other] {
            role.batch_execute(&format!("set app.team_id = '{}'", team.id)).await.unwrap();
            assert!(count(&table).await.unwrap() > 0, "{table} of its own team");
            let foreign = format!("{table} where team_id <> {}", team.id);
            assert_eq!(count(&foreign).await.unwrap(), 0, "{table} of another team");
        }
        seen.insert(table);
    }
    assert_eq!(
        seen,
        [
            "api_keys",
            "consents",
            "coupons",
            "customers",
            "dialog_settings",
            "dialogs",
            "erasures",
            "event_duplicates",
            "event_errors",
            "event_heads",
            "event_inbox",
            "event_outcomes",
            "event_quarters",
            "event_received",
            "event_settings",
            "event_types",
            "events",
            "imports",
            "key_events",
            "messages",
            "redemption_quarters",
            "redemptions",
            "requests",
            "sessions",
            "tags",
            "tap_days",
            "taps",
            "teams",
            "user_books",
            "users",
        ]
        .map(str::to_owned)
        .into(),
        "what requests may read"
    );

    // A fresh connection has never set a team, which is another way of there being none.
    let fresh = connect(&as_role(&app.store.database_url, "tap_app")).await;
    assert_eq!(fresh.query("select from taps", &[]).await.unwrap().len(), 0);

    role.batch_execute(&format!("set app.team_id = '{}'", acme.id)).await.unwrap();
    for forbidden in [
        "select * from taps_2023_05",
        "select * from api_keys",
        "select key_hash from api_keys",
        "select from api_keys where key_hash = ''",
        "update api_keys set key_hash = ''",
        "update api_keys set team_id = 1",
        "update api_keys set last_used_at = now()",
        "delete from api_keys",
        "update key_events set action = 'created'",
        "delete from key_events",
        "update requests set fingerprint = ''",
        "delete from requests",
        "select * from secrets",
        "insert into secrets select 'signing.x', ''",
        "update tags set uid = 'x'",
        "update tags set tag_id = 7",
        "update tags set team_id = 1",
        "update tags set created_at = now()",
        "delete from tags",
        "truncate tags",
        "insert into teams select 7, 'seven', now(), 'Seven'",
        "update teams set name = 'x'",
        "update teams set slug = 'x'",
        "delete from teams",
        "insert into taps select * from taps",
        "update teams set revision = 0",
        "delete from taps",
        "truncate tap_days",
        "update sessions set application = 'x'",
        "update sessions set created_at = now()",
        "delete from sessions",
        "update events set event_id = gen_random_uuid()",
        "update events set revision = 0",
        "update events set content_hash = ''",
        "delete from events",
        "update event_errors set payload = '{}'",
        "update event_errors set reasons = '{}'",
        "delete from event_errors",
        "update event_duplicates set event_id = receipt_id",
        "delete from event_duplicates",
        "update event_inbox set payload = '[]'",
        "update event_inbox set received_at = now()",
        "delete from event_received",
        "delete from event_outcomes",
        "delete from event_heads",
        "update event_types set name = 'x'",
        "delete from event_settings",
        "delete from customers",
        "update customers set customer_hash = sha256('x')",
        "update consents set decision = 'GRANTED'",
        "update consents set decided_at = now()",
        "delete from consents",
        "update messages set consented = false",
        "update messages set language = 'en'",
        "update messages set received_at = now()",
        "truncate messages",
        "update erasures set hash = previous_hash",
        "delete from erasures",
        "delete from dialog_settings",
        "update imports set total = 0",
        "delete from imports",
        "update user_books set team_id = 1",
        "delete from user_books",
        "update users set user_id = gen_random_uuid()",
        "update users set nid = 'x'",
        "update users set nid_hash = ''",
        "update users set created_at = now()",
        "truncate users",
        "drop table taps",
        "alter table taps disable row level security",
        "alter table users disable row level security",
        "alter table events disable row level security",
        "alter table messages disable row level security",
        "select make_tap_partition('2023-01-01')",
        "set role tap_system",
        "set role tap_owner",
        "create table mine (n int)",
    ] {
        let error = role.batch_execute(forbidden).await.expect_err(forbidden);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{forbidden}: {error}");
    }
}

#[tokio::test]
async fn the_role_of_requests_changes_one_team_and_no_other() {
    let app = App::start().await;
    let (acme, other) = (app.team("acme").await, app.team("other").await);
    for team in [&acme, &other] {
        app.tags(team.id, &["a"]).await;
    }
    let role = connect(&as_role(&app.store.database_url, "tap_app")).await;
    role.batch_execute(&format!("set app.team_id = '{}'", acme.id)).await.unwrap();
    let tag = |team| format!("insert into tags (team_id, tag_id, uid) values ({team}, 2, 'b')");
    let request = |team| {
        format!("insert into requests values ({team}, gen_random_uuid(), now(), sha256(''), '')")
    };
    let event = |team| {
        format!(
            "insert into key_events
             values ({team}, gen_random_uuid(), now(), gen_random_uuid(), null, 'created', '[]')"
        )
    };
    let key = |team| {
        format!(
            "insert into api_keys (team_id, key_id, key_hash, prefix, name, scopes, queries_per_hour)
             values ({team}, gen_random_uuid(), sha256('{team}'), 'tap', 'x', '{{}}', 1)"
        )
    };
    let session = |team| {
        format!(
            "insert into sessions values ({team}, gen_random_uuid(), now(), null, gen_random_uuid(), 'x')"
        )
    };
    let kind = |team| {
        format!(
            "insert into event_types values ({team}, 'a', 'b', now(), now(), '{{}}', gen_random_uuid())"
        )
    };
    let settings = |team| format!("insert into event_settings values ({team}, 'refuse', 'create')");
    let customer = |team| {
        format!(
            "insert into customers values ({team}, sha256('c'), 'c', null, now(), gen_random_uuid())"
        )
    };
    let consent = |team| {
        format!(
            "insert into consents
             values ({team}, '{0}', 'd', null, 'GRANTED', '', '', '', now(), '{0}')",
            uuid::Uuid::from_u128(7)
        )
    };
    let dialog = |team| {
        format!(
            "insert into dialogs values ({team}, 'd', sha256('c'), true, '{0}', null, now(), '{0}')",
            uuid::Uuid::from_u128(7)
        )
    };
    let message = |team| {
        format!(
            "insert into messages
             values ({team}, gen_random_uuid(), 'd', sha256('c'), true, null, 'en', 'a', now(), null)"
        )
    };
    let erasure = |team| {
        format!(
            "insert into erasures
             values ({team}, 1, gen_random_uuid(), sha256('e'), now(), gen_random_uuid(), 0, 0, 0, 0, sha256(''), sha256(''))"
        )
    };
    let terms = |team| format!("insert into dialog_settings (team_id) values ({team})");
    let import = |team| {
        format!(
            "insert into imports
             values ({team}, gen_random_uuid(), 'users', 'RW', now(), now(), null, 1, 0, 1, 0, 0, 0)"
        )
    };
    let user = |team| {
        format!(
            "insert into users
             values ({team}, gen_random_uuid(), 'n', '1', '+2', 'M', 'a@b', '{0}', '{0}', '{0}', gen_random_uuid(), now(), now())",
            "0123456789abcdef"
        )
    };
    let book = |team| format!("insert into user_books values ({team}, 1)");
    let there = [kind(other.id), settings(other.id)].join(";");
    let said = [customer(other.id), consent(other.id), dialog(other.id), message(other.id)];
    let people = [import(other.id), user(other.id), book(other.id)].join(";");
    let there = [there, said.join(";"), erasure(other.id), terms(other.id), people].join(";");
    app.sql().await.batch_execute(&there).await.unwrap();
    for (ours, theirs) in [
        (session(acme.id), session(other.id)),
        (kind(acme.id), kind(other.id)),
        (settings(acme.id), settings(other.id)),
        (customer(acme.id), customer(other.id)),
        (consent(acme.id), consent(other.id)),
        (dialog(acme.id), dialog(other.id)),
        (message(acme.id), message(other.id)),
        (erasure(acme.id), erasure(other.id)),
        (terms(acme.id), terms(other.id)),
        (import(acme.id), import(other.id)),
        (user(acme.id), user(other.id)),
        (book(acme.id), book(other.id)),
        (tag(acme.id), tag(other.id)),
        (request(acme.id), request(other.id)),
        (event(acme.id), event(other.id)),
        (key(acme.id), key(other.id)),
    ] {
        let error = role.batch_execute(&theirs).await.expect_err(&theirs);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{theirs}: {error}");
        assert_eq!(role.execute(&ours, &[]).await.unwrap(), 1, "{ours}");
    }
    // What it may change, without a word of whose: that of its team.
    for (statement, rows) in [
        ("update tags set label = 'x', kind = 'qr', archived_at = now()", 2),
        ("update tags set destination_url = 'https://a.example/'", 2),
        ("update teams set tags_revision = tags_revision + 1", 1),
        ("update event_settings set unknown_types = 'accept'", 1),
        ("update event_types set schema = 'true'", 1),
        ("delete from event_types", 1),
        ("update messages set text = 'b', redacted_at = now()", 1),
        ("delete from messages", 1),
        ("update dialogs set granted = false, changed_at = now()", 1),
        ("delete from dialogs", 1),
        ("update consents set dialog_id = null, customer_hash = sha256('c')", 1),
        ("update customers set customer_id = null, erased_at = now()", 1),
        ("update dialog_settings set purpose = 'x', delete_after_days = 1", 1),
        ("update user_books set users = 2", 1),
        ("update users set names = 'x', updated_at = now()", 1),
        ("delete from users", 1),
        ("update requests set answer = 'x'", 1),
        ("update api_keys set name = 'x', revoked_at = now()", 2),
        ("select from teams for update", 1),
        ("select from tags for update", 2),
    ] {
        assert_eq!(role.execute(statement, &[]).await.unwrap(), rows, "{statement}");
    }
    for untouched in [
        "select count(*) from tags where label = 'Label of a' and archived_at is null",
        "select count(*) from teams where tags_revision = 0",
        "select count(*) from api_keys where name = 'test' and revoked_at is null",
        "select count(*) from event_types where schema::text = '{}'",
        "select count(*) from event_settings where unknown_types = 'refuse'",
        "select count(*) from messages where text = 'a' and redacted_at is null",
        "select count(*) from dialogs where granted",
        "select count(*) from consents where dialog_id = 'd'",
        "select count(*) from customers where customer_id = 'c' and erased_at is null",
        "select count(*) from dialog_settings where purpose = ''",
        "select count(*) from users where names = 'n'",
        "select count(*) from user_books where users = 1",
    ] {
        let theirs = format!("{untouched} and team_id = {}", other.id);
        assert_eq!(app.scalar::<i64>(&theirs).await, 1, "{untouched}");
        assert_eq!(app.scalar::<i64>(untouched).await, 1, "{untouched}");
    }
    // Nor does a team of none change anything.
    role.batch_execute("set app.team_id = ''").await.unwrap();
    assert!(role.batch_execute(&tag(acme.id)).await.is_err());
    assert_eq!(role.execute("update tags set label = 'y'", &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn uids_are_ordered_byte_by_byte_and_found_in_that_order() {
    let app = App::start().await;
    let team = app.team("acme").await;
    app.tags(team.id, &["b", "B", "a-1", "a.1", "a1", "A", "_", ":"]).await;
    let uids: Vec<String> = app.scalar("select array_agg(uid order by uid) from tags").await;
    assert_eq!(uids, [":", "A", "B", "_", "a-1", "a.1", "a1", "b"]);
    let sql = app.sql().await;
    sql.batch_execute(
        "insert into tags (team_id, tag_id, uid) select team_id, n, 't' || n
         from teams, generate_series(100, 20000) n;
         analyze tags",
    )
    .await
    .unwrap();
    let page = "explain (costs off) select uid from tags
                where team_id = 1 and uid > 't500' order by uid limit 100";
    let plan: Vec<String> =
        sql.query(page, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("tags_uid_key") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn the_role_of_the_system_can_do_its_work_and_no_more() {
    let app = App::start().await;
    let role = connect(&as_role(&app.store.database_url, "tap_system")).await;
    for forbidden in [
        "delete from taps",
        "delete from teams",
        "update taps set count = 2",
        "update api_keys set key_hash = ''",
        "update tags set uid = 'x'",
        "update secrets set secret = ''",
        "insert into secrets select 'other', sha256('')",
        "delete from tags",
        "update key_events set action = 'created'",
        "update requests set answer = ''",
        "insert into requests select team_id, gen_random_uuid(), now(), sha256(''), '' from teams",
        // Of events it sees who has some waiting, and of these not what they are.
        "select payload from event_inbox",
        "select application from event_inbox",
        "update event_inbox set next_try_at = now()",
        "delete from event_inbox",
        "select from events",
        "select from event_errors",
        "select from event_types",
        "select from sessions",
        // Of dialogs it sees which have changed, and of whom; not what was said or decided.
        "select from messages",
        "delete from messages",
        "select customer_id from customers",
        "update customers set erased_at = null",
        "select customer_hash from dialogs",
        "select granted from dialogs",
        "delete from dialogs",
        "select from consents",
        "select from erasures",
        "select purpose from dialog_settings",
        "update dialog_settings set delete_after_days = 1",
        // Of imports it sees nothing.
        "select from users",
        "delete from users",
        "select from imports",
        "select from user_books",
        "drop table taps",
        "alter table taps disable row level security",
        "set role tap_owner",
    ] {
        let error = role.batch_execute(forbidden).await.expect_err(forbidden);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{forbidden}: {error}");
    }
    // What all tokens and keys are made of stays, whatever is asked.
    role.batch_execute("begin; delete from secrets").await.unwrap();
    let left = role.query("select name from secrets", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["tokens"]);
    role.batch_execute("rollback").await.unwrap();
    let far = role.query("select make_tap_partition('1999-12-31')", &[]).await.unwrap_err();
    assert_eq!(far.code(), Some(&SqlState::DATETIME_FIELD_OVERFLOW));
}

#[tokio::test]
async fn a_read_that_was_cut_off_leaves_nothing_behind() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let one = config::Store { db_pool_size: 1, ..app.store.clone() };
    let db = Db::new(&one).unwrap();
    for _ in 0..3 {
        let read = db.team(team.id).await.unwrap();
        drop(read); // as when a caller goes away
    }
    let read = db.team(team.id).await.unwrap();
    let rows = read.query(tap_analytics::sql!("taps/revision"), &[&team.id.0]).await.unwrap();
    assert_eq!(rows.len(), 1);
    read.end().await.unwrap();
    let Err(Error::StoreUnavailable(_)) =
        Db::new(&app::store("postgres://nobody@127.0.0.1:1/none")).unwrap().team(team.id).await
    else {
        panic!("there is nothing there")
    };
}

#[tokio::test]
async fn passwords_are_set_by_migrate_and_work() {
    let url = empty_database().await;
    // Roles belong to the whole cluster: only that the statement is right can be seen here, as the
    // tests' cluster trusts everybody.
    let with_passwords = config::Store {
        db_app_password: Some("it's a \"secret\"; --".to_owned()),
        db_system_password: Some("påss{role}".to_owned()),
        ..store(&url)
    };
    migrate::run(&with_passwords).await.unwrap();
    let admin = connect(&url).await;
    let row = admin
        .query_one("select count(*) from pg_authid where rolname in ('tap_app', 'tap_system') and rolpassword like 'SCRAM-SHA-256$%'", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    drop(Db::new(&with_passwords).unwrap().system().await.unwrap());
}

#[tokio::test]
async fn there_are_partitions_for_this_month_and_the_next_two() {
    let clock = Clock::fixed(app::instant("2026-11-30T23:59:59Z"));
    let app = App::start_with(app::Options { clock, ..app::Options::default() }).await;
    app::eventually("the partitions are made", || async {
        app.scalar::<i64>(
            "select count(*) from pg_class where relispartition and relkind = 'r'
             and relname in ('taps_2026_11', 'taps_2026_12', 'taps_2027_01')",
        )
        .await
            == 3
    })
    .await;
    // A row outside of them finds its own, made on demand.
    let team = app.team("acme").await;
    let tag = app.tags(team.id, &["a"]).await[0];
    app.write(
        team.id,
        &[tap(tag, "2019-02-28T23:59:59.999999Z"), tap(tag, "2019-03-01T00:00:00Z")],
    )
    .await;
    assert_eq!(app.scalar::<i64>("select count(*) from taps_2019_02").await, 1);
    assert_eq!(app.scalar::<i64>("select count(*) from taps_2019_03").await, 1);
}
