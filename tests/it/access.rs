//! Who may call what: keys, tokens, scopes, teams, and that no RPC was forgotten.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{SubsecRound as _, TimeDelta};
use serde_json::{Value, json};
use tap_analytics::{
    access::{
        self,
        model::Scope,
        store::load_signing,
        token::{BrowserToken, Signers},
    },
    auth::Route,
    clock::Clock,
    ids::{KeyId, TeamId},
    proto::tap_v1::QueryTapsRequest,
    quotas::Class,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    app::{
        App, Options, OwnPostgres, Team,
        chats::Chats,
        eventually,
        offers::Offers,
        people::{People, upload, users},
        query,
        rpcs::{Rpc, rpcs},
        store,
        visits::Visits,
        wires::{Call, Door, Outcome, Wire},
    },
    conformance::sample,
};

/// Calls a method with an empty message and these headers; all that matters is who is let in.
async fn call(app: &App, path: &str, headers: &[(&'static str, &str)]) -> Result<(), Status> {
    let channel =
        Channel::from_shared(format!("http://{}", app.grpc)).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let mut request = tonic::Request::new(());
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    // Of a stream the head says whether it was opened.
    grpc.server_streaming(request, path.parse().unwrap(), codec).await.map(|_| ())
}

fn reason(result: Result<(), Status>) -> (Code, String) {
    let status = result.unwrap_err();
    let details = status.get_error_details();
    (status.code(), details.error_info().map(|info| info.reason.clone()).unwrap_or_default())
}

/// Asks by gRPC, past Envoy, with these headers.
async fn ask(app: &App, rpc: &Rpc, request: &Value, headers: &[(&'static str, &str)]) -> Outcome {
    let mut call = Call::new(rpc, request);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.outcome(&Door::straight(app), Wire::Grpc, 1).await
}

/// Asks for what is in order, from an address of its own, as wrong keys are counted by the address.
async fn ask_with(app: &App, rpc: &Rpc, header: (&'static str, &str), nth: usize) -> Outcome {
    let from = format!("198.51.100.{nth}");
    ask(app, rpc, &sample(rpc), &[header, ("x-forwarded-for", &from)]).await
}

fn refusal(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

fn missing_scope() -> (Code, String) {
    refusal(Code::PermissionDenied, "SCOPE_MISSING")
}

/// Whether a call was looked at: whatever came of it then.
fn is_let_in(outcome: &Outcome) -> bool {
    let doors = ["API_KEY", "TOKEN", "SCOPE_MISSING", "TOO_MANY_WRONG_KEYS"];
    outcome.error.is_none() || !doors.iter().any(|door| outcome.failure().reason.starts_with(door))
}

/// Keys of a team that are good for nothing.
struct Dead {
    revoked: String,
    expired: String,
    mistyped: String,
    unknown: String,
}

impl Dead {
    async fn of(app: &App, team: &Team) -> Self {
        let ended = Clock::system().now() - TimeDelta::hours(1);
        let revoked = app.key(team.id, None, Scope::ALL, None).await;
        let id = app.key_id(team.id, &revoked).await;
        access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap();
        let who = Rpc::of("ApiKeys/WhoAmI");
        eventually("the key is revoked", || async {
            ask_with(app, &who, ("x-api-key", &revoked), 1).await.code == Code::Unauthenticated
        })
        .await;
        Self {
            revoked,
            expired: app.key(team.id, None, Scope::ALL, Some(ended)).await,
            mistyped: format!("{}!", &team.key[..team.key.len() - 1]),
            unknown: access::key::ApiKey::generate(team.id).unwrap().reveal().to_owned(),
        }
    }
}

#[tokio::test]
async fn every_rpc_has_a_row_and_refuses_whoever_lacks_what_it_asks() {
    let app = App::start().await;
    let team = app.reporting_team("acme", &["a"]).await;
    let Dead { revoked, expired, mistyped, unknown } = Dead::of(&app, &team).await;
    // For each scope a key that has this one alone, and one that has all others.
    let mut keys = HashMap::new();
    for scope in Scope::ALL {
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|s| s != scope).collect();
        let alone = app.key(team.id, None, &[*scope], None).await;
        keys.insert(*scope, (alone, app.key(team.id, None, &others, None).await));
    }
    let powerless = app.key(team.id, None, &[], None).await;

    for rpc in rpcs() {
        let name = rpc.name();
        assert!(!matches!(rpc.route(), Route::Public | Route::Unknown), "{name} has no row");
        for headers in
            [&[][..], &[("authorization", "Basic eDp5")], &[("authorization", &team.key)]]
        {
            let missing = ask(&app, &rpc, &sample(&rpc), headers).await;
            let expected = refusal(Code::Unauthenticated, "API_KEY_MISSING");
            assert_eq!(missing.refusal(), expected, "{name}");
        }
        // Nothing tells one from another.
        let mut invalid = Vec::new();
        for (nth, key) in ["", "tap", "tap_1_x_y", &mistyped, &unknown, &revoked].iter().enumerate()
        {
            invalid.push(ask_with(&app, &rpc, ("x-api-key", key), nth).await);
            let bearer = format!("Bearer {key}");
            invalid.push(ask_with(&app, &rpc, ("authorization", &bearer), nth).await);
        }
        let expected = refusal(Code::Unauthenticated, "API_KEY_INVALID");
        assert_eq!(invalid[0].refusal(), expected, "{name}");
        assert!(invalid.iter().all(|outcome| *outcome == invalid[0]), "{name}: {invalid:?}");
        let late = ask_with(&app, &rpc, ("x-api-key", &expired), 7).await;
        assert_eq!(late.refusal(), refusal(Code::Unauthenticated, "API_KEY_EXPIRED"), "{name}");

        let unable: Vec<&String> = match rpc.route().scope() {
            Some(scope) => vec![&keys[&scope].1, &powerless],
            None => vec![],
        };
        for key in unable {
            let unable = ask_with(&app, &rpc, ("x-api-key", key), 8).await;
            assert_eq!(unable.refusal(), missing_scope(), "{name}");
            let scope = rpc.route().scope().unwrap().as_str();
            let details = unable.error.as_ref().unwrap()["details"].to_string();
            assert!(details.contains(&format!("\"scope\":\"{scope}\"")), "{name}: {details}");
        }
        let able = match rpc.route() {
            // They need what others are for, besides.
            _ if matches!(
                name.as_str(),
                "Coupons/QueryFunnel"
                    | "Dialogs/EraseCustomer"
                    | "Dialogs/UpdateDialogSettings"
                    | "Imports/PatchImportRow"
            ) =>
            {
                &team.key
            }
            Route::Key(scope, _) | Route::InTurn(scope, _) | Route::ByTag(scope, _) => {
                &keys[&scope].0
            }
            // Of what a token can be made.
            Route::Own(_) => &keys[&Scope::TapsRead].0,
            _ => &powerless,
        };
        let able = ask_with(&app, &rpc, ("x-api-key", able), 9).await;
        assert!(is_let_in(&able), "{name}: {able:?}");
    }
}

#[test]
fn every_rpc_asks_for_its_scope_and_its_quota() {
    use Class::{Change, Query, Read, Stream, Write};
    use Route::{AnyKey, ByTag, InTurn, Key, Own};
    use Scope::{
        CouponsRead, CouponsRedeem, CouponsWrite, DialogsRead, DialogsWrite, EventsRead,
        EventsWrite, ImportsRead, ImportsWrite, KeysManage, TagsWrite, TapsRead, TapsWrite,
    };
    let expected = [
        ("ApiKeys/CreateApiKey", Key(KeysManage, Change)),
        ("ApiKeys/ListApiKeys", Key(KeysManage, Read)),
        ("ApiKeys/GetApiKey", Key(KeysManage, Read)),
        ("ApiKeys/UpdateApiKey", Key(KeysManage, Change)),
        ("ApiKeys/RotateApiKey", Key(KeysManage, Change)),
        ("ApiKeys/RevokeApiKey", Key(KeysManage, Change)),
        ("ApiKeys/ListKeyEvents", Key(KeysManage, Read)),
        ("ApiKeys/IssueToken", Own(Change)),
        ("ApiKeys/WhoAmI", AnyKey),
        ("ApiKeys/GetQuota", AnyKey),
        ("TapAnalytics/QueryTaps", ByTag(TapsRead, Query)),
        ("TapAnalytics/RecordTaps", Key(TapsWrite, Write)),
        ("TapAnalytics/IngestTaps", Key(TapsWrite, Stream)),
        ("TapAnalytics/StreamTaps", ByTag(TapsRead, Stream)),
        ("TapAnalytics/WatchTaps", ByTag(TapsRead, Stream)),
        ("Tags/CreateTag", Key(TagsWrite, Change)),
        ("Tags/BatchCreateTags", Key(TagsWrite, Change)),
        ("Tags/GetTag", Key(TapsRead, Read)),
        ("Tags/ListTags", Key(TapsRead, Read)),
        ("Tags/UpdateTag", Key(TagsWrite, Change)),
        ("Tags/ArchiveTag", Key(TagsWrite, Change)),
        ("Tags/GetTagQrCode", Key(TapsRead, Read)),
        ("Events/CreateSession", Key(EventsWrite, Write)),
        ("Events/GetSession", Key(EventsRead, Read)),
        ("Events/ListSessions", Key(EventsRead, Read)),
        ("Events/RecordEvents", Key(EventsWrite, Write)),
        ("Events/GetReceipt", Key(EventsWrite, Read)),
        ("Events/GetEvent", Key(EventsRead, Read)),
        ("Events/ListEvents", Key(EventsRead, Read)),
        ("Events/QueryEvents", Key(EventsRead, Query)),
        ("Events/StreamEvents", Key(EventsRead, Stream)),
        ("Events/UpdateEvent", Key(EventsWrite, Change)),
        ("Events/ReplaceEvent", Key(EventsWrite, Change)),
        ("Events/DeleteEvent", Key(EventsWrite, Change)),
        ("Events/ListEventErrors", Key(EventsRead, Read)),
        ("Events/GetEventError", Key(EventsRead, Read)),
        ("Events/GroupEventErrors", Key(EventsRead, Read)),
        ("Events/ReplayEventErrors", Key(EventsWrite, Change)),
        ("Events/PutEventType", Key(EventsWrite, Change)),
        ("Events/GetEventType", Key(EventsRead, Read)),
        ("Events/ListEventTypes", Key(EventsRead, Read)),
        ("Events/DeleteEventType", Key(EventsWrite, Change)),
        ("Events/GetIngestLedger", Key(EventsRead, Read)),
        ("Events/GetEventSettings", Key(EventsRead, Read)),
        ("Events/UpdateEventSettings", Key(EventsWrite, Change)),
        ("Coupons/CreateCoupon", Key(CouponsWrite, Change)),
        ("Coupons/BatchCreateCoupons", Key(CouponsWrite, Change)),
        ("Coupons/GenerateCoupons", Key(CouponsWrite, Change)),
        ("Coupons/GetCoupon", Key(CouponsRead, Read)),
        ("Coupons/ListCoupons", Key(CouponsRead, Read)),
        ("Coupons/UpdateCoupon", Key(CouponsWrite, Change)),
        ("Coupons/DeleteCoupon", Key(CouponsWrite, Change)),
        ("Coupons/CheckCoupon", Key(CouponsRedeem, Read)),
        ("Coupons/RedeemCoupon", Key(CouponsRedeem, Write)),
        ("Coupons/ReleaseRedemption", Key(CouponsRedeem, Write)),
        ("Coupons/GetRedemption", Key(CouponsWrite, Read)),
        ("Coupons/ListRedemptions", Key(CouponsWrite, Read)),
        ("Coupons/QueryRedemptions", Key(CouponsRead, Query)),
        ("Coupons/QueryFunnel", Key(CouponsRead, Query)),
        ("Dialogs/RecordMessage", Key(DialogsWrite, Write)),
        ("Dialogs/SetConsent", Key(DialogsWrite, Write)),
        ("Dialogs/WithdrawConsent", Key(DialogsWrite, Write)),
        ("Dialogs/ListMessages", Key(DialogsRead, Read)),
        ("Dialogs/ListConsents", Key(DialogsRead, Read)),
        ("Dialogs/EraseCustomer", Key(DialogsWrite, Change)),
        ("Dialogs/ExportCustomer", Key(DialogsRead, Read)),
        ("Dialogs/ListErasures", Key(DialogsRead, Read)),
        ("Dialogs/GetDialogSettings", Key(DialogsRead, Read)),
        ("Dialogs/UpdateDialogSettings", Key(DialogsWrite, Change)),
        ("Imports/UploadImport", InTurn(ImportsWrite, Write)),
        ("Imports/GetImport", Key(ImportsRead, Read)),
        ("Imports/ListImports", Key(ImportsRead, Read)),
        ("Imports/WatchImport", Key(ImportsRead, Stream)),
        ("Imports/ListImportRows", Key(ImportsRead, Read)),
        ("Imports/PatchImportRow", InTurn(ImportsWrite, Change)),
        ("Imports/GetImportReport", InTurn(ImportsRead, Read)),
        ("Imports/CommitImport", InTurn(ImportsWrite, Change)),
        ("Imports/CancelImport", Key(ImportsWrite, Change)),
        ("Imports/ListUsers", InTurn(ImportsRead, Read)),
        ("Imports/GetUser", Key(ImportsRead, Read)),
        ("Imports/DeleteUser", InTurn(ImportsWrite, Change)),
    ];
    let rows: HashMap<String, Route> = rpcs().iter().map(|rpc| (rpc.name(), rpc.route())).collect();
    let expected: HashMap<String, Route> =
        expected.iter().map(|(name, route)| ((*name).to_owned(), *route)).collect();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn whoever_only_takes_messages_erases_nobody_and_changes_no_settings() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let takes = app.key(team.id, None, &[Scope::DialogsWrite], None).await;
    let looks = app.key(team.id, None, &[Scope::DialogsRead], None).await;
    let both = [Scope::DialogsRead, Scope::DialogsWrite];
    let both = app.key(team.id, None, &both, None).await;
    let say = json!({"customerId": "c", "dialogId": "d", "text": "a", "language": "en"});
    for (name, request) in
        [("RecordMessage", say), ("SetConsent", json!({"dialogId": "d", "granted": true}))]
    {
        let rpc = Rpc::of(&format!("Dialogs/{name}"));
        let taken = ask(&app, &rpc, &request, &[("x-api-key", &takes)]).await;
        assert_eq!(taken.code, Code::Ok, "{taken:?}");
    }
    let requests = [
        ("EraseCustomer", json!({"customerId": "c", "validateOnly": true})),
        ("EraseCustomer", json!({"customerId": "c"})),
        ("UpdateDialogSettings", json!({"purpose": "p"})),
    ];
    for (name, request) in &requests {
        let rpc = Rpc::of(&format!("Dialogs/{name}"));
        for (key, lacks) in [(&takes, "dialogs:read"), (&looks, "dialogs:write")] {
            let refused = ask(&app, &rpc, request, &[("x-api-key", key)]).await;
            assert_eq!(refused.refusal(), missing_scope(), "{name}");
            let details = refused.error.as_ref().unwrap()["details"].to_string();
            assert!(details.contains(&format!("\"scope\":\"{lacks}\"")), "{name}: {details}");
        }
    }
    for (table, rows) in [("messages", 1), ("erasures", 0), ("dialog_settings", 0)] {
        let count = format!("select count(*) from {table}");
        assert_eq!(app.scalar::<i64>(&count).await, rows, "{table}");
    }
    for (name, request) in &requests {
        let rpc = Rpc::of(&format!("Dialogs/{name}"));
        let done = ask(&app, &rpc, request, &[("x-api-key", &both)]).await;
        assert_eq!(done.code, Code::Ok, "{name}: {done:?}");
    }
    assert_eq!(app.scalar::<i64>("select count(*) from messages").await, 0);
}

/// Signs tokens as an installation does, whatever they say.
struct Forge {
    signers: Signers,
    clock: Clock,
}

impl Forge {
    async fn of(app: &App, clock: &Clock) -> Self {
        let signers = Signers::new(load_signing(&app.db).await.unwrap());
        Self { signers, clock: clock.clone() }
    }

    fn sign(&self, team: TeamId, key: KeyId, seconds: i64, scopes: &[Scope]) -> String {
        let now = self.clock.now();
        let expires_at = now + TimeDelta::seconds(seconds);
        let token = BrowserToken { team, key, expires_at, scopes: scopes.to_vec(), tags: None };
        self.signers.sign(&token, now).unwrap()
    }
}

/// A token of a key, by request.
async fn issue(app: &App, key: &str, tags: &[&str]) -> String {
    let rpc = Rpc::of("ApiKeys/IssueToken");
    let outcome = ask(app, &rpc, &json!({"tagUids": tags}), &[("x-api-key", key)]).await;
    outcome.answer()["token"].as_str().unwrap().to_owned()
}

/// What a token is let in for.
fn by_token(route: Route, reads: bool, limited: bool) -> Result<(), (Code, String)> {
    let not_enough = || refusal(Code::PermissionDenied, "TOKEN_NOT_ENOUGH");
    match route {
        Route::Own(_) => Err(not_enough()),
        Route::Key(scope, _) | Route::InTurn(scope, _) | Route::ByTag(scope, _)
            if !(reads && scope.reads()) =>
        {
            Err(missing_scope())
        }
        Route::Key(..) | Route::InTurn(..) if limited => Err(not_enough()),
        Route::AnyKey | Route::Key(..) | Route::InTurn(..) | Route::ByTag(..) => Ok(()),
        Route::Public | Route::Unknown => panic!("no row"),
    }
}

#[tokio::test]
async fn a_token_reads_what_it_says_and_never_more_by_any_rpc() {
    let clock = Clock::fixed(Clock::system().now());
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let team = app.reporting_team("acme", &["a", "b"]).await;
    let id = app.key_id(team.id, &team.key).await;
    let writer = app.key(team.id, None, &[Scope::TapsWrite, Scope::KeysManage], None).await;
    let writer = app.key_id(team.id, &writer).await;
    let forge = Forge::of(&app, &clock).await;
    // What customers said, and who is a user, is nothing for a browser, not even to read.
    let not_for_browsers = [
        Scope::TapsWrite,
        Scope::TagsWrite,
        Scope::EventsWrite,
        Scope::DialogsRead,
        Scope::DialogsWrite,
        Scope::ImportsRead,
        Scope::ImportsWrite,
        Scope::KeysManage,
    ];
    // Whether it reads, and whether it is limited to tags.
    let tokens = [
        (issue(&app, &team.key, &[]).await, true, false),
        (issue(&app, &team.key, &["a"]).await, true, true),
        (forge.sign(team.id, id, 60, &[]), false, false),
        (forge.sign(team.id, id, 60, &not_for_browsers), false, false),
        (forge.sign(team.id, id, 60, Scope::ALL), true, false),
        // What its key may not do it may not either.
        (forge.sign(team.id, writer, 60, Scope::ALL), false, false),
    ];
    for rpc in rpcs() {
        for (nth, (token, reads, limited)) in tokens.iter().enumerate() {
            let name = format!("{} by the {nth}. token", rpc.name());
            let bearer = format!("Bearer {token}");
            for header in [("x-api-key", token.as_str()), ("authorization", &bearer)] {
                let outcome = ask_with(&app, &rpc, header, nth).await;
                match by_token(rpc.route(), *reads, *limited) {
                    Ok(()) => assert!(is_let_in(&outcome), "{name}: {outcome:?}"),
                    Err(refused) => assert_eq!(outcome.refusal(), refused, "{name}"),
                }
            }
        }
    }
    // One that is limited to other tags: what it asks for is not there, as if it were nobody's.
    let other = issue(&app, &team.key, &["b"]).await;
    let mut asked = 0;
    for rpc in rpcs().into_iter().filter(|rpc| matches!(rpc.route(), Route::ByTag(..))) {
        let of = |uid: &str| match rpc.name().as_str() {
            "TapAnalytics/StreamTaps" => json!({"tagUids": [uid]}),
            "TapAnalytics/WatchTaps" => {
                let mut request = sample(&rpc);
                request["query"]["tagUids"] = json!([uid]);
                request
            }
            "TapAnalytics/QueryTaps" => {
                let mut request = sample(&rpc);
                request["tagUids"] = json!([uid]);
                request
            }
            name => panic!("{name}: say where it names tags"),
        };
        let headers = [("x-api-key", other.as_str())];
        assert_eq!(ask(&app, &rpc, &of("b"), &headers).await.code, Code::Ok, "{}", rpc.name());
        let theirs = ask(&app, &rpc, &of("a"), &headers).await;
        assert_eq!(theirs.refusal(), refusal(Code::NotFound, "TAG_NOT_FOUND"), "{}", rpc.name());
        let nobodys = ask(&app, &rpc, &of("z"), &headers).await;
        assert_same(&in_other_words(&nobodys, "z", "a"), &theirs, &rpc.name());
        asked += 1;
    }
    assert_eq!(asked, 3);
}

/// What is left of a quota is another number after each call; all else has to be the same.
fn assert_same(one: &Outcome, other: &Outcome, what: &str) {
    let one = Outcome { headers: other.headers.clone(), ..one.clone() };
    assert_eq!(&one, other, "{what}");
}

/// An outcome with another word in the place of one that is quoted.
fn in_other_words(outcome: &Outcome, word: &str, other: &str) -> Outcome {
    let mut outcome = outcome.clone();
    if let Some(error) = &mut outcome.error {
        let text = error.to_string();
        let quoted = |word: &str| format!("\\\"{word}\\\"");
        *error = serde_json::from_str(&text.replace(&quoted(word), &quoted(other))).unwrap();
    }
    outcome
}

#[tokio::test]
async fn a_token_that_has_ended_or_was_changed_is_refused_by_every_rpc() {
    // To the second, as in tokens.
    let clock = Clock::fixed(Clock::system().now().trunc_subsecs(0));
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let other = app.reporting_team("other", &["a"]).await;
    let id = app.key_id(team.id, &team.key).await;
    let forge = Forge::of(&app, &clock).await;
    let Dead { revoked, expired, .. } = Dead::of(&app, &team).await;
    let (revoked, expired) = (
        forge.sign(team.id, app.key_id(team.id, &revoked).await, 60, Scope::ALL),
        forge.sign(team.id, app.key_id(team.id, &expired).await, 60, Scope::ALL),
    );
    let token = issue(&app, &team.key, &[]).await;
    let [head, claims, signature] = *token.split('.').collect::<Vec<_>>() else { panic!() };
    let theirs = issue(&app, &other.key, &[]).await;
    let their_claims = theirs.split('.').nth(1).unwrap();
    let none = "tap_1_eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0";
    let invalid = [
        revoked,
        format!("{head}.{claims}.{}", &signature[..signature.len() - 2]),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        format!("{head}.{their_claims}.{signature}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        token.replace("tap_1_", "tap_2_"),
        token.replace("tap_1_", ""),
        token.replace("tap_1_", "tap_01_"),
        format!("{token}.{signature}"),
        format!("{token}="),
        // Signed by us, and nobody's: of another team's key, of no key.
        forge.sign(other.id, id, 60, Scope::ALL),
        forge.sign(team.id, KeyId(uuid::Uuid::from_u128(1)), 60, Scope::ALL),
    ];
    let ended =
        [forge.sign(team.id, id, 0, Scope::ALL), forge.sign(team.id, id, -3_600, Scope::ALL)];
    for rpc in rpcs() {
        let name = rpc.name();
        let mut same = Vec::new();
        for (nth, token) in invalid.iter().enumerate() {
            same.push(ask_with(&app, &rpc, ("x-api-key", token), nth).await);
            let bearer = format!("Bearer {token}");
            same.push(ask_with(&app, &rpc, ("authorization", &bearer), nth).await);
        }
        let expected = refusal(Code::Unauthenticated, "API_KEY_INVALID");
        assert_eq!(same[0].refusal(), expected, "{name}");
        assert!(same.iter().all(|outcome| *outcome == same[0]), "{name}: {same:?}");
        for token in &ended {
            let late = ask_with(&app, &rpc, ("x-api-key", token), 100).await;
            assert_eq!(late.refusal(), refusal(Code::Unauthenticated, "TOKEN_EXPIRED"), "{name}");
        }
        let late = ask_with(&app, &rpc, ("x-api-key", &expired), 100).await;
        assert_eq!(late.refusal(), refusal(Code::Unauthenticated, "API_KEY_EXPIRED"), "{name}");
    }
    // It is good until its last moment.
    let who = Rpc::of("ApiKeys/WhoAmI");
    let last = forge.sign(team.id, id, 60, Scope::ALL);
    clock.set(clock.now() + TimeDelta::seconds(59));
    assert_eq!(ask_with(&app, &who, ("x-api-key", &last), 100).await.code, Code::Ok);
    clock.set(clock.now() + TimeDelta::seconds(1));
    let late = ask_with(&app, &who, ("x-api-key", &last), 100).await;
    assert_eq!(late.refusal(), refusal(Code::Unauthenticated, "TOKEN_EXPIRED"));
}

/// What comes of it when something of another team is named.
enum Named {
    /// As if it were nobody's.
    NotFound(&'static str, Value),
    /// An answer, which says the same of what is nobody's.
    Answer(Value),
    /// An answer, about the caller's own.
    Own(Value),
}

/// What an RPC is asked for of another team: `<tag>`, `<key>` and `<request>` are its.
fn of_another_team(rpc: &Rpc) -> Named {
    use Named::{Answer, NotFound, Own};
    let day = json!({"startDate": "2023-05-01", "endDate": "2023-05-01", "tagUids": ["<tag>"]});
    let tag = |more: Value| {
        let mut request = json!({"uid": "<tag>"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        NotFound("TAG_NOT_FOUND", request)
    };
    match rpc.name().as_str() {
        "TapAnalytics/QueryTaps" => NotFound("TAG_NOT_FOUND", day),
        "TapAnalytics/WatchTaps" => NotFound("TAG_NOT_FOUND", json!({"query": day})),
        "TapAnalytics/StreamTaps" | "ApiKeys/IssueToken" => {
            NotFound("TAG_NOT_FOUND", json!({"tagUids": ["<tag>"]}))
        }
        "TapAnalytics/RecordTaps" => Answer(json!({"taps": [{"tagUid": "<tag>"}]})),
        "TapAnalytics/IngestTaps" => Answer(json!({"sequence": 1, "taps": [{"tagUid": "<tag>"}]})),
        "Tags/GetTag" | "Tags/ArchiveTag" | "Tags/GetTagQrCode" => tag(json!({})),
        "Tags/UpdateTag" => tag(json!({"label": "mine", "archived": true})),
        "Tags/ListTags" => Answer(json!({"text": "<tag>", "state": "ANY"})),
        // A uid is of its team, and so is the id of a request.
        "Tags/CreateTag" => Own(json!({"tag": {"uid": "<tag>"}, "requestId": "<request>"})),
        "Tags/BatchCreateTags" => {
            Own(json!({"tags": [{"uid": "<tag>-4"}], "requestId": "<request of tags>"}))
        }
        "ApiKeys/CreateApiKey" => {
            Own(json!({"name": "a", "scopes": ["taps:read"], "requestId": "<request of keys>"}))
        }
        "ApiKeys/GetApiKey" | "ApiKeys/RevokeApiKey" => {
            NotFound("KEY_NOT_FOUND", json!({"id": "<key>"}))
        }
        "ApiKeys/UpdateApiKey" => NotFound(
            "KEY_NOT_FOUND",
            json!({"id": "<key>", "name": "mine", "scopes": ["taps:read"]}),
        ),
        "ApiKeys/RotateApiKey" => {
            NotFound("KEY_NOT_FOUND", json!({"id": "<key>", "requestId": "<request of rotation>"}))
        }
        "ApiKeys/ListKeyEvents" => Answer(json!({"keyId": "<key>"})),
        "ApiKeys/ListApiKeys" => Own(json!({"includeEnded": true})),
        "ApiKeys/WhoAmI" | "ApiKeys/GetQuota" => Own(json!({})),
        name => {
            let of_events = name.strip_prefix("Events/").and_then(event_of_another_team);
            let of_coupons = name.strip_prefix("Coupons/").and_then(coupon_of_another_team);
            let of_dialogs = name.strip_prefix("Dialogs/").and_then(dialog_of_another_team);
            let of_imports = name.strip_prefix("Imports/").and_then(import_of_another_team);
            of_events
                .or(of_coupons)
                .or(of_dialogs)
                .or(of_imports)
                .unwrap_or_else(|| panic!("{name}: say what of another team it can be asked for"))
        }
    }
}

/// What an RPC of events is asked for of another team, by its `<session>`, its `<event>` and so on.
fn event_of_another_team(name: &str) -> Option<Named> {
    use Named::{Answer, NotFound, Own};
    let event = |more: Value| {
        let mut request = json!({"eventId": "<event>", "etag": "*"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        NotFound("EVENT_NOT_FOUND", request)
    };
    let whole = json!({
        "sessionId": "<session>", "category": "a", "name": "b", "data": {"c": 1},
        "occurredAt": "2023-01-01T00:00:00Z",
    });
    let kind = || json!({"category": "<category>", "name": "theirs"});
    Some(match name {
        // An id is of its team.
        "CreateSession" => Own(json!({"id": "<session>"})),
        "RecordEvents" => Own(json!({"events": [{
            "event_id": "<event>", "session_id": "<session>", "category": "a", "name": "b",
            "data": {"c": 1}, "occurred_at": "2023-01-01T00:00:00Z",
        }]})),
        "PutEventType" => {
            Own(json!({"category": "<category>", "name": "theirs", "schema": {"minProperties": 9}}))
        }
        "UpdateEventSettings" => Own(json!({"unknownSessions": "CREATE"})),
        "ReplayEventErrors" => Own(json!({"requestId": "<request of events>"})),
        "ListSessions" => Answer(json!({"tapId": "<tap>"})),
        "GetSession" => NotFound("SESSION_NOT_FOUND", json!({"id": "<session>"})),
        "GetReceipt" => NotFound("RECEIPT_NOT_FOUND", json!({"id": "<receipt>"})),
        "GetEvent" | "DeleteEvent" => NotFound("EVENT_NOT_FOUND", json!({"eventId": "<event>"})),
        "UpdateEvent" => event(json!({"name": "mine"})),
        "ReplaceEvent" => event(whole),
        "ListEvents" => Answer(json!({"sessionId": "<session>"})),
        // With a token of the place, which is of this second.
        "StreamEvents" => Own(json!({"sessionId": "<session>"})),
        "QueryEvents" => Own(json!({"startDate": "2023-01-01", "endDate": "2023-01-01"})),
        "ListEventErrors" | "GroupEventErrors" => {
            Answer(json!({"filter": {"fingerprint": "<fingerprint>"}}))
        }
        "GetEventError" => NotFound("EVENT_ERROR_NOT_FOUND", json!({"id": "<error>"})),
        "GetEventType" | "DeleteEventType" => NotFound("EVENT_TYPE_NOT_FOUND", kind()),
        "ListEventTypes" => Answer(json!({"category": "<category>"})),
        "GetIngestLedger" => {
            Answer(json!({"start": "2020-01-01T00:00:00Z", "end": "2199-01-01T00:00:00Z"}))
        }
        "GetEventSettings" => Answer(json!({})),
        _ => return None,
    })
}

/// The same of coupons, by their `<coupon>`, their `<code>` and their `<redemption>`.
fn coupon_of_another_team(name: &str) -> Option<Named> {
    use Named::{Answer, NotFound, Own};
    let coupon = |more: Value| {
        let mut request = json!({"id": "<coupon>"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        NotFound("COUPON_NOT_FOUND", request)
    };
    let redemption = || NotFound("REDEMPTION_NOT_FOUND", json!({"id": "<redemption>"}));
    let day = json!({"startDate": "2023-01-01", "endDate": "2150-01-01"});
    let of_coupon = |name: &str| {
        let mut request = day.clone();
        request[name] = if name == "couponIds" { json!(["<coupon>"]) } else { json!("<coupon>") };
        NotFound("COUPON_NOT_FOUND", request)
    };
    Some(match name {
        // A code is of its team, and so is the id of a request.
        "CreateCoupon" => Own(json!({
            "coupon": {"couponcode": "<code>", "title": "ours"}, "requestId": "<request of coupons>",
        })),
        "BatchCreateCoupons" => {
            Own(json!({"coupons": [{"couponcode": "<code>-TOO", "title": "ours"}]}))
        }
        "GenerateCoupons" => Own(json!({"coupon": {"title": "ours"}, "count": 1})),
        "GetCoupon" | "DeleteCoupon" | "CheckCoupon" => coupon(json!({})),
        "UpdateCoupon" => coupon(json!({"coupon": {"title": "ours"}})),
        "RedeemCoupon" => coupon(json!({"subject": "s", "requestId": "<request of redemption>"})),
        "ListCoupons" => Answer(json!({"couponcode": "<code>"})),
        "ReleaseRedemption" | "GetRedemption" => redemption(),
        "ListRedemptions" => Answer(json!({"couponId": "<coupon>"})),
        "QueryRedemptions" => of_coupon("couponIds"),
        "QueryFunnel" => of_coupon("couponId"),
        _ => return None,
    })
}

/// The same of dialogs, by their `<customer>`, their `<dialog>`, one that is `<pending>`, and whom they have `<erased>`.
fn dialog_of_another_team(name: &str) -> Option<Named> {
    use Named::{Answer, Own};
    Some(match name {
        // Customers and dialogs are of their team, whatever they are called, and so is the id of a request.
        "RecordMessage" => Own(json!({
            "customerId": "<customer>", "dialogId": "<dialog>", "text": "ours", "language": "en",
            "requestId": "<request of message>",
        })),
        "SetConsent" => Own(json!({"dialogId": "<dialog>", "granted": false})),
        "WithdrawConsent" => Own(json!({"dialogId": "<pending>"})),
        "ListMessages" | "ListConsents" => {
            Answer(json!({"customerId": "<customer>", "dialogId": "<dialog>"}))
        }
        "ExportCustomer" => Answer(json!({"customerId": "<customer>"})),
        "ListErasures" => Answer(json!({"customerId": "<erased>"})),
        "EraseCustomer" => {
            Own(json!({"customerId": "<customer>", "requestId": "<request of erasure>"}))
        }
        "GetDialogSettings" => Answer(json!({})),
        "UpdateDialogSettings" => Own(json!({"purpose": "ours", "deleteAfterDays": 1})),
        _ => return None,
    })
}

/// The same of imports, by one of theirs that is ready, `<import>`, one that is `<committed>`, and their `<user>`.
fn import_of_another_team(name: &str) -> Option<Named> {
    use Named::{Answer, NotFound, Own};
    let import = |more: Value| {
        let mut request = json!({"importId": "<import>"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        NotFound("IMPORT_NOT_FOUND", request)
    };
    Some(match name {
        // The same people, who are others in another team.
        "UploadImport" => Own(upload("USERS", "text/csv", users(1..5, "Ours").as_bytes())),
        "GetImport" | "WatchImport" | "ListImportRows" | "CancelImport" => import(json!({})),
        "PatchImportRow" => import(json!({"row": 2, "skipped": true})),
        "GetImportReport" => import(json!({"file": "report.csv", "all": true})),
        "CommitImport" => import(json!({"mode": "VALID_ONLY", "requestId": "<request of import>"})),
        "ListImports" => Own(json!({})),
        "ListUsers" => Answer(json!({"importId": "<committed>"})),
        "GetUser" | "DeleteUser" => NotFound("USER_NOT_FOUND", json!({"userId": "<user>"})),
        _ => return None,
    })
}

/// A request with the words for what it names.
fn filled(request: &Value, words: &[(&'static str, String)]) -> Value {
    let mut text = request.to_string();
    for (name, word) in words {
        text = text.replace(&format!("<{name}>"), word);
    }
    serde_json::from_str(&text).unwrap()
}

/// All that is stored of a team, but when its keys were used.
async fn stored(app: &App, team: TeamId) -> Vec<(String, String)> {
    let sql = app.sql().await;
    let tables = sql.query(crate::schema::TABLES, &[]).await.unwrap();
    let mut all = Vec::new();
    for table in tables.iter().map(|row| row.get::<_, String>(0)).filter(|table| table != "secrets")
    {
        let rows = format!(
            "select coalesce(string_agg(row, ' ' order by row), '')
             from (select (to_jsonb(t) - 'last_used_at')::text as row from {table} t where team_id = {team}) r"
        );
        all.push((table, sql.query_one(&rows, &[]).await.unwrap().get(0)));
    }
    assert!(
        all.iter().all(|(_, rows): &(_, String)| !rows.is_empty()),
        "something is empty: {all:?}"
    );
    all
}

/// A team has all that there is: taps, requests with ids, tags and keys made by these.
async fn have_everything(app: &App, team: &Team, owned: &[(&'static str, String)]) {
    let they = [("x-api-key", team.key.as_str())];
    for (name, request) in [
        ("TapAnalytics/RecordTaps", json!({"taps": [{"tagUid": "theirs"}]})),
        ("Tags/CreateTag", json!({"tag": {"uid": "theirs-3"}, "requestId": "<request>"})),
        (
            "Tags/BatchCreateTags",
            json!({"tags": [{"uid": "theirs-4"}], "requestId": "<request of tags>"}),
        ),
        (
            "ApiKeys/CreateApiKey",
            json!({"name": "their name", "scopes": ["taps:read"], "requestId": "<request of keys>"}),
        ),
        ("ApiKeys/RotateApiKey", json!({"id": "<key>", "requestId": "<request of rotation>"})),
        (
            "Events/ReplayEventErrors",
            json!({"errorIds": ["<error>"], "requestId": "<request of events>"}),
        ),
        (
            "Coupons/CreateCoupon",
            json!({"coupon": {"couponcode": "<code>-3", "title": "x"}, "requestId": "<request of coupons>"}),
        ),
        (
            "Coupons/RedeemCoupon",
            json!({"id": "<coupon>", "subject": "s", "requestId": "<request of redemption>"}),
        ),
        (
            "Dialogs/RecordMessage",
            json!({
                "customerId": "<customer>", "dialogId": "<dialog>", "text": "their text",
                "language": "sv", "requestId": "<request of message>",
            }),
        ),
        (
            "Dialogs/EraseCustomer",
            json!({"customerId": "<erased>", "requestId": "<request of erasure>"}),
        ),
        ("Imports/CommitImport", json!({"importId": "<next>", "requestId": "<request of import>"})),
    ] {
        let made = ask(app, &Rpc::of(name), &filled(&request, owned), &they).await;
        assert_eq!(made.code, Code::Ok, "{made:?}");
    }
}

/// Waits until no event waits but for those that wait for ever.
async fn settled(app: &App) {
    eventually("all events are settled", || async {
        let waiting = "select count(*) from event_inbox where next_try_at < '2199-01-01'";
        app.scalar::<i64>(waiting).await == 0
    })
    .await;
}

#[tokio::test]
async fn nothing_of_another_team_is_to_be_had_by_any_rpc() {
    let app = App::start().await;
    let ours = app.reporting_team("acme", &["a"]).await;
    let theirs = app.reporting_team("rival", &["theirs"]).await;
    let their_key = app.key(theirs.id, None, Scope::ALL, None).await;
    let their_key = app.key_id(theirs.id, &their_key).await.0.to_string();
    let visits = Visits::of(&app, theirs.id, &theirs.key, 2).await;
    let offers = Offers::of(&app, &theirs.key, 2).await;
    let chats = Chats::of(&app, &theirs.key, 2).await;
    let people = People::of(&app, &theirs.key).await;
    let things = [
        ("tag", "theirs"),
        ("key", &their_key),
        ("tap", &visits.tap),
        ("session", &visits.session),
        ("event", &visits.event),
        ("receipt", &visits.receipt),
        ("error", &visits.error),
        ("fingerprint", &visits.fingerprint),
        ("category", &visits.category),
        ("coupon", &offers.coupon),
        ("code", &offers.code),
        ("redemption", &offers.redemption),
        ("customer", &chats.customer),
        ("dialog", &chats.dialog),
        ("pending", &chats.pending),
        ("erased", &chats.erased),
        ("import", &people.import),
        ("next", &people.next),
        ("committed", &people.committed),
        ("user", &people.user),
    ]
    .map(|(name, word)| (name, word.to_owned()));
    let requests = [
        "",
        " of tags",
        " of keys",
        " of rotation",
        " of events",
        " of coupons",
        " of redemption",
        " of message",
        " of erasure",
        " of import",
    ];
    let requests = (1..).zip(requests).map(|(n, of)| {
        let name: &'static str = format!("request{of}").leak();
        (name, uuid::Uuid::from_u128(n).to_string())
    });
    let requests: Vec<_> = requests.collect();
    let owned = [&things[..], &requests].concat();
    have_everything(&app, &theirs, &owned).await;
    settled(&app).await;
    let all = async || {
        let imports = held_imports(&app, &theirs.key, &people).await;
        (stored(&app, theirs.id).await, held(&app, &theirs.key, &chats).await, imports)
    };
    let before = all().await;
    // What nobody has, of the same length.
    let nobodys = things.clone().map(|(name, _)| match name {
        "tag" => (name, "nobody".to_owned()),
        "category" => (name, "nobodys things".to_owned()),
        "fingerprint" => (name, "0".repeat(32)),
        "code" => (name, "NOBODYS-CODE".to_owned()),
        "customer" => (name, "nobody-customer-2".to_owned()),
        "dialog" => (name, "nobody-dialog-2".to_owned()),
        "pending" => (name, "nobody-pending-2".to_owned()),
        "erased" => (name, "nobody-erased-2".to_owned()),
        _ => (name, uuid::Uuid::from_u128(9).to_string()),
    });
    let nobodys = [&nobodys[..], &requests].concat();
    let words = things.iter().map(|(_, word)| word.as_str());
    let secrets: Vec<&str> = words
        .chain(["rival", "Label of theirs", "their name", "their title", "their subject", "tap_2_"])
        .chain(["their text", "their purpose", "their policy", &chats.message, &chats.consent])
        .chain([chats.waiting.as_str(), &chats.receipt, "Uwase Theirs", "mail.example.com"])
        .collect();

    let we = [("x-api-key", ours.key.as_str())];
    let mut rpcs = rpcs();
    // First what looks: after what makes there is something of our own.
    rpcs.sort_by_key(|rpc| matches!(of_another_team(rpc), Named::Own(_)));
    for rpc in rpcs {
        let name = rpc.name();
        let (request, not_found, same) = match of_another_team(&rpc) {
            Named::NotFound(reason, request) => (request, Some(reason), true),
            Named::Answer(request) => (request, None, true),
            Named::Own(request) => (request, None, false),
        };
        let outcome = ask(&app, &rpc, &filled(&request, &owned), &we).await;
        match not_found {
            Some(reason) => {
                assert_eq!(outcome.refusal(), refusal(Code::NotFound, reason), "{name}");
            }
            None => assert_eq!(outcome.code, Code::Ok, "{name}: {outcome:?}"),
        }
        if same {
            let nobodys = ask(&app, &rpc, &filled(&request, &nobodys), &we).await;
            let nobodys = unsigned(&in_other_words(&nobodys, "nobody", "theirs"));
            assert_same(&nobodys, &unsigned(&outcome), &name);
        }
        let said = format!("{outcome:?}").replace("no such tag: \\\"theirs\\\"", "");
        // What we make by the same name.
        let made: &[&str] = match name.as_str() {
            "Tags/CreateTag" | "Tags/BatchCreateTags" => &["theirs"],
            "Events/PutEventType" => &["theirs", &visits.category],
            "Events/CreateSession" => &[&visits.session],
            "Coupons/CreateCoupon" | "Coupons/BatchCreateCoupons" => &[&offers.code],
            "Dialogs/SetConsent" => &[&chats.dialog],
            "Dialogs/WithdrawConsent" => &[&chats.pending],
            _ => &[],
        };
        for secret in secrets.iter().filter(|secret| !made.contains(secret)) {
            assert!(!said.contains(secret), "{name} tells of {secret}: {said}");
        }
        assert_eq!(all().await, before, "after {name}");
    }
    // Nothing was recorded for their tag; and the tag that we made is ours, too.
    let ours_tapped = format!("select count(*) from taps where team_id = {}", ours.id);
    assert_eq!(app.scalar::<i64>(&ours_tapped).await, 0);
    let again = json!({"tags": [{"uid": "theirs", "label": "x"}], "skipExisting": true});
    let again = ask(&app, &Rpc::of("Tags/BatchCreateTags"), &again, &we).await;
    assert_eq!(again.answer()["existingUids"], json!(["theirs"]));
    // And the event of the same id is ours, too: it was not taken for theirs, sent again.
    settled(&app).await;
    let ours_happened = format!("select count(*) from events where team_id = {}", ours.id);
    assert_eq!(app.scalar::<i64>(&ours_happened).await, 1);
    assert_eq!(stored(&app, theirs.id).await, before.0);
}

/// An outcome without the place of the next page: that is signed with what was asked.
fn unsigned(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    for answer in outcome.answers.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(token) = answer.get_mut("nextPageToken") {
            assert!(!token.as_str().unwrap().is_empty());
            *token = json!("signed");
        }
    }
    outcome
}

/// All that a team has of a customer and of one who was erased, what waits too.
async fn held(app: &App, key: &str, chats: &Chats) -> Vec<Value> {
    let mut held = Vec::new();
    let mut look = async |name: &str, request: Value| {
        let rpc = Rpc::of(&format!("Dialogs/{name}"));
        let outcome = ask(app, &rpc, &request, &[("x-api-key", key)]).await;
        held.push(outcome.answer().clone());
        outcome.answer()["nextPageToken"].as_str().unwrap_or_default().to_owned()
    };
    for customer in [&chats.customer, &chats.erased] {
        let mut page = String::new();
        loop {
            let request = json!({"customerId": customer, "pageToken": page});
            page = look("ExportCustomer", request).await;
            if page.is_empty() {
                break;
            }
        }
        look("ListErasures", json!({ "customerId": customer })).await;
    }
    for dialog in [&chats.dialog, &chats.pending] {
        look("ListMessages", json!({ "dialogId": dialog })).await;
        look("ListConsents", json!({ "dialogId": dialog })).await;
    }
    look("GetDialogSettings", json!({})).await;
    held
}

/// All that a team has of its imports, and not when they end: that is later after each look.
async fn held_imports(app: &App, key: &str, people: &People) -> Vec<Value> {
    let mut held = Vec::new();
    for id in [&people.import, &people.committed, &people.next] {
        for name in ["GetImport", "ListImportRows"] {
            let rpc = Rpc::of(&format!("Imports/{name}"));
            let outcome = ask(app, &rpc, &json!({ "importId": id }), &[("x-api-key", key)]).await;
            let mut answer = outcome.answer().clone();
            answer.as_object_mut().unwrap().remove("expiresAt");
            held.push(answer);
        }
    }
    held
}

#[tokio::test]
async fn customers_and_dialogs_of_one_name_are_others_in_another_team() {
    let app = App::start().await;
    let ours = app.reporting_team("acme", &["a"]).await;
    let theirs = app.reporting_team("rival", &["a"]).await;
    let (mine, chats) =
        (Chats::of(&app, &ours.key, 1).await, Chats::of(&app, &theirs.key, 1).await);
    assert_eq!((&mine.customer, &mine.dialog), (&chats.customer, &chats.dialog));
    let both =
        async || (held(&app, &ours.key, &chats).await, held(&app, &theirs.key, &chats).await);
    let (before, their_before) = both().await;
    let ids = |of: &Chats| [&of.message, &of.waiting, &of.consent, &of.receipt].map(String::clone);
    for (held, own, others) in [(&before, &mine, &chats), (&their_before, &chats, &mine)] {
        let said = json!(held).to_string();
        for (id, other) in ids(own).iter().zip(&ids(others)) {
            assert!(said.contains(id) && !said.contains(other), "{said}");
        }
    }
    // A customer whom one team has erased is another team's still, and so is what they say and decide.
    let say = |customer: &str, dialog: &str| json!({"customerId": customer, "dialogId": dialog, "text": "a", "language": "en"});
    for (name, request, place, expected) in [
        ("EraseCustomer", json!({"customerId": chats.customer}), "/counts/messages", json!(2.0)),
        ("RecordMessage", say(&chats.customer, &chats.dialog), "/state", json!("ERASED")),
        ("RecordMessage", say(&chats.customer, "new"), "/state", json!("ERASED")),
        (
            "WithdrawConsent",
            json!({"dialogId": chats.dialog}),
            "/consent/dialogId",
            json!(chats.dialog),
        ),
        (
            "SetConsent",
            json!({"dialogId": chats.pending, "granted": true}),
            "/consent/dialogId",
            json!(chats.pending),
        ),
        ("UpdateDialogSettings", json!({"purpose": "b"}), "/settings/purpose", json!("b")),
    ] {
        let rpc = Rpc::of(&format!("Dialogs/{name}"));
        let done = ask(&app, &rpc, &request, &[("x-api-key", &ours.key)]).await;
        assert_eq!(done.answer().pointer(place), Some(&expected), "{name}: {done:?}");
        let (after, their_after) = both().await;
        assert_ne!(after, before, "after {name}");
        assert_eq!(their_after, their_before, "after {name}");
    }
    let by = [("x-api-key", theirs.key.as_str())];
    let record = Rpc::of("Dialogs/RecordMessage");
    for (dialog, state) in [(&chats.dialog, Some("STORED")), (&chats.pending, None)] {
        let said = ask(&app, &record, &say(&chats.customer, dialog), &by).await;
        assert_eq!(said.answer().get("state").and_then(Value::as_str), state, "{said:?}");
    }
}

#[tokio::test]
async fn a_path_that_is_not_ours_says_so_to_callers_with_a_key_only() {
    let app = App::start().await;
    let team = app.team("acme").await;
    for path in ["/tap.v1.TapAnalytics/DropTaps", "/nothing"] {
        assert_eq!(reason(call(&app, path, &[]).await).0, Code::Unauthenticated);
        let answer = reason(call(&app, path, &[("x-api-key", &team.key)]).await);
        assert_eq!(answer, (Code::Unimplemented, "UNKNOWN_METHOD".to_owned()));
    }
}

#[tokio::test]
async fn a_key_works_in_either_header_and_x_api_key_wins() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let path = "/tap.v1.TapAnalytics/QueryTaps";
    let bearer = format!("bearer {}", team.key);
    let let_in = |result| reason(result).0 == Code::InvalidArgument;
    assert!(let_in(call(&app, path, &[("x-api-key", &team.key)]).await));
    assert!(let_in(call(&app, path, &[("authorization", &bearer)]).await));
    let both = call(&app, path, &[("x-api-key", "wrong"), ("authorization", &bearer)]).await;
    assert_eq!(reason(both).0, Code::Unauthenticated);
    // Envoy must see a key as the server does: it chooses the replica by it.
    let odd = [
        format!("BEARER {}", team.key),
        format!("Bearer  {}", team.key),
        format!("Bearer {} ", team.key),
    ];
    for value in odd {
        assert_eq!(
            reason(call(&app, path, &[("authorization", &value)]).await).0,
            Code::Unauthenticated,
            "{value}"
        );
    }
    let twice = [("x-api-key", team.key.as_str()), ("x-api-key", "tap_2_x")];
    assert_eq!(reason(call(&app, path, &twice).await).0, Code::Unauthenticated);
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_a_second_also_where_answers_are_kept() {
    let app = App::start().await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap();

    let id = app.key_id(team.id, &team.key).await;
    assert!(access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap());
    let revoked = Instant::now();
    while client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() {
        assert!(revoked.elapsed() < Duration::from_secs(1), "a second later the key still works");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // For good: also after the keys were loaded again.
    let status = client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_key_is_refused_from_the_instant_at_which_it_expires() {
    let clock = Clock::fixed(chrono_now() + TimeDelta::hours(1));
    let app = App::start_with(Options { clock: clock.clone(), ..Options::default() }).await;
    let team = app.team("acme").await;
    let ends = clock.now() + TimeDelta::hours(1);
    let key = app.key(team.id, None, &[Scope::TapsRead], Some(ends)).await;
    let mut client = app.client(&key);
    eventually("the key is known", || {
        let mut client = client.clone();
        async move { client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() }
    })
    .await;
    clock.set(ends - TimeDelta::microseconds(1));
    client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap();
    clock.set(ends);
    let status = client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap_err();
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "API_KEY_EXPIRED");
}

fn chrono_now() -> chrono::DateTime<chrono::Utc> {
    Clock::system().now()
}

#[tokio::test]
async fn a_team_sees_its_own_numbers_only() {
    let app = App::start().await;
    let (acme, other) = (app.team("acme").await, app.team("other").await);
    let ours = app.tags(acme.id, &["same-uid"]).await[0];
    let theirs = app.tags(other.id, &["same-uid"]).await[0];
    app.write(acme.id, &[crate::app::tap(ours, "2023-05-01T12:00:00Z")]).await;
    app.write(other.id, &[crate::app::tap(theirs, "2023-05-01T12:00:00Z")]).await;
    let three = (0..3).map(|_| crate::app::tap(theirs, "2023-05-01T12:00:00Z")).collect::<Vec<_>>();
    app.write(other.id, &three).await;

    for (team, taps) in [(&acme, 1.0), (&other, 4.0)] {
        let asked = QueryTapsRequest {
            tag_uids: vec!["same-uid".to_owned()],
            group_by: 1,
            ..query("2023-05-01", "2023-05-01", "HOUR")
        };
        // The first call counts, the second one remembers.
        for _ in 0..2 {
            let answer =
                app.client(&team.key).query_taps(asked.clone()).await.unwrap().into_inner();
            assert_eq!((answer.total, answer.groups[0].total), (taps, taps), "{}", team.slug);
        }
    }
}

#[tokio::test]
async fn known_keys_are_let_in_while_the_store_is_down_and_unknown_ones_are_not() {
    let postgres = OwnPostgres::start().await;
    let app = App::on(store(&postgres.url), Options::default()).await;
    let team = app.team("acme").await;
    let mut client = app.client(&team.key);
    postgres.stop();

    let status = client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "STORE_UNAVAILABLE");
    assert!(details.retry_info().is_some());
    assert!(!status.message().contains("postgres"), "{}", status.message());
    let unknown = access::key::ApiKey::generate(team.id).unwrap();
    let status = app
        .client(unknown.reveal())
        .query_taps(query("2023-01-01", "2023-01-02", "DAY"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    postgres.start_again();
    eventually("queries are answered again", || {
        let mut client = client.clone();
        async move { client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_ok() }
    })
    .await;
    // A key that is revoked after the outage is noticed at once: the listener is back.
    let id = app.key_id(team.id, &team.key).await;
    access::command::revoke_key(&app.db, &Clock::system(), team.id, id).await.unwrap();
    eventually("the key is refused", || {
        let mut client = client.clone();
        async move { client.query_taps(query("2023-01-01", "2023-01-02", "DAY")).await.is_err() }
    })
    .await;
}
