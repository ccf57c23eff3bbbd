//! One list of calls, each made by gRPC, gRPC-web and every form that it has in JSON, with one outcome: the
//! same answer, or the same error down to its details, and the same quota.
//!
//! Every wire has an installation of its own, equal to the others in its clock, its secrets and whatever is
//! set up, so that nothing has to be left out of the comparison but what is made by chance.

mod beside;
mod cases;
mod coupons;
mod dialogs;
mod events;
mod imports;

use std::collections::{BTreeMap, BTreeSet};

use chrono::SubsecRound as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tap_analytics::{
    access::model::Scope,
    auth::Route,
    clock::Clock,
    reasons::{self, ROWS},
};
use tonic::Code;

pub use self::cases::sample;
use self::{
    cases::{ELSEWHERE, api_keys, tags, taps},
    coupons::{coupons, redemptions},
    dialogs::{dialogs, looks_at_dialogs},
    events::{changes_of_events, events},
    imports::{imports, looks_at_imports},
};
use crate::app::{
    description::DESCRIPTION,
    rpcs::{Rpc, rpcs},
    scenes::{Asked, By, Column, Step, take_out},
    wires::{Outcome, Wire},
};

/// A call, what is set up before it, and what must come of it.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    rpc: String,
    request: Value,
    by: By,
    before: Vec<Step>,
    expected: Expected,
    /// Frames of a stream that are looked at.
    frames: usize,
    /// What is made by chance, and so differs in every installation.
    by_chance: &'static [&'static str],
    /// Where JSON has another outcome, by design.
    otherwise: Option<Otherwise>,
}

/// An error that Envoy makes itself of what the service does not get by JSON.
#[derive(Clone, Copy, Debug)]
struct Otherwise {
    in_queries_only: bool,
    reason: &'static str,
}

