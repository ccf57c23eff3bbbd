//! Equal installations, one for each wire, in which the same thing is set up and then asked.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tap_analytics::{
    access::{
        self,
        model::{Grant, Scope},
        store::load_signing,
        token::{BrowserToken, Signers},
    },
    clock::Clock,
    db,
    feeds::token::{History, Tokens},
    ids::{KeyId, TeamId},
    secrets::Secrets,
};
use tonic::Code;

use super::{
    App, Options, connect,
    envoy::Envoy,
    eventually, new_database,
    people::until_checked,
    rpcs::Rpc,
    store, tap,
    wires::{Answer, Call, Door, Outcome, Wire},
};

/// Tags that a team may have: as many again as are set up.
const TAGS_MAX: u32 = 6;
/// The same of coupons.
const COUPONS_MAX: u32 = 6;
/// And of users.
const USERS_MAX: u32 = 6;

/// An installation that is asked by one wire.
pub struct Column {
    pub wire: Wire,
    app: App,
    _envoy: Envoy,
    door: Door,
    clock: Clock,
    /// Of streams of taps, and of events.
    tokens: [Tokens; 2],
    /// Of streams of events of another history of the store.
    elsewhere: Tokens,
}

/// What is known in a scene by a name: keys, ids, tokens. In a request `<name>` stands for it, and in an
/// outcome it is shown so again.
type Known = BTreeMap<String, String>;

