//! The second wall: what PostgreSQL itself lets the role of requests do, table by table, column by column, as
//! the catalog has it. A new table is walked through as soon as it is there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tap_analytics::ids::TeamId;
use tokio_postgres::{Client, error::SqlState};
use tonic::Code;

use crate::{
    app::{
        App, Team,
        chats::Chats,
        connect,
        offers::Offers,
        people::People,
        report::{record, report},
        rpcs::Rpc,
        visits::Visits,
        wires::{Call, Door, Wire},
    },
    schema::{TABLES, as_role},
};

/// What a role may do with a table: columns by what is done with them.
#[derive(Debug, Default)]
struct Table {
    columns: Vec<String>,
    select: Vec<String>,
    insert: Vec<String>,
    update: Vec<String>,
    delete: bool,
}

/// Every table, and what the role may do with it.
async fn privileges(admin: &Client, role: &str) -> BTreeMap<String, Table> {
    let mut all = BTreeMap::new();
    for table in admin.query(TABLES, &[]).await.unwrap() {
        let name: String = table.get(0);
        let columns = "select attname::text,
                has_column_privilege($1::name, $2::text, attname, 'select'),
                has_column_privilege($1::name, $2::text, attname, 'insert'),
                has_column_privilege($1::name, $2::text, attname, 'update'),
                has_table_privilege($1::name, $2::text, 'delete'),
                has_table_privilege($1::name, $2::text, 'truncate, references, trigger')
            from pg_attribute
            where attrelid = $2::text::regclass and attnum > 0 and not attisdropped
            order by attnum";
        let mut about = Table::default();
        for column in admin.query(columns, &[&role, &name]).await.unwrap() {
            let text: String = column.get(0);
            for (may, list) in
                [(1, &mut about.select), (2, &mut about.insert), (3, &mut about.update)]
            {
                if column.get(may) {
                    list.push(text.clone());
                }
            }
            about.delete = column.get(4);
            assert!(!column.get::<_, bool>(5), "{role} can empty, refer to or watch {name}");
            about.columns.push(text);
        }
        all.insert(name, about);
    }
    all
}

/// An installation in which two teams have something in every table.
async fn two_teams() -> (App, [Team; 2]) {
    let app = App::start().await;
    let teams =
        [app.reporting_team("acme", &["a"]).await, app.reporting_team("other", &["a"]).await];
    for (number, team) in (1..).zip(&teams) {
        Visits::of(&app, team.id, &team.key, number).await;
        Offers::of(&app, &team.key, number).await;
        Chats::of(&app, &team.key, number).await;
        People::of(&app, &team.key).await;
        record(&mut app.client(&team.key), vec![report("a", crate::app::now())]).await;
        let create = Rpc::of("ApiKeys/CreateApiKey");
        let id = "5d1d2e4c-5f0a-4f6e-9d0b-6a1f0c9a7b11";
        let request = json!({"name": "a", "scopes": ["taps:read"], "requestId": id});
        let call = Call::new(&create, &request).key(Some(&team.key));
        let made = call.outcome(&Door::straight(&app), Wire::Grpc, 1).await;
        assert_eq!(made.code, Code::Ok, "{made:?}");
    }
    (app, teams)
}

/// As the role of requests, for a team, for none, or for what is no team.
async fn as_app(app: &App, team: Option<&str>) -> Client {
    let role = connect(&as_role(&app.store.database_url, "tap_app")).await;
    if let Some(team) = team {
        role.batch_execute(&format!("set app.team_id = '{team}'")).await.unwrap();
    }
    role
}

/// How many rows a statement finds or changes; nothing of it stays.
async fn rows(client: &Client, statement: &str) -> Result<u64, SqlState> {
    client.batch_execute("begin").await.unwrap();
    let done = client.execute(statement, &[]).await;
    client.batch_execute("rollback").await.unwrap();
    done.map_err(|error| error.code().unwrap_or_else(|| panic!("{statement}: {error}")).clone())
}

const DENIED: SqlState = SqlState::INSUFFICIENT_PRIVILEGE;

/// An insert of the row that a team has already, by those columns that may be set.
async fn copy_of(admin: &Client, table: &str, about: &Table, team: TeamId) -> String {
    let row = format!("select to_jsonb(t)::text from {table} t where team_id = {team} limit 1");
    let row: String = admin.query_one(&row, &[]).await.unwrap().get(0);
    let columns = about.insert.join(", ");
    let row = row.replace('\'', "''");
    format!(
        "insert into {table} ({columns})
         select {columns} from jsonb_populate_record(null::{table}, '{row}')"
    )
}

