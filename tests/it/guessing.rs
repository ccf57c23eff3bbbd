//! Guessing: what is another team's, or another installation's, is as if it were nobody's, and takes as long;
//! and whoever tries one key after another is refused for a while.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use reqwest::Client;
use serde_json::{Value, json};
use tap_analytics::{
    access::{
        key::ApiKey,
        model::Scope,
        store::load_signing,
        token::{BrowserToken, Signers, SigningSecret},
    },
    clock::Clock,
    ids::TeamId,
};
use tonic::Code;
use uuid::Uuid;

use crate::app::{
    App, Options, Team,
    chats::Chats,
    connect,
    envoy::Envoy,
    new_database,
    offers::Offers,
    people::People,
    report::{record, report},
    rpcs::Rpc,
    store,
    visits::Visits,
    wires::{Call, Door, Outcome, WIRES, Wire, http_outcome},
};

async fn ask(app: &App, rpc: &Rpc, request: &Value, key: &str, from: &str) -> Outcome {
    ask_at(&Door::straight(app), rpc, request, key, from).await
}

async fn ask_at(door: &Door, rpc: &Rpc, request: &Value, key: &str, from: &str) -> Outcome {
    let call = Call::new(rpc, request).key(Some(key)).header("x-forwarded-for", from);
    call.outcome(door, Wire::Grpc, 1).await
}

/// What somebody could hold of a team, of which nothing is of use to another.
struct Held {
    key_id: String,
    page_of_keys: String,
    page_of_events: String,
    page_of_tags: String,
    resume: String,
    key: String,
    token: String,
    visits: Visits,
    page_of_sessions: String,
    page_of_visits: String,
    page_of_errors: String,
    page_of_types: String,
    page_of_minutes: String,
    resume_events: String,
    offers: Offers,
    page_of_coupons: String,
    page_of_redemptions: String,
    chats: Chats,
    page_of_messages: String,
    page_of_consents: String,
    page_of_erasures: String,
    page_of_export: String,
    people: People,
    page_of_imports: String,
    page_of_users: String,
}

impl Held {
    async fn by(app: &App, team: &Team, number: u64) -> Self {
        let text = async |name: &str, request: Value, place: &str| {
            let outcome = ask(app, &Rpc::of(name), &request, &team.key, "192.0.2.1").await;
            let text = outcome.answer().pointer(place).unwrap_or_else(|| panic!("{outcome:?}"));
            text.as_str().unwrap().to_owned()
        };
        let one = || json!({"pageSize": 1});
        let new = json!({"name": "a", "scopes": ["taps:read"]});
        record(&mut app.client(&team.key), vec![report("a", crate::app::now())]).await;
        let day = json!({"startDate": "2023-01-01", "endDate": "2023-01-01"});
        let visits = Visits::of(app, team.id, &team.key, number).await;
        let offers = Offers::of(app, &team.key, number).await;
        let more = json!({"id": offers.coupon});
        ask(app, &Rpc::of("Coupons/RedeemCoupon"), &more, &team.key, "192.0.2.1").await;
        let chats = Chats::of(app, &team.key, number).await;
        let people = People::of(app, &team.key).await;
        Self {
            people,
            page_of_imports: text("Imports/ListImports", one(), "/nextPageToken").await,
            page_of_users: text("Imports/ListUsers", one(), "/nextPageToken").await,
            chats,
            page_of_messages: text("Dialogs/ListMessages", one(), "/nextPageToken").await,
            page_of_consents: text("Dialogs/ListConsents", one(), "/nextPageToken").await,
            page_of_erasures: text("Dialogs/ListErasures", one(), "/nextPageToken").await,
            page_of_export: text("Dialogs/ExportCustomer", export(""), "/nextPageToken").await,
            visits,
            offers,
            page_of_coupons: text("Coupons/ListCoupons", one(), "/nextPageToken").await,
            page_of_redemptions: text("Coupons/ListRedemptions", one(), "/nextPageToken").await,
            page_of_sessions: text("Events/ListSessions", one(), "/nextPageToken").await,
            page_of_visits: text("Events/ListEvents", one(), "/nextPageToken").await,
            page_of_errors: text("Events/ListEventErrors", one(), "/nextPageToken").await,
            page_of_types: text("Events/ListEventTypes", one(), "/nextPageToken").await,
            page_of_minutes: text("Events/GetIngestLedger", minutes(""), "/nextPageToken").await,
            resume_events: text("Events/StreamEvents", json!({}), "/hello/resumeToken").await,
            key_id: text("ApiKeys/CreateApiKey", new, "/apiKey/id").await,
            page_of_keys: text("ApiKeys/ListApiKeys", one(), "/nextPageToken").await,
            page_of_events: text("ApiKeys/ListKeyEvents", one(), "/nextPageToken").await,
            page_of_tags: text("Tags/ListTags", one(), "/nextPageToken").await,
            resume: text("TapAnalytics/QueryTaps", day, "/resumeToken").await,
            key: team.key.clone(),
            token: text("ApiKeys/IssueToken", json!({}), "/token").await,
        }
    }
}