#[derive(Clone, Debug)]
enum Expected {
    /// An answer that has this at these places.
    Answer(Vec<(&'static str, Value)>),
    /// An error with this code and reason.
    Error(Code, &'static str),
    /// Bad fields: each with its reason.
    Fields(Vec<(&'static str, &'static str)>),
}

/// A case that is answered, by a key that may do everything.
fn case(name: &str, rpc: &str, request: Value) -> Case {
    Case {
        name: name.to_owned(),
        rpc: rpc.to_owned(),
        request,
        by: By::Key("able"),
        before: Vec::new(),
        expected: Expected::Answer(Vec::new()),
        frames: 1,
        by_chance: &[],
        otherwise: None,
    }
}

impl Case {
    fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    fn after(self, before: &[Step]) -> Self {
        Self { before: before.to_vec(), ..self }
    }

    /// The answer has this at these places.
    fn has(self, parts: &[(&'static str, Value)]) -> Self {
        Self { expected: Expected::Answer(parts.to_vec()), ..self }
    }

    fn frames(self, frames: usize) -> Self {
        Self { frames, ..self }
    }

    fn by_chance(self, by_chance: &'static [&'static str]) -> Self {
        Self { by_chance, ..self }
    }

    fn error(self, code: Code, reason: &'static str) -> Self {
        Self { expected: Expected::Error(code, reason), ..self }
    }

    fn fields(self, fields: &[(&'static str, &'static str)]) -> Self {
        Self { expected: Expected::Fields(fields.to_vec()), ..self }
    }

    fn otherwise_by(self, otherwise: Otherwise) -> Self {
        Self { otherwise: Some(otherwise), ..self }
    }

    /// The reason that Envoy gives by a wire, where it is another one.
    fn reason_of_envoy(&self, wire: Wire) -> Option<&'static str> {
        let Otherwise { in_queries_only, reason } = self.otherwise?;
        let (Wire::Json(nth) | Wire::Events(nth)) = wire else { return None };
        let in_query = Rpc::of(&self.rpc).bindings()[nth].body.is_empty();
        (in_query || !in_queries_only).then_some(reason)
    }

    /// The reason that it is an example of.
    fn reason(&self) -> Option<&'static str> {
        match self.expected {
            Expected::Answer(_) => None,
            Expected::Error(_, reason) => Some(reason),
            Expected::Fields(_) => Some(reasons::INVALID_FIELDS),
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { rpc: &self.rpc, request: &self.request, by: self.by, frames: self.frames }
    }

    /// In what an outcome is not the expected one.
    fn differs(&self, outcome: &Outcome) -> Option<String> {
        let Outcome { code, answers, error, .. } = outcome;
        let refusal = || error.as_ref().map(|_| outcome.refusal());
        match &self.expected {
            Expected::Answer(parts) => {
                let Some(answer) = answers.last() else { return Some(format!("{error:?}")) };
                let other = parts.iter().find(|(at, value)| answer.pointer(at) != Some(value));
                other.map(|(at, value)| format!("{at} is {:?}, not {value}", answer.pointer(at)))
            }
            Expected::Error(expected, reason) => {
                let same = refusal() == Some((*expected, (*reason).to_owned()));
                (!same).then(|| format!("{code:?} {error:?}, not {reason}"))
            }
            Expected::Fields(fields) => {
                let bad = error.as_ref().map(|_| outcome.failure().violations).unwrap_or_default();
                let bad: Vec<_> = bad.iter().map(|(f, r, _)| (f.as_str(), r.as_str())).collect();
                let invalid = (Code::InvalidArgument, reasons::INVALID_FIELDS.to_owned());
                let same = refusal() == Some(invalid) && bad == *fields;
                (!same).then(|| format!("{code:?} {bad:?}, not {fields:?}"))
            }
        }
    }
}

/// A place in time at which it stands still: it is in tokens, to the second.
fn one_instant() -> Clock {
    Clock::fixed(Clock::system().now().trunc_subsecs(0))
}

/// Every wire of some RPCs.
fn wires<'a>(rpcs: impl IntoIterator<Item = &'a str>) -> Vec<Wire> {
    let mut wires = Vec::new();
    for wire in rpcs.into_iter().flat_map(|rpc| Rpc::of(rpc).wires()) {
        if !wires.contains(&wire) {
            wires.push(wire);
        }
    }
    wires
}

/// What comes of each case by a wire, in words that are the same for all wires, and what in it came by
/// chance. Nothing where the RPC does not have the wire.
async fn outcomes(column: &Column, cases: &[Case]) -> Vec<Option<(Outcome, Vec<String>)>> {
    let mut outcomes = Vec::new();
    for (number, case) in (1..).zip(cases) {
        if !Rpc::of(&case.rpc).wires().contains(&column.wire) {
            outcomes.push(None);
            continue;
        }
        let scene = column.scene(number, &case.before).await;
        let outcome = scene.ask(&case.asked()).await;
        let mut outcome = scene.in_words(&outcome);
        let by_chance = case.by_chance.iter().flat_map(|place| take_out(&mut outcome, place));
        let by_chance = by_chance.collect();
        outcomes.push(Some((outcome, by_chance)));
    }
    outcomes
}

/// Makes every call by every wire, and compares.
async fn compare(cases: &[Case]) {
    let clock = one_instant();
    let wires = wires(cases.iter().map(|case| case.rpc.as_str()));
    let columns = join_all(wires.iter().map(|wire| Column::start(*wire, &clock))).await;
    let outcomes = join_all(columns.iter().map(|column| outcomes(column, cases))).await;
    let mut wrong = Vec::new();
    for (nth, case) in cases.iter().enumerate() {
        let (expected, _) = outcomes[0][nth].as_ref().unwrap();
        let differs = case.differs(expected);
        wrong.extend(differs.map(|text| format!("{}: {}: {text}", case.rpc, case.name)));
        let mut by_chance = BTreeSet::new();
        for (column, outcomes) in columns.iter().zip(&outcomes) {
            let Some((outcome, chance)) = &outcomes[nth] else { continue };
            let name = format!("{}: {} by {:?}", case.rpc, case.name, column.wire);
            match case.reason_of_envoy(column.wire) {
                Some(reason) => {
                    let same = outcome.code != Code::Ok && outcome.failure().reason == reason;
                    wrong.extend((!same).then(|| format!("{name}: {outcome:?}, not {reason}")));
                }
                None if outcome == expected => {}
                None => wrong.push(format!("{name}:\n  {outcome:?}\nis not\n  {expected:?}")),
            }
            for (at, text) in chance.iter().enumerate() {
                let same = !by_chance.insert((at, text.clone()));
                wrong.extend(same.then(|| format!("{name}: {text} is always so: compare it")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_taps() {
    compare(&taps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_tags() {
    compare(&tags()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_keys() {
    compare(&api_keys()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_events() {
    compare(&events()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_changes_of_events() {
    compare(&changes_of_events()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_coupons() {
    compare(&coupons()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_redemptions() {
    compare(&redemptions()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_dialogs() {
    compare(&dialogs()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_looks_at_dialogs() {
    compare(&looks_at_dialogs()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_imports() {
    compare(&imports()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_says_the_same_of_looks_at_imports() {
    compare(&looks_at_imports()).await;
}

/// Whom every RPC refuses, before it looks at what is asked.
fn refusals(rpc: &Rpc) -> Vec<Case> {
    use Code::{PermissionDenied, Unauthenticated};
    let by = |name: &str, by, code, reason| {
        case(name, &rpc.name(), sample(rpc)).by(by).error(code, reason)
    };
    let mut cases = vec![
        by("nobody", By::Nobody, Unauthenticated, "API_KEY_MISSING"),
        by("what is no key", By::Text("tap_1_x"), Unauthenticated, "API_KEY_INVALID"),
        by("nothing as a key", By::Text(""), Unauthenticated, "API_KEY_INVALID"),
        by("a revoked key", By::Key("revoked"), Unauthenticated, "API_KEY_INVALID"),
        by("a revoked key as bearer", By::Bearer("revoked"), Unauthenticated, "API_KEY_INVALID"),
        by("an expired key", By::Key("expired"), Unauthenticated, "API_KEY_EXPIRED"),
        by("an expired token", By::Bearer("ended"), Unauthenticated, "TOKEN_EXPIRED"),
    ];
    let scope = rpc.route().scope();
    if let Some(scope) = scope {
        let others = if scope == Scope::TapsRead { By::Key("writer") } else { By::Key("reader") };
        cases.push(by("a key without the scope", others, PermissionDenied, "SCOPE_MISSING"));
    }
    match rpc.route() {
        Route::Own(_) => {
            cases.push(by("a token", By::Key("token"), PermissionDenied, "TOKEN_NOT_ENOUGH"));
        }
        Route::Key(scope, _) | Route::InTurn(scope, _) if scope.reads() => {
            cases.push(by(
                "a limited token",
                By::Key("of a"),
                PermissionDenied,
                "TOKEN_NOT_ENOUGH",
            ));
        }
        Route::Key(..) | Route::InTurn(..) => {
            cases.push(by("a token", By::Key("token"), PermissionDenied, "SCOPE_MISSING"));
        }
        _ => {}
    }
    cases
}

/// Keys and tokens that are refused.
fn refused() -> Vec<Step> {
    let create = |name: &'static str, scopes: Value, learned| {
        let request = json!({"name": name, "scopes": scopes});
        Step::Call("able", "ApiKeys/CreateApiKey", request, learned)
    };
    let issue = |request, learned| Step::Call("able", "ApiKeys/IssueToken", request, learned);
    vec![
        create("reader", json!(["taps:read"]), &[("reader", "/key")]),
        create("writer", json!(["taps:write", "tags:write"]), &[("writer", "/key")]),
        create("revoked", json!(["taps:read"]), &[("revoked", "/key"), ("gone", "/apiKey/id")]),
        Step::Call("able", "ApiKeys/RevokeApiKey", json!({"id": "<gone>"}), &[]),
        Step::Expired("expired"),
        Step::Signed("ended", "able", 0, &[Scope::TapsRead]),
        issue(json!({}), &[("token", "/token")]),
        issue(json!({"tagUids": ["a"]}), &[("of a", "/token")]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_refuses_whom_the_others_refuse() {
    let clock = one_instant();
    let rpcs = rpcs();
    let names: Vec<String> = rpcs.iter().map(Rpc::name).collect();
    let wires = wires(names.iter().map(String::as_str));
    let columns = join_all(wires.iter().map(|wire| Column::start(*wire, &clock))).await;
    // None of them changes anything, and so one scene is enough for all.
    let all = join_all(columns.iter().map(async |column| {
        let scene = column.scene(1, &refused()).await;
        let mut outcomes = BTreeMap::new();
        for rpc in rpcs.iter().filter(|rpc| rpc.wires().contains(&column.wire)) {
            for case in refusals(rpc) {
                let outcome = scene.in_words(&scene.ask(&case.asked()).await);
                assert_eq!(case.differs(&outcome), None, "{}: {}", case.rpc, case.name);
                outcomes.insert((case.rpc, case.name), outcome);
            }
        }
        outcomes
    }));
    let all = all.await;
    for (column, outcomes) in columns.iter().zip(&all) {
        // At least those of one RPC.
        assert!(outcomes.len() >= 7, "{:?}", column.wire);
        for (case, outcome) in outcomes {
            assert_eq!(outcome, &all[0][case], "{case:?} by {:?}", column.wire);
        }
    }
}

/// Every case there is.
fn all_cases() -> Vec<Case> {
    let refusals: Vec<Case> = rpcs().iter().flat_map(refusals).collect();
    let coupons = [coupons(), redemptions()].concat();
    let dialogs = [dialogs(), looks_at_dialogs()].concat();
    let imports = [imports(), looks_at_imports()].concat();
    let all = [taps(), tags(), events(), changes_of_events(), coupons, dialogs, imports];
    [all.concat(), api_keys(), refusals].concat()
}

#[test]
fn every_rpc_has_a_case_for_an_answer_and_for_each_error_that_it_is_described_with() {
    let cases = all_cases();
    for rpc in rpcs() {
        let mine = || cases.iter().filter(|case| case.rpc == rpc.name());
        let answered = mine().any(|case| matches!(case.expected, Expected::Answer(_)));
        assert!(answered, "{} has no case for an answer", rpc.name());
        let shown: BTreeSet<_> = mine().filter_map(Case::reason).collect();
        for reason in described(&rpc) {
            let elsewhere = ELSEWHERE.iter().any(|(there, _)| *there == reason);
            assert!(
                elsewhere || shown.contains(reason),
                "{} is described with {reason}, and has no case for it",
                rpc.name()
            );
        }
    }
    for (reason, _) in ELSEWHERE {
        let anywhere = rpcs().iter().any(|rpc| described(rpc).contains(reason));
        assert!(anywhere, "no RPC is described with {reason}");
    }
}

/// A path with nothing in its braces.
fn without_names(path: &str) -> String {
    let parts = path.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after));
    parts.collect::<Vec<_>>().join("{}")
}

/// The reasons that an RPC is described with in JSON; where it has no form in JSON, those of its own.
fn described(rpc: &Rpc) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for binding in rpc.bindings() {
        let paths = DESCRIPTION["paths"].as_object().unwrap();
        // Names in braces may be written in another way.
        let without = without_names(&binding.path);
        let verb = binding.verb.to_string().to_lowercase();
        let same = |path: &&String| without_names(path) == without;
        let path = paths.keys().find(same).unwrap_or_else(|| panic!("{}", binding.path));
        for response in paths[path][&verb]["responses"].as_object().unwrap().values() {
            let words = response["description"].as_str().unwrap();
            let named = ROWS.iter().filter(|row| words.contains(&format!("`{}`", row.reason)));
            found.extend(named.map(|row| row.reason));
        }
    }
    found
}