/// Something that is done before the call that matters.
#[derive(Clone, Debug)]
pub enum Step {
    /// A call by gRPC that is answered, by the key of this name. What is at these places of its answer is
    /// known by these names from then on.
    Call(&'static str, &'static str, Value, &'static [(&'static str, &'static str)]),
    /// A key of this name that expired an hour ago.
    Expired(&'static str),
    /// A token of this name, of the key of that name, that ends so many seconds from now and has these scopes.
    Signed(&'static str, &'static str, i64, &'static [Scope]),
    /// As many streams that stay open, by the key of this name.
    Open(&'static str, usize),
    /// Waits until the event of the receipt of this name is no longer pending.
    Settled(&'static str),
    /// Waits until the import of this name is checked.
    Checked(&'static str),
    /// Makes a call by the key of this name until its refusal says this.
    Refused(&'static str, &'static str, Value, &'static str),
    /// A resume token of this name of a stream of events before the store was restored.
    Elsewhere(&'static str),
    /// A statement as administrator; `$1` is the team.
    Sql(&'static str),
}

/// A call, and who makes it.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub rpc: &'a str,
    /// With `<name>` for what is known.
    pub request: &'a Value,
    pub by: By,
    /// How many frames of a stream are looked at.
    pub frames: usize,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Nobody,
    /// The key or token of this name, in `x-api-key`.
    Key(&'static str),
    /// The same in `authorization`.
    Bearer(&'static str),
    /// This text as a key.
    Text(&'static str),
}

/// A team that something was set up for.
pub struct Scene<'a> {
    column: &'a Column,
    team: TeamId,
    known: Known,
    held: Vec<Answer>,
}

impl Column {
    /// Starts an installation. All that are started with one clock are equal.
    pub async fn start(wire: Wire, clock: &Clock) -> Self {
        let store = store(&new_database().await);
        let same = "update secrets set secret = sha256('the same') where name = 'tokens'";
        connect(&store.database_url).await.batch_execute(same).await.unwrap();
        let options = Options {
            clock: clock.clone(),
            public_url: Some("https://taps.example"),
            team_tags_max: TAGS_MAX,
            team_coupons_max: COUPONS_MAX,
            team_users_max: USERS_MAX,
            ..Options::default()
        };
        let app = App::on(store, options).await;
        let envoy = Envoy::start(&app).await;
        let secrets = Secrets::load(&app.db).await.unwrap();
        let history = db::history(&app.db).await.unwrap();
        let tokens = |secret, history| Tokens::new(secret, History::new(history), clock.clone());
        let of_events = secrets.derive("tap-analytics 2026-11 resume tokens of events");
        let elsewhere = tokens(of_events, history ^ 1);
        let tokens = [tokens(secrets.root(), history), tokens(of_events, history)];
        let door = Door::of(&envoy);
        Self { wire, app, _envoy: envoy, door, clock: clock.clone(), tokens, elsewhere }
    }

    /// Sets up a team of this number: a key `able` that may do everything, two tags that were tapped and one
    /// that is archived.
    pub async fn scene(&self, number: i32, steps: &[Step]) -> Scene<'_> {
        let team = TeamId(number);
        let slug = format!("team-{number}");
        let grant = Grant {
            name: "able",
            scopes: Scope::ALL,
            queries_per_hour: 1_000_000,
            expires_at: None,
        };
        let made = access::command::create_team_with_key(
            &self.app.db,
            &self.clock,
            team,
            &slug,
            &slug,
            grant,
        );
        let able = made.await.unwrap().unwrap();
        let tags = self.app.tags(team, &["a", "9007199254740993", "archived"]).await;
        let sql = format!(
            "update tags set created_at = '2023-01-01T00:00:00Z' where team_id = {team};
             update tags set archived_at = '2023-06-01T00:00:00Z' where team_id = {team} and uid = 'archived'"
        );
        self.app.sql().await.batch_execute(&sql).await.unwrap();
        let at = ["2023-03-26T00:59:59Z", "2023-03-26T01:00:00Z", "2023-03-25T12:00:00Z"];
        let taps: Vec<_> =
            at.iter().flat_map(|at| tags[..2].iter().map(|tag| tap(*tag, at))).collect();
        self.app.write(team, &taps).await;
        let known = Known::from([("team".to_owned(), slug)]);
        let mut scene = Scene { column: self, team, known, held: Vec::new() };
        scene.learn_key("able", able.reveal()).await;
        for step in steps {
            scene.take(step).await;
        }
        scene
    }
}

impl Scene<'_> {
    /// A key that was made is known by a name, and so are its id and how it begins.
    async fn learn_key(&mut self, name: &str, key: &str) {
        self.column.app.until_known(key).await;
        let keys = access::command::list_keys(&self.column.app.db, self.team).await.unwrap();
        let info = keys.into_iter().find(|info| key.starts_with(&info.prefix)).unwrap();
        self.learn(name, key.to_owned());
        self.learn(&format!("{name}.id"), info.id.to_string());
        self.learn(&format!("{name}.prefix"), info.prefix);
    }

    fn learn(&mut self, name: &str, value: String) {
        let before = self.known.insert(name.to_owned(), value);
        assert_eq!(before, None, "{name} is known already");
    }

    async fn take(&mut self, step: &Step) {
        let app = &self.column.app;
        match step {
            Step::Call(by, rpc, request, learned) => {
                let asked = Asked { rpc, request, by: By::Key(by), frames: 1 };
                let outcome = self.ask_by(&asked, &Door::straight(app), Wire::Grpc).await;
                assert_eq!(outcome.code, Code::Ok, "{step:?}: {outcome:?}");
                for (name, place) in *learned {
                    let value = outcome.answer().pointer(place);
                    let value = value.unwrap_or_else(|| panic!("{place}: {outcome:?}"));
                    self.learn(name, value.as_str().unwrap().to_owned());
                }
            }
            Step::Expired(name) => {
                let expires_at = Some(self.column.clock.now() - TimeDelta::hours(1));
                let (scopes, queries_per_hour) = (Scope::ALL, 100);
                let grant = Grant { name, scopes, queries_per_hour, expires_at };
                let key =
                    access::command::create_key(&app.db, &self.column.clock, self.team, grant);
                self.learn_key(name, key.await.unwrap().reveal()).await;
            }
            Step::Signed(name, of, seconds, scopes) => {
                let signers = Signers::new(load_signing(&app.db).await.unwrap());
                let token = BrowserToken {
                    team: self.team,
                    key: KeyId(self.known[&format!("{of}.id")].parse().unwrap()),
                    expires_at: self.column.clock.now() + TimeDelta::seconds(*seconds),
                    scopes: scopes.to_vec(),
                    tags: None,
                };
                self.learn(name, signers.sign(&token, self.column.clock.now()).unwrap());
            }
            Step::Open(by, count) => {
                let rpc = Rpc::of("TapAnalytics/StreamTaps");
                let call = Call::new(&rpc, &json!({})).key(Some(&self.known[*by]));
                let door = Door::straight(app);
                for _ in 0..*count {
                    let opened = call.open(&door, Wire::Grpc).await;
                    self.held.push(opened.unwrap_or_else(|refused| panic!("{refused:?}")));
                }
            }
            Step::Settled(receipt) => self.until_settled(receipt).await,
            Step::Checked(import) => {
                // By a key of its own: how often it is looked is nothing of a quota that is compared.
                let key = app.key(self.team, None, &[Scope::ImportsRead], None).await;
                until_checked(&Door::straight(app), &key, &self.known[*import]).await;
            }
            Step::Refused(by, rpc, request, text) => {
                let asked = Asked { rpc, request, by: By::Key(by), frames: 1 };
                let door = Door::straight(app);
                eventually("the call is refused", || async {
                    let outcome = self.ask_by(&asked, &door, Wire::Grpc).await;
                    outcome.error.is_some() && outcome.failure().message.contains(text)
                })
                .await;
            }
            Step::Elsewhere(name) => {
                self.learn(name, self.column.elsewhere.issue(self.team, 1));
            }
            Step::Sql(sql) => {
                app.sql().await.execute(*sql, &[&self.team.0]).await.unwrap();
            }
        }
    }

    /// By a key of its own, as how often it asks is left to chance, and what is left of quotas is compared.
    async fn until_settled(&self, receipt: &str) {
        let app = &self.column.app;
        let key = app.key(self.team, None, &[Scope::EventsWrite], None).await;
        let (rpc, request) = (Rpc::of("Events/GetReceipt"), json!({"id": self.known[receipt]}));
        let call = Call::new(&rpc, &request).key(Some(&key));
        let door = Door::straight(app);
        eventually("the event is settled", || async {
            let outcome = call.outcome(&door, Wire::Grpc, 1).await;
            // The state of one that is pending is the default, and is left out.
            outcome.answer().get("state").is_some()
        })
        .await;
    }

    /// Makes a call by the wire of the column.
    pub async fn ask(&self, asked: &Asked<'_>) -> Outcome {
        self.ask_by(asked, &self.column.door, self.column.wire).await
    }

    async fn ask_by(&self, asked: &Asked<'_>, door: &Door, wire: Wire) -> Outcome {
        let rpc = Rpc::of(asked.rpc);
        let mut request = asked.request.clone();
        rewrite(&mut request, &mut |_, text| {
            for (name, value) in &self.known {
                *text = text.replace(&format!("<{name}>"), value);
            }
            assert!(!text.contains('<'), "{text} is not known in this scene");
        });
        let call = Call::new(&rpc, &request);
        let call = match asked.by {
            By::Nobody => call,
            By::Text(text) => call.key(Some(text)),
            By::Key(name) => call.key(Some(&self.known[name])),
            By::Bearer(name) => {
                call.header("authorization", format!("Bearer {}", self.known[name]))
            }
        };
        call.outcome(door, wire, asked.frames).await
    }

    /// An outcome as it is in every column: with names for what is known, and tokens by what they mean.
    pub fn in_words(&self, outcome: &Outcome) -> Outcome {
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let mut outcome = outcome.clone();
        for value in outcome.answers.iter_mut().chain(&mut outcome.error) {
            rewrite(value, &mut |name, text| {
                if name == "resumeToken" {
                    let tokens = self.column.tokens.iter();
                    let read = tokens.map(|tokens| tokens.read(self.team, text));
                    *text = format!("{:?}", read.flatten().next().unwrap());
                } else if name == "nextPageToken" && !text.is_empty() {
                    // What is before the place is a signature.
                    let token = BASE64_URL_SAFE_NO_PAD.decode(&*text).unwrap();
                    *text = format!("after {}", str::from_utf8(&token[17..]).unwrap());
                }
                for (name, value) in &known {
                    *text = text.replace(value.as_str(), &format!("<{name}>"));
                }
            });
        }
        outcome
    }
}

/// Changes every text of a value. It is given with the name of the field that it is in.
fn rewrite(value: &mut Value, change: &mut impl FnMut(&str, &mut String)) {
    fn walk(name: &str, value: &mut Value, change: &mut impl FnMut(&str, &mut String)) {
        match value {
            Value::String(text) => change(name, text),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(name, item, change)),
            Value::Object(fields) => {
                fields.iter_mut().for_each(|(name, value)| walk(name, value, change));
            }
            _ => {}
        }
    }
    walk("", value, change);
}

/// Takes out of the answers what is at a place such as `events[].id`.
pub fn take_out(outcome: &mut Outcome, place: &str) -> Vec<String> {
    fn walk(value: &mut Value, place: &str, taken: &mut Vec<String>) {
        let (name, rest) = place.split_once('.').unwrap_or((place, ""));
        let (name, many) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
        let inner = value.get_mut(name).unwrap_or_else(|| panic!("there is no {place}"));
        let inner: Vec<&mut Value> = match inner {
            Value::Array(items) if many => items.iter_mut().collect(),
            other => vec![other],
        };
        for inner in inner {
            if rest.is_empty() {
                let text = inner.as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{place} is no text, or empty");
                taken.push(text.to_owned());
                *inner = json!("taken out");
            } else {
                walk(inner, rest, taken);
            }
        }
    }
    let mut taken = Vec::new();
    for answer in &mut outcome.answers {
        walk(answer, place, &mut taken);
    }
    assert!(!taken.is_empty(), "{place} is nowhere: {outcome:?}");
    taken
}