/// A page of the whole ledger.
fn minutes(token: &str) -> Value {
    json!({
        "start": "2020-01-01T00:00:00Z", "end": "2199-01-01T00:00:00Z", "pageSize": 1, "pageToken": token,
    })
}

/// A page of what is held of a customer. Nobody has this one: an empty page is not the last.
fn export(token: &str) -> Value {
    json!({"customerId": "whoever", "pageToken": token})
}

/// Another installation, with other secrets under the same names, and a team of the same number.
async fn elsewhere(app: &App) -> (App, Team) {
    let store = store(&new_database().await);
    let sql = "update secrets set secret = sha256(secret)";
    connect(&store.database_url).await.batch_execute(sql).await.unwrap();
    let other = App::on(store, Options::default()).await;
    let names = "select string_agg(name, ' ' order by name) from secrets";
    assert_eq!(app.scalar::<String>(names).await, other.scalar::<String>(names).await);
    let team = other.reporting_team("acme", &["a", "b"]).await;
    (other, team)
}

/// A thing that is guessed: where it is put, what it is of others, and what it is of nobody.
struct Guess {
    rpc: &'static str,
    request: fn(&str) -> Value,
    others: Vec<String>,
    nobodys: String,
    refusal: (Code, &'static str),
}

/// With a key, another character at a place that is neither the first nor the last.
fn changed(text: &str) -> String {
    let at = text.len() / 2;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

fn guesses(theirs: &Held, away: &Held) -> Vec<Guess> {
    let bad = (Code::InvalidArgument, "INVALID_FIELDS");
    let missing = (Code::NotFound, "KEY_NOT_FOUND");
    let guess = |rpc, request, of: fn(&Held) -> &String, refusal| Guess {
        rpc,
        request,
        others: vec![of(theirs).clone(), of(away).clone()],
        nobodys: changed(of(away)),
        refusal,
    };
    let day = |token: &str| json!({"query": {"startDate": "2023-01-01", "endDate": "2023-01-01"}, "resumeToken": token});
    let page = |token: &str| json!({"pageSize": 1, "pageToken": token});
    let id = |id: &str| json!({"id": id});
    let mut all = vec![
        guess("ApiKeys/ListApiKeys", page, |held| &held.page_of_keys, bad),
        guess("ApiKeys/ListKeyEvents", page, |held| &held.page_of_events, bad),
        guess("Tags/ListTags", page, |held| &held.page_of_tags, bad),
        guess(
            "TapAnalytics/StreamTaps",
            |token| json!({"resumeToken": token}),
            |held| &held.resume,
            bad,
        ),
        guess("TapAnalytics/WatchTaps", day, |held| &held.resume, bad),
        guess("ApiKeys/GetApiKey", id, |held| &held.key_id, missing),
        guess("ApiKeys/RotateApiKey", id, |held| &held.key_id, missing),
        guess("ApiKeys/RevokeApiKey", id, |held| &held.key_id, missing),
        guess(
            "ApiKeys/UpdateApiKey",
            |id| json!({"id": id, "name": "b"}),
            |held| &held.key_id,
            missing,
        ),
    ];
    all.extend(guesses_of_events(guess));
    all.extend(guesses_of_coupons(guess));
    all.extend([
        guess("Dialogs/ListMessages", page, |held| &held.page_of_messages, bad),
        guess("Dialogs/ListConsents", page, |held| &held.page_of_consents, bad),
        guess("Dialogs/ListErasures", page, |held| &held.page_of_erasures, bad),
        guess("Dialogs/ExportCustomer", export, |held| &held.page_of_export, bad),
    ]);
    all.extend(guesses_of_imports(guess));
    for guess in &mut all {
        // Of an id another one is as good.
        if guess.refusal != bad {
            guess.nobodys = Uuid::from_u128(7).to_string();
        }
    }
    all
}

fn guesses_of_events(
    guess: impl Fn(&'static str, fn(&str) -> Value, fn(&Held) -> &String, (Code, &'static str)) -> Guess,
) -> Vec<Guess> {
    let bad = (Code::InvalidArgument, "INVALID_FIELDS");
    let missing = |reason| (Code::NotFound, reason);
    let page = |token: &str| json!({"pageSize": 1, "pageToken": token});
    let id = |id: &str| json!({"id": id});
    let event = |id: &str| json!({"eventId": id});
    let update = |id: &str| json!({"eventId": id, "etag": "*", "name": "b"});
    let replace = |id: &str| {
        json!({
            "eventId": id, "etag": "*", "sessionId": id, "category": "a", "name": "b",
            "data": {"c": 1}, "occurredAt": "2023-01-01T00:00:00Z",
        })
    };
    let kind = |etag: &str| json!({"category": "a", "name": "b", "schema": {}, "etag": etag});
    let of_category = |category: &str| json!({"category": category, "name": "theirs"});
    let (no_event, no_type) = (missing("EVENT_NOT_FOUND"), missing("EVENT_TYPE_NOT_FOUND"));
    vec![
        guess("Events/ListSessions", page, |held| &held.page_of_sessions, bad),
        guess("Events/ListEvents", page, |held| &held.page_of_visits, bad),
        guess("Events/ListEventErrors", page, |held| &held.page_of_errors, bad),
        guess("Events/ListEventTypes", page, |held| &held.page_of_types, bad),
        guess("Events/GetIngestLedger", minutes, |held| &held.page_of_minutes, bad),
        guess(
            "Events/StreamEvents",
            |token| json!({"resumeToken": token}),
            |held| &held.resume_events,
            bad,
        ),
        guess("Events/GetSession", id, |held| &held.visits.session, missing("SESSION_NOT_FOUND")),
        guess("Events/GetReceipt", id, |held| &held.visits.receipt, missing("RECEIPT_NOT_FOUND")),
        guess(
            "Events/GetEventError",
            id,
            |held| &held.visits.error,
            missing("EVENT_ERROR_NOT_FOUND"),
        ),
        guess("Events/GetEvent", event, |held| &held.visits.event, no_event),
        guess("Events/UpdateEvent", update, |held| &held.visits.event, no_event),
        guess("Events/ReplaceEvent", replace, |held| &held.visits.event, no_event),
        guess("Events/DeleteEvent", event, |held| &held.visits.event, no_event),
        guess("Events/GetEventType", of_category, |held| &held.visits.category, no_type),
        guess("Events/DeleteEventType", of_category, |held| &held.visits.category, no_type),
        guess(
            "Events/PutEventType",
            kind,
            |held| &held.visits.etag,
            (Code::Aborted, "ETAG_MISMATCH"),
        ),
    ]
}

fn guesses_of_coupons(
    guess: impl Fn(&'static str, fn(&str) -> Value, fn(&Held) -> &String, (Code, &'static str)) -> Guess,
) -> Vec<Guess> {
    let bad = (Code::InvalidArgument, "INVALID_FIELDS");
    let (no_coupon, no_redemption) =
        ((Code::NotFound, "COUPON_NOT_FOUND"), (Code::NotFound, "REDEMPTION_NOT_FOUND"));
    let page = |token: &str| json!({"pageSize": 1, "pageToken": token});
    let id = |id: &str| json!({"id": id});
    let update = |id: &str| json!({"id": id, "coupon": {"title": "b"}});
    let range =
        |id: &str| json!({"startDate": "2023-01-01", "endDate": "2150-01-01", "couponId": id});
    let ranges =
        |id: &str| json!({"startDate": "2023-01-01", "endDate": "2150-01-01", "couponIds": [id]});
    let coupon: fn(&Held) -> &String = |held| &held.offers.coupon;
    let redemption: fn(&Held) -> &String = |held| &held.offers.redemption;
    vec![
        guess("Coupons/ListCoupons", page, |held| &held.page_of_coupons, bad),
        guess("Coupons/ListRedemptions", page, |held| &held.page_of_redemptions, bad),
        guess("Coupons/GetCoupon", id, coupon, no_coupon),
        guess("Coupons/UpdateCoupon", update, coupon, no_coupon),
        guess("Coupons/DeleteCoupon", id, coupon, no_coupon),
        guess("Coupons/CheckCoupon", id, coupon, no_coupon),
        guess("Coupons/RedeemCoupon", id, coupon, no_coupon),
        guess("Coupons/QueryRedemptions", ranges, coupon, no_coupon),
        guess("Coupons/QueryFunnel", range, coupon, no_coupon),
        guess("Coupons/GetRedemption", id, redemption, no_redemption),
        guess("Coupons/ReleaseRedemption", id, redemption, no_redemption),
    ]
}