#[tokio::test]
async fn the_role_of_requests_may_do_this_and_nothing_else() {
    let app = App::start().await;
    let admin = app.sql().await;
    let mut found = Vec::new();
    for (table, about) in privileges(&admin, "tap_app").await {
        let hidden: Vec<_> =
            about.columns.iter().filter(|column| !about.select.contains(column)).collect();
        let select = match (about.select.len(), hidden.is_empty()) {
            (0, _) => String::new(),
            (_, true) => "select".to_owned(),
            _ => format!("select but {hidden:?}"),
        };
        let insert = if about.insert == about.columns {
            "insert".to_owned()
        } else {
            about.insert.join(" ")
        };
        let update = about.update.join(" ");
        let delete = if about.delete { "delete" } else { "" };
        found.push(format!("{table}: {select} | {insert} | {update} | {delete}"));
    }
    let expected = [
        "api_keys: select but [\"key_hash\"] | insert | name scopes queries_per_hour expires_at revoked_at rotated_at expires_at_before | ",
        "consents: select | insert | dialog_id customer_hash | ",
        "coupons: select | insert | updated_at archived_at version couponcode code_key category title description merchant store_lat store_long store_city store_phone store_state store_street store_zip published_at expire_at tag_ids max_redemptions max_per_subject disabled metadata redeemed released | delete",
        "customers: select | insert | customer_id erased_at changed_at replica_id | ",
        "dialog_settings: select | insert | purpose policy_version policy_hash redact_after_days delete_after_days | ",
        "dialogs: select | insert | customer_hash granted consent_id refused_at changed_at replica_id | delete",
        "erasures: select | insert |  | ",
        "event_duplicates: select | insert |  | ",
        "event_errors: select | insert | replayed_as became_event_id became_error_id | ",
        "event_heads: select | insert | revision | ",
        "event_inbox: select | insert | attempts next_try_at | delete",
        "event_outcomes: select | insert | stored duplicate rejected | ",
        "event_quarters: select | insert | events | ",
        "event_received: select | insert | events | ",
        "event_settings: select | insert | unknown_types unknown_sessions | ",
        "event_types: select | insert | updated_at schema version | delete",
        "events: select | insert | session_id category name bytes data occurred_at updated_at deleted_at version | ",
        "imports: select | insert |  | ",
        "key_events: select | insert |  | ",
        "messages: select | insert | text redacted_at | delete",
        "redemption_quarters: select | insert | redemptions | ",
        "redemptions: select | insert | released_at | ",
        "requests: select | insert | answer | ",
        "secrets:  |  |  | ",
        "sessions: select | insert | tap_id | ",
        "tags: select | insert | label kind destination_url archived_at | ",
        "tap_days: select |  |  | ",
        "taps: select |  |  | ",
        "teams: select |  | tags_revision | ",
        "user_books: select | insert | users | ",
        "users: select | insert | names phone gender email phone_hash email_hash import_id updated_at | delete",
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn without_a_team_no_row_of_any_table_is_seen_made_or_changed() {
    let (app, teams) = two_teams().await;
    let admin = app.sql().await;
    let tables = privileges(&admin, "tap_app").await;
    // Never said, forgotten, and what no team has.
    for nobody in [None, Some(""), Some("0"), Some("-1"), Some("2147483647")] {
        let role = as_app(&app, nobody).await;
        for (table, about) in &tables {
            let filled = format!("select from {table}");
            assert!(rows(&admin, &filled).await.unwrap() > 0, "{table} is empty");
            let seen =
                rows(&role, &format!("select {} from {table}", about.select.join(", "))).await;
            let seen = if about.select.is_empty() { rows(&role, &filled).await } else { seen };
            let expected = if about.select.is_empty() { Err(DENIED) } else { Ok(0) };
            assert_eq!(seen, expected, "select of {table} for {nobody:?}");
            if !about.insert.is_empty() {
                for team in &teams {
                    let copy = copy_of(&admin, table, about, team.id).await;
                    assert_eq!(rows(&role, &copy).await, Err(DENIED), "{copy} for {nobody:?}");
                }
            }
            for column in &about.update {
                let update = format!("update {table} set {column} = {column}");
                assert_eq!(rows(&role, &update).await, Ok(0), "{update} for {nobody:?}");
            }
            if about.delete {
                assert_eq!(rows(&role, &format!("delete from {table}")).await, Ok(0), "{table}");
            }
        }
    }
    // What is no number is no team either.
    let role = as_app(&app, Some("acme")).await;
    assert_eq!(rows(&role, "select from tags").await, Err(SqlState::INVALID_TEXT_REPRESENTATION));
}

#[tokio::test]
async fn with_a_team_its_own_rows_are_seen_made_and_changed_and_no_others() {
    let (app, teams) = two_teams().await;
    let admin = app.sql().await;
    let tables = privileges(&admin, "tap_app").await;
    let mut walked = BTreeSet::new();
    for (team, other) in [(&teams[0], &teams[1]), (&teams[1], &teams[0])] {
        let role = as_app(&app, Some(&team.id.to_string())).await;
        for (table, about) in tables.iter().filter(|(_, about)| !about.select.is_empty()) {
            let own = format!("from {table} where team_id = {}", team.id);
            let theirs = format!("from {table} where team_id = {}", other.id);
            let count = rows(&admin, &format!("select {own}")).await.unwrap();
            assert!(count > 0, "{table} is empty");
            let columns = about.select.join(", ");
            assert_eq!(rows(&role, &format!("select {columns} from {table}")).await, Ok(count));
            assert_eq!(rows(&role, &format!("select {columns} {theirs}")).await, Ok(0), "{table}");
            walked.insert(table.as_str());

            for column in &about.columns {
                let seen = rows(&role, &format!("select {column} from {table}")).await;
                let may = about.select.contains(column);
                assert_eq!(seen, if may { Ok(count) } else { Err(DENIED) }, "{table}.{column}");
                let update = format!("update {table} set {column} = default");
                if !about.update.contains(column) {
                    assert_eq!(rows(&role, &update).await, Err(DENIED), "{update}");
                    continue;
                }
                let update = format!("update {table} set {column} = {column}");
                assert_eq!(rows(&role, &update).await, Ok(count), "{update}");
                let of_theirs = format!("{update} where team_id = {}", other.id);
                assert_eq!(rows(&role, &of_theirs).await, Ok(0), "{of_theirs}");
            }
            assert!(
                !about.update.contains(&"team_id".to_owned()),
                "rows of {table} can be given away"
            );

            if about.insert.is_empty() {
                let insert = format!("insert into {table} default values");
                assert_eq!(rows(&role, &insert).await, Err(DENIED), "{insert}");
            } else {
                // What is there already is in the way of its own team: it got as far as that.
                let copy = copy_of(&admin, table, about, team.id).await;
                assert_eq!(rows(&role, &copy).await, Err(SqlState::UNIQUE_VIOLATION), "{copy}");
                let copy = copy_of(&admin, table, about, other.id).await;
                assert_eq!(rows(&role, &copy).await, Err(DENIED), "{copy}");
            }
            let deleted = rows(&role, &format!("delete {own}")).await;
            let may = match table.as_str() {
                // What was redeemed stays, and no message is without its dialog.
                "coupons" | "dialogs" => Err(SqlState::FOREIGN_KEY_VIOLATION),
                _ if about.delete => Ok(count),
                _ => Err(DENIED),
            };
            assert_eq!(deleted, may, "{table}");
            let deleted = rows(&role, &format!("delete {theirs}")).await;
            assert_eq!(deleted, if about.delete { Ok(0) } else { Err(DENIED) }, "{table}");
            assert_eq!(rows(&role, &format!("truncate {table}")).await, Err(DENIED), "{table}");
        }
    }
    assert_eq!(walked.len(), tables.len() - 1, "all but the secrets: {walked:?}");
}

#[tokio::test]
async fn what_was_done_to_keys_cannot_be_taken_back_and_no_request_reads_a_hash() {
    let (app, teams) = two_teams().await;
    let admin = app.sql().await;
    let may = privileges(&admin, "tap_app").await;
    let events = &may["key_events"];
    assert!(events.update.is_empty() && !events.delete, "{events:?}");
    // Old ones are dropped in the end, by the service itself, which changes none.
    let system = privileges(&admin, "tap_system").await;
    assert!(system["key_events"].update.is_empty() && system["key_events"].delete);

    let readers = async |table: &str, column: &str| -> Vec<String> {
        let roles = "select rolname::text from pg_roles
            where has_column_privilege(oid, $1::text, $2::text, 'select')
                and not rolsuper and rolname not like 'pg\\_%'
            order by 1";
        let roles = admin.query(roles, &[&table, &column]).await.unwrap();
        roles.iter().map(|row| row.get(0)).collect()
    };
    // Whose the tables are, but nobody logs in as that.
    assert_eq!(readers("api_keys", "key_hash").await, ["tap_owner", "tap_system"]);
    assert_eq!(readers("secrets", "secret").await, ["tap_owner", "tap_system"]);
    assert!(
        !app.scalar::<bool>("select rolcanlogin from pg_roles where rolname = 'tap_owner'").await
    );
    let role = as_app(&app, Some(&teams[0].id.to_string())).await;
    for sly in [
        "select api_keys from api_keys",
        "select to_jsonb(k) from api_keys k",
        "select count(*) from api_keys where key_hash is not null",
        "select 1 from api_keys order by key_hash",
        "update api_keys set name = encode(key_hash, 'hex')",
        "update api_keys set name = name where key_hash is not null",
        "insert into api_keys select * from api_keys",
        "insert into requests (team_id, request_id, fingerprint, answer)
         select team_id, key_id, key_hash, '' from api_keys",
    ] {
        assert_eq!(rows(&role, sly).await, Err(DENIED), "{sly}");
    }
}

#[tokio::test]
async fn nobody_changes_a_decision_or_a_receipt_and_what_spans_teams_reads_no_message() {
    let (app, teams) = two_teams().await;
    let admin = app.sql().await;
    let may = privileges(&admin, "tap_app").await;
    // That a customer is erased takes both ids out of a decision.
    assert_eq!(may["consents"].update, ["dialog_id", "customer_hash"]);
    assert!(!may["consents"].delete && !may["customers"].delete);
    assert!(may["erasures"].update.is_empty() && !may["erasures"].delete);

    let system = privileges(&admin, "tap_system").await;
    let mut seen = Vec::new();
    let tables = ["customers", "consents", "dialogs", "messages", "erasures", "dialog_settings"];
    for table in tables {
        let Table { select, insert, update, delete, .. } = &system[table];
        assert!(insert.is_empty() && update.is_empty() && !delete, "{table}");
        seen.push(format!("{table}: {}", select.join(" ")));
    }
    let expected = [
        "customers: team_id customer_hash erased_at changed_at replica_id",
        "consents: ",
        "dialogs: team_id dialog_id changed_at replica_id",
        "messages: ",
        "erasures: ",
        "dialog_settings: team_id redact_after_days delete_after_days",
    ];
    assert_eq!(seen, expected);

    // What keeps messages that nobody agreed to out is no statement, but the table.
    let role = as_app(&app, Some(&teams[0].id.to_string())).await;
    for (statement, state) in [
        ("update dialogs set granted = false", SqlState::FOREIGN_KEY_VIOLATION),
        ("update dialogs set customer_hash = null", SqlState::FOREIGN_KEY_VIOLATION),
        ("update consents set dialog_id = null", SqlState::CHECK_VIOLATION),
        (
            "insert into messages
             select team_id, gen_random_uuid(), dialog_id, customer_hash, false, null, 'en', 'a', now()
             from dialogs where not granted",
            SqlState::CHECK_VIOLATION,
        ),
        (
            "insert into messages
             select team_id, gen_random_uuid(), dialog_id, customer_hash, true, null, 'en', 'a', now()
             from dialogs where not granted and customer_hash is not null",
            SqlState::FOREIGN_KEY_VIOLATION,
        ),
        (
            "insert into messages
             select team_id, gen_random_uuid(), dialog_id, sha256('another'), true, null, 'en', 'a', now()
             from dialogs where granted",
            SqlState::FOREIGN_KEY_VIOLATION,
        ),
    ] {
        assert_eq!(rows(&role, statement).await, Err(state), "{statement}");
    }
}

#[tokio::test]
async fn nothing_leads_round_the_tables() {
    let (app, teams) = two_teams().await;
    let admin = app.sql().await;
    let role = as_app(&app, Some(&teams[0].id.to_string())).await;
    // Partitions are reached through their parents, where the policies are.
    let partitions =
        "select oid::regclass::text from pg_class where relispartition and relkind = 'r'";
    let partitions = admin.query(partitions, &[]).await.unwrap();
    assert!(!partitions.is_empty());
    for partition in partitions.iter().map(|row| row.get::<_, String>(0)) {
        for statement in ["select from", "delete from", "truncate"] {
            let statement = format!("{statement} {partition}");
            assert_eq!(rows(&role, &statement).await, Err(DENIED), "{statement}");
        }
    }
    // What runs with the rights of its owner is not for requests; nor are there views, which do.
    let functions =
        "select oid::regprocedure::text, has_function_privilege('tap_app', oid, 'execute')
        from pg_proc where pronamespace = 'public'::regnamespace and prosecdef";
    let functions = admin.query(functions, &[]).await.unwrap();
    assert!(!functions.is_empty());
    for function in functions {
        assert!(!function.get::<_, bool>(1), "requests may call {}", function.get::<_, String>(0));
    }
    let views = "select count(*) from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('v', 'm', 'f')";
    assert_eq!(app.scalar::<i64>(views).await, 0);
    for escape in
        ["set role tap_owner", "set session authorization tap_system", "set row_security = off"]
    {
        role.batch_execute("begin").await.unwrap();
        let escaped = role.batch_execute(escape).await;
        let seen = role.query("select from tags where team_id = 2", &[]).await;
        // Without row-level security there is an error in the place of rows.
        assert!(escaped.is_err() || seen.is_err(), "{escape}");
        role.batch_execute("rollback").await.unwrap();
    }
}