fn guesses_of_imports(
    guess: impl Fn(&'static str, fn(&str) -> Value, fn(&Held) -> &String, (Code, &'static str)) -> Guess,
) -> Vec<Guess> {
    let bad = (Code::InvalidArgument, "INVALID_FIELDS");
    let no_import = (Code::NotFound, "IMPORT_NOT_FOUND");
    let no_user = (Code::NotFound, "USER_NOT_FOUND");
    let page = |token: &str| json!({"pageSize": 1, "pageToken": token});
    let id = |id: &str| json!({"importId": id});
    let report = |id: &str| json!({"importId": id, "file": "report.csv"});
    let patch = |id: &str| json!({"importId": id, "row": 2, "skipped": true});
    let user = |id: &str| json!({"userId": id});
    let import: fn(&Held) -> &String = |held| &held.people.import;
    let committed: fn(&Held) -> &String = |held| &held.people.committed;
    let somebody: fn(&Held) -> &String = |held| &held.people.user;
    vec![
        guess("Imports/ListImports", page, |held| &held.page_of_imports, bad),
        guess("Imports/ListUsers", page, |held| &held.page_of_users, bad),
        guess("Imports/GetImport", id, import, no_import),
        guess("Imports/GetImport", id, committed, no_import),
        guess("Imports/WatchImport", id, import, no_import),
        guess("Imports/ListImportRows", id, import, no_import),
        guess("Imports/PatchImportRow", patch, import, no_import),
        guess("Imports/GetImportReport", report, import, no_import),
        guess("Imports/CommitImport", id, import, no_import),
        guess("Imports/CommitImport", id, committed, no_import),
        guess("Imports/CancelImport", id, import, no_import),
        guess("Imports/GetUser", user, somebody, no_user),
        guess("Imports/DeleteUser", user, somebody, no_user),
    ]
}

/// Two teams of one installation, and one of another.
struct Three {
    app: App,
    _away: App,
    ours: Team,
    ours_held: Held,
    theirs: Held,
    away: Held,
}

async fn three() -> Three {
    let app = App::start().await;
    let ours = app.reporting_team("acme", &["a", "b"]).await;
    let theirs = app.reporting_team("other", &["a", "b", "c"]).await;
    let (away, same_number) = elsewhere(&app).await;
    assert_eq!(ours.id, same_number.id);
    let (ours_held, theirs) = (Held::by(&app, &ours, 1).await, Held::by(&app, &theirs, 2).await);
    let held = Held::by(&away, &same_number, 3).await;
    Three { app, _away: away, ours, ours_held, theirs, away: held }
}

#[tokio::test]
async fn what_is_anothers_is_refused_as_what_is_nobodys() {
    let Three { app, ours, ours_held, theirs, away, .. } = three().await;
    let who = "192.0.2.1";
    for Guess { rpc: name, request, others, nobodys, refusal } in guesses(&theirs, &away) {
        let rpc = Rpc::of(name);
        let expected = ask(&app, &rpc, &request(&nobodys), &ours.key, who).await;
        assert_eq!(expected.refusal(), (refusal.0, refusal.1.to_owned()), "{name}");
        for other in others {
            let outcome = ask(&app, &rpc, &request(&other), &ours.key, who).await;
            assert_eq!(
                (&outcome.code, &outcome.error),
                (&expected.code, &expected.error),
                "{name}"
            );
        }
    }
    // Their own are good: it is not that they are old or broken.
    for (name, request) in [
        ("ApiKeys/ListApiKeys", json!({"pageSize": 1, "pageToken": ours_held.page_of_keys})),
        ("ApiKeys/ListKeyEvents", json!({"pageSize": 1, "pageToken": ours_held.page_of_events})),
        ("Tags/ListTags", json!({"pageSize": 1, "pageToken": ours_held.page_of_tags})),
        ("TapAnalytics/StreamTaps", json!({"resumeToken": ours_held.resume})),
        ("ApiKeys/GetApiKey", json!({"id": ours_held.key_id})),
        ("Coupons/ListCoupons", json!({"pageSize": 1, "pageToken": ours_held.page_of_coupons})),
        (
            "Coupons/ListRedemptions",
            json!({"pageSize": 1, "pageToken": ours_held.page_of_redemptions}),
        ),
        ("Dialogs/ListMessages", json!({"pageSize": 1, "pageToken": ours_held.page_of_messages})),
        ("Dialogs/ListConsents", json!({"pageSize": 1, "pageToken": ours_held.page_of_consents})),
        ("Dialogs/ListErasures", json!({"pageSize": 1, "pageToken": ours_held.page_of_erasures})),
        ("Dialogs/ExportCustomer", export(&ours_held.page_of_export)),
        ("Imports/ListImports", json!({"pageSize": 1, "pageToken": ours_held.page_of_imports})),
        ("Imports/ListUsers", json!({"pageSize": 1, "pageToken": ours_held.page_of_users})),
        ("Imports/GetImport", json!({"importId": ours_held.people.import})),
        ("Imports/GetImport", json!({"importId": ours_held.people.committed})),
        ("Imports/ListImportRows", json!({"importId": ours_held.people.import})),
        ("Imports/GetUser", json!({"userId": ours_held.people.user})),
        ("Coupons/GetCoupon", json!({"id": ours_held.offers.coupon})),
        ("Coupons/CheckCoupon", json!({"id": ours_held.offers.coupon})),
        ("Coupons/GetRedemption", json!({"id": ours_held.offers.redemption})),
        ("Events/ListSessions", json!({"pageSize": 1, "pageToken": ours_held.page_of_sessions})),
        ("Events/ListEvents", json!({"pageSize": 1, "pageToken": ours_held.page_of_visits})),
        ("Events/ListEventErrors", json!({"pageSize": 1, "pageToken": ours_held.page_of_errors})),
        ("Events/ListEventTypes", json!({"pageSize": 1, "pageToken": ours_held.page_of_types})),
        ("Events/GetIngestLedger", minutes(&ours_held.page_of_minutes)),
        ("Events/StreamEvents", json!({"resumeToken": ours_held.resume_events})),
        ("Events/GetSession", json!({"id": ours_held.visits.session})),
        ("Events/GetReceipt", json!({"id": ours_held.visits.receipt})),
        ("Events/GetEventError", json!({"id": ours_held.visits.error})),
        ("Events/GetEvent", json!({"eventId": ours_held.visits.event})),
        ("Events/GetEventType", json!({"category": ours_held.visits.category, "name": "theirs"})),
        (
            "Events/PutEventType",
            json!({
                "category": ours_held.visits.category, "name": "theirs", "schema": {},
                "etag": ours_held.visits.etag,
            }),
        ),
    ] {
        let outcome = ask(&app, &Rpc::of(name), &request, &ours.key, who).await;
        assert_eq!(outcome.code, Code::Ok, "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn keys_and_tokens_of_elsewhere_are_none() {
    let Three { app, ours, ours_held, theirs, away, .. } = three().await;
    let who = Rpc::of("ApiKeys/WhoAmI");
    let call = async |credential: &str| ask(&app, &who, &json!({}), credential, "192.0.2.2").await;
    let nobodys = call(ApiKey::generate(ours.id).unwrap().reveal()).await;
    assert_eq!(nobodys.refusal(), (Code::Unauthenticated, "API_KEY_INVALID".to_owned()));
    let key_id = app.key_id(ours.id, &ours.key).await;
    let clock = Clock::system();
    let sign = |secret: SigningSecret| {
        let expires_at = clock.now() + TimeDelta::minutes(5);
        let scopes = Scope::ALL.to_vec();
        let token = BrowserToken { team: ours.id, key: key_id, expires_at, scopes, tags: None };
        Signers::new([secret]).sign(&token, clock.now()).unwrap()
    };
    let real = load_signing(&app.db).await.unwrap().remove(0);
    // A secret that is known of one installation is good for nothing at another, whatever it is called.
    let guessed = SigningSecret { secret: [0; 32], ..real.clone() };
    let renamed = SigningSecret { id: "none".to_owned(), ..real.clone() };
    for credential in
        [away.key, away.token, changed(&ours_held.token), sign(guessed), sign(renamed)]
    {
        assert_eq!(call(&credential).await, nobodys);
    }
    // They let in, but to their own team.
    for (credential, team) in [(sign(real), "acme"), (theirs.token, "other"), (theirs.key, "other")]
    {
        let outcome = call(&credential).await;
        assert_eq!(outcome.answer()["team"]["slug"], team);
    }
    let of_their_team = theirs_by_our_team(&ours_held.key);
    assert_eq!(call(&of_their_team).await, nobodys);
}

/// The same secret under the number of another team, with a checksum that is right.
fn theirs_by_our_team(key: &str) -> String {
    let secret = key.split('_').nth(2).unwrap();
    let body = format!("tap_2_{secret}");
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.insert(0, char::from(alphabet[(rest % 62) as usize]));
        rest /= 62;
    }
    let key = format!("{body}_{}", digits.into_iter().collect::<String>());
    assert!(ApiKey::parse(&key).is_some_and(|key| key.team() == TeamId(2)), "{key}");
    key
}

/// The median of many calls of one kind and of another, in turns.
async fn medians(mut one: impl AsyncFnMut(), mut other: impl AsyncFnMut()) -> (Duration, Duration) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..150 {
        let began = Instant::now();
        one().await;
        ones.push(began.elapsed());
        let began = Instant::now();
        other().await;
        others.push(began.elapsed());
    }
    ones.sort_unstable();
    others.sort_unstable();
    (ones[ones.len() / 2], others[others.len() / 2])
}

/// Both take as long. Whatever else the machine does may come in between: it is tried up to three times.
async fn assert_alike(name: &str, mut one: impl AsyncFnMut(), mut other: impl AsyncFnMut()) {
    let mut measured = Vec::new();
    for _ in 0..3 {
        let (others, nobodys) = medians(&mut one, &mut other).await;
        // They differ by a few per cent; one look at the store more would be a third.
        if (0.7..1.4).contains(&(others.as_secs_f64() / nobodys.as_secs_f64())) {
            return;
        }
        measured.push((others, nobodys));
    }
    panic!("{name}: for another's and for nobody's {measured:?}");
}

/// Each guess takes as long with what is another's.
async fn assert_guesses_are_alike(app: &App, ours: &Team, guesses: Vec<Guess>) {
    let door = Door::straight(app).kept().await;
    for Guess { rpc: name, request, others, nobodys, .. } in guesses {
        let rpc = Rpc::of(name);
        // A key of its own, so that no quota is used up.
        let key = app.key(ours.id, None, Scope::ALL, None).await;
        let time = async |text: &String| {
            ask_at(&door, &rpc, &request(text), &key, "192.0.2.3").await;
        };
        for other in &others {
            assert_alike(name, async || time(other).await, async || time(&nobodys).await).await;
        }
    }
}

#[tokio::test]
async fn what_is_anothers_takes_as_long_as_what_is_nobodys() {
    let Three { app, ours, theirs, away, .. } = three().await;
    let door = Door::straight(&app).kept().await;
    let guesses = guesses(&theirs, &away).into_iter();
    let others = ["Events/", "Coupons/", "Dialogs/", "Imports/"];
    let guesses = guesses
        .filter(|guess| !others.iter().any(|service| guess.rpc.starts_with(service)))
        .collect();
    assert_guesses_are_alike(&app, &ours, guesses).await;
    for name in ["Tags/GetTag", "TapAnalytics/QueryTaps", "TapAnalytics/RecordTaps"] {
        let rpc = Rpc::of(name);
        let time = async |uid: &str| {
            let request = match name {
                "Tags/GetTag" => json!({"uid": uid}),
                "TapAnalytics/RecordTaps" => json!({"taps": [{"tagUid": uid}]}),
                _ => {
                    json!({"startDate": "2023-01-01", "endDate": "2023-01-01", "tagUids": [uid]})
                }
            };
            ask_at(&door, &rpc, &request, &ours.key, "192.0.2.3").await;
        };
        assert_alike(name, async || time("c").await, async || time("d").await).await;
    }
    let who = Rpc::of("ApiKeys/WhoAmI");
    let unknown = ApiKey::generate(ours.id).unwrap().reveal().to_owned();
    let broken = changed(&away.token);
    let time = async |credential: &String| {
        ask_at(&door, &who, &json!({}), credential, "192.0.2.4").await;
    };
    assert_alike("a key", async || time(&away.key).await, async || time(&unknown).await).await;
    assert_alike("a token", async || time(&away.token).await, async || time(&broken).await).await;
}

#[tokio::test]
async fn what_is_of_anothers_visits_takes_as_long_as_what_is_nobodys() {
    let Three { app, ours, theirs, away, .. } = three().await;
    let guesses = guesses(&theirs, &away).into_iter();
    let mut guesses: Vec<Guess> =
        guesses.filter(|guess| guess.rpc.starts_with("Events/")).collect();
    // What is of another installation is in no table of this one.
    for guess in &mut guesses {
        guess.others.truncate(1);
    }
    assert_guesses_are_alike(&app, &ours, guesses).await;
}

#[tokio::test]
async fn what_is_of_anothers_coupons_takes_as_long_as_what_is_nobodys() {
    let Three { app, ours, theirs, away, .. } = three().await;
    let guesses = guesses(&theirs, &away).into_iter();
    let mut guesses: Vec<Guess> =
        guesses.filter(|guess| guess.rpc.starts_with("Coupons/")).collect();
    for guess in &mut guesses {
        guess.others.truncate(1);
    }
    assert_guesses_are_alike(&app, &ours, guesses).await;
}

#[tokio::test]
async fn what_is_of_anothers_imports_takes_as_long_as_what_is_nobodys() {
    let Three { app, ours, theirs, away, .. } = three().await;
    let guesses = guesses(&theirs, &away).into_iter();
    let mut guesses: Vec<Guess> =
        guesses.filter(|guess| guess.rpc.starts_with("Imports/")).collect();
    for guess in &mut guesses {
        guess.others.truncate(1);
    }
    assert_guesses_are_alike(&app, &ours, guesses).await;
}

/// An RPC, its request of an id, and an id that another team has.
type Named<'a> = (&'a str, &'a dyn Fn(&str) -> Value, &'a String);

#[tokio::test]
async fn what_is_of_anothers_dialogs_takes_as_long_as_what_is_nobodys() {
    let Three { app, ours, theirs, away, .. } = three().await;
    let guesses = guesses(&theirs, &away).into_iter();
    let mut guesses: Vec<Guess> =
        guesses.filter(|guess| guess.rpc.starts_with("Dialogs/")).collect();
    for guess in &mut guesses {
        guess.others.truncate(1);
    }
    assert_guesses_are_alike(&app, &ours, guesses).await;

    // A customer or a dialog that another team has is new to this one: there is an answer, and as soon.
    let door = Door::straight(&app).kept().await;
    let Chats { customer, dialog, pending, erased, .. } = &theirs.chats;
    let of_customer = |id: &str| json!({"customerId": id});
    let of_dialog = |id: &str| json!({"dialogId": id});
    let say = |dialog: &str| json!({"customerId": "c", "dialogId": dialog, "text": "a", "language": "en"});
    let erase = |id: &str| json!({"customerId": id, "validateOnly": true});
    let decide = |id: &str| json!({"dialogId": id, "granted": true});
    let requests: [Named<'_>; 11] = [
        ("ListMessages", &of_customer, customer),
        ("ListMessages", &of_dialog, dialog),
        ("ListConsents", &of_customer, customer),
        ("ListConsents", &of_customer, erased),
        ("ListConsents", &of_dialog, dialog),
        ("ExportCustomer", &of_customer, customer),
        ("ListErasures", &of_customer, erased),
        ("EraseCustomer", &erase, customer),
        ("EraseCustomer", &erase, erased),
        // These come last: they make what is our own.
        ("RecordMessage", &say, pending),
        ("SetConsent", &decide, dialog),
    ];
    for (name, request, other) in requests {
        let rpc = Rpc::of(&format!("Dialogs/{name}"));
        let key = app.key(ours.id, None, Scope::ALL, None).await;
        let nobodys = other.replace("their", "nobod");
        let time = async |id: &str| {
            let outcome = ask_at(&door, &rpc, &request(id), &key, "192.0.2.3").await;
            assert_eq!(outcome.code, Code::Ok, "{name}: {outcome:?}");
        };
        assert_alike(name, async || time(other).await, async || time(&nobodys).await).await;
    }
}

/// Somebody who calls Envoy from an address of this machine.
struct Somebody<'a> {
    envoy: &'a Envoy,
    client: Client,
}

impl<'a> Somebody<'a> {
    fn at(envoy: &'a Envoy, last: u8) -> Self {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        let client = Client::builder().local_address(address).build().unwrap();
        Self { envoy, client }
    }

    async fn says(&self, headers: &[(&'static str, &str)]) -> Outcome {
        let mut request = self.client.get(self.envoy.url("/v1/whoami"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        http_outcome(request.send().await.unwrap(), &Rpc::of("ApiKeys/WhoAmI").answer()).await
    }

    async fn tries(&self, key: &str) -> String {
        let outcome = self.says(&[("x-api-key", key)]).await;
        if outcome.code == Code::Ok { String::new() } else { outcome.failure().reason }
    }
}

/// Different wrong keys.
fn wrong_keys() -> impl Iterator<Item = String> {
    std::iter::repeat_with(|| ApiKey::generate(TeamId(1)).unwrap().reveal().to_owned())
}

const INVALID: &str = "API_KEY_INVALID";
const TOO_MANY: &str = "TOO_MANY_WRONG_KEYS";

#[tokio::test]
async fn whoever_tries_one_key_after_another_is_refused_for_a_while() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let (known, unseen) = (team.key.as_str(), app.key(team.id, None, Scope::ALL, None).await);
    let (guesser, neighbour) = (Somebody::at(&envoy, 21), Somebody::at(&envoy, 22));
    assert_eq!(guesser.tries(known).await, "");
    assert_eq!(neighbour.tries(&unseen).await, "");
    let mut wrong = wrong_keys();

    // The same one is a service that goes on with a dead key, and none at all is nobody.
    let same = wrong.next().unwrap();
    for _ in 0..100 {
        assert_eq!(guesser.tries(&same).await, INVALID);
        assert_eq!(guesser.says(&[]).await.failure().reason, "API_KEY_MISSING");
    }
    // That was the first of thirty.
    for nth in 2..=30 {
        assert_eq!(guesser.tries(&wrong.next().unwrap()).await, INVALID, "the {nth}.");
    }
    let began = Instant::now();
    let refused = guesser.says(&[("x-api-key", &wrong.next().unwrap())]).await;
    assert_eq!(refused.refusal(), (Code::ResourceExhausted, TOO_MANY.to_owned()));
    let wait = refused.retry_after().unwrap();
    assert!((1..=10).contains(&wait) && refused.failure().retry, "{refused:?}");
    assert_eq!(refused.quota(), None, "nothing is told of anybody's quota");

    // Whatever is sent, in whichever header, is refused; that it is right is not to be learned.
    let bearer = format!("Bearer {unseen}");
    for headers in
        [("x-api-key", unseen.as_str()), ("authorization", &bearer), ("x-api-key", &same)]
    {
        assert_eq!(guesser.says(&[headers]).await.failure().reason, TOO_MANY, "{headers:?}");
    }
    // But for what was used from there before.
    assert_eq!(guesser.tries(known).await, "");
    // Nobody is somebody else by saying so, nor can anybody else be blamed.
    for forwarded in ["203.0.113.9", "127.0.0.22", "127.0.0.22, 10.0.0.1"] {
        let wrong = wrong.next().unwrap();
        let sly = guesser.says(&[("x-api-key", &wrong), ("x-forwarded-for", forwarded)]).await;
        assert_eq!(sly.failure().reason, TOO_MANY, "{forwarded}");
    }
    assert_eq!(neighbour.tries(&unseen).await, "");
    assert_eq!(neighbour.tries(&wrong.next().unwrap()).await, INVALID);

    // For as long as was said.
    let until = Duration::from_secs(wait.into()) + Duration::from_millis(500);
    tokio::time::sleep(until.saturating_sub(began.elapsed())).await;
    assert_eq!(guesser.tries(&unseen).await, "");
    assert_eq!(guesser.tries(&wrong.next().unwrap()).await, INVALID);
    assert_eq!(guesser.tries(&wrong.next().unwrap()).await, TOO_MANY);
}

#[tokio::test]
async fn somebody_elses_address_cannot_be_used_up() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let (liar, victim) = (Somebody::at(&envoy, 23), Somebody::at(&envoy, 24));
    for wrong in wrong_keys().take(40) {
        let headers = [("x-api-key", wrong.as_str()), ("x-forwarded-for", "127.0.0.24")];
        liar.says(&headers).await;
    }
    assert_eq!(liar.tries(&wrong_keys().next().unwrap()).await, TOO_MANY);
    assert_eq!(victim.tries(&wrong_keys().next().unwrap()).await, INVALID);
    assert_eq!(victim.tries(&team.key).await, "");
}

#[tokio::test]
async fn guessing_is_refused_by_every_wire_and_past_envoy_too() {
    let app = App::start().await;
    let envoy = Envoy::start(&app).await;
    let team = app.reporting_team("acme", &["a"]).await;
    let who = Rpc::of("ApiKeys/WhoAmI");
    let request = json!({});
    // To the service the two are different addresses.
    for (door, wires) in [(Door::of(&envoy), &WIRES[..]), (Door::straight(&app), &WIRES[..1])] {
        let mut wrong = wrong_keys();
        let tries = async |nth: usize, credential: &str| {
            let call = Call::new(&who, &request).key(Some(credential));
            let outcome = call.outcome(&door, wires[nth % wires.len()], 1).await;
            assert_eq!(outcome.refusal(), (Code::Unauthenticated, INVALID.to_owned()), "{nth}");
        };
        // A token is no guess: one that has ended is of a page that was left open.
        for nth in 0..40 {
            tries(nth, &format!("tap_1_a.b.{nth}")).await;
        }
        // What comes by one wire counts for the others, whether it looks like a key or not.
        for nth in 0..30 {
            let guess = if nth % 2 == 0 { wrong.next().unwrap() } else { format!("tap_{nth}") };
            tries(nth, &guess).await;
        }
        for (wire, wrong) in wires.iter().zip(wrong) {
            for rpc in [&who, &Rpc::of("TapAnalytics/StreamTaps")] {
                let call = Call::new(rpc, &request).key(Some(&wrong));
                let refused = call.outcome(&door, *wire, 1).await;
                assert_eq!(refused.refusal(), (Code::ResourceExhausted, TOO_MANY.to_owned()));
                assert!((1..=10).contains(&refused.retry_after().unwrap()), "{refused:?}");
                let failure = refused.failure();
                assert!(failure.retry && failure.quota_metric.is_none(), "{failure:?}");
                assert_eq!(refused.quota(), None);
            }
            // But now a token is refused as well.
            let call = Call::new(&who, &request).key(Some("tap_1_a.b.c"));
            let refused = call.outcome(&door, *wire, 1).await;
            assert_eq!(refused.refusal(), (Code::ResourceExhausted, TOO_MANY.to_owned()));
        }
    }
    // This key was never used from here.
    let call = Call::new(&who, &request).key(Some(&team.key));
    let refused = call.outcome(&Door::straight(&app), Wire::Grpc, 1).await;
    assert_eq!(refused.refusal(), (Code::ResourceExhausted, TOO_MANY.to_owned()));
    // From another address it works. Past Envoy one is what the header says, as Envoy would.
    let elsewhere = call.header("x-forwarded-for", "192.0.2.1");
    assert_eq!(elsewhere.outcome(&Door::straight(&app), Wire::Grpc, 1).await.code, Code::Ok);
}
