//! Messages, decisions and erasures in all orders, and by several callers at once: a small model knows what comes of it.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, future::join_all, stream};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use tokio::runtime::Runtime;
use tonic::Code;

use super::{Chat, ask_at, decision, new_id, number, said, state};
use crate::app::wires::{Door, Outcome};

/// Something that is done, to the customer and the dialog of these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Say(usize, usize),
    Yes(usize),
    No(usize),
    Withdraw(usize),
    Erase(usize),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Said(String),
    /// The decision that holds; how many were stored, and how many are gone.
    Decided(String, f64, f64),
    /// Messages, those that waited, dialogs, decisions.
    Erased([f64; 4]),
}

/// What should be known of a dialog.
#[derive(Clone, Debug, Default, PartialEq)]
struct Dialog {
    /// What was decided last; whose it is.
    decided: Option<(&'static str, Option<usize>)>,
    decisions: usize,
    stored: usize,
    /// Whose messages wait, and how many.
    waits: Option<(usize, usize)>,
}

/// What should be known of all.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    dialogs: [Dialog; 2],
    erased: BTreeSet<usize>,
}

impl Model {
    fn act(&mut self, act: Act) -> Answer {
        match act {
            Act::Say(customer, dialog) => Answer::Said(self.say(customer, dialog).to_owned()),
            Act::Yes(dialog) => self.yes(dialog),
            Act::No(dialog) | Act::Withdraw(dialog) => self.no(dialog),
            Act::Erase(customer) => self.erase(customer),
        }
    }

    fn say(&mut self, customer: usize, dialog: usize) -> &'static str {
        let erased = self.erased.contains(&customer);
        let dialog = &mut self.dialogs[dialog];
        if let Some((whose, waits)) = &mut dialog.waits {
            if *whose != customer {
                return "OTHER_CUSTOMER";
            }
            *waits += 1;
            return "PENDING";
        }
        match dialog.decided {
            Some((_, Some(whose))) if whose != customer => "OTHER_CUSTOMER",
            _ if erased => "ERASED",
            None => {
                dialog.waits = Some((customer, 1));
                "PENDING"
            }
            Some(("GRANTED", _)) => {
                dialog.decided = Some(("GRANTED", Some(customer)));
                dialog.stored += 1;
                "STORED"
            }
            Some(_) => "REFUSED",
        }
    }

    fn yes(&mut self, dialog: usize) -> Answer {
        let dialog = &mut self.dialogs[dialog];
        let before = dialog.decided;
        let waited = dialog.waits.take();
        let whose = before.and_then(|(_, whose)| whose).or(waited.map(|(customer, _)| customer));
        dialog.decided = Some(("GRANTED", whose));
        dialog.decisions += usize::from(before.is_none_or(|(decision, _)| decision != "GRANTED"));
        let stored = waited.map_or(0, |(_, waits)| waits);
        dialog.stored += stored;
        Answer::Decided("GRANTED".to_owned(), stored as f64, 0.0)
    }

    fn no(&mut self, dialog: usize) -> Answer {
        let dialog = &mut self.dialogs[dialog];
        let waited = dialog.waits.take().map_or(0, |(_, waits)| waits);
        let (decision, whose) = match dialog.decided {
            None => ("DENIED", None),
            Some(("GRANTED", whose)) => ("WITHDRAWN", whose),
            Some(before) => before,
        };
        dialog.decisions += usize::from(dialog.decided != Some((decision, whose)));
        dialog.decided = Some((decision, whose));
        let gone = waited + std::mem::take(&mut dialog.stored);
        Answer::Decided(decision.to_owned(), 0.0, gone as f64)
    }

    fn erase(&mut self, customer: usize) -> Answer {
        self.erased.insert(customer);
        let mut counts = [0; 4];
        for dialog in &mut self.dialogs {
            if let Some((_, waits)) = dialog.waits.take_if(|(whose, _)| *whose == customer) {
                counts[1] += waits;
            }
            if dialog.decided.is_some_and(|(_, whose)| whose == Some(customer)) {
                counts[0] += dialog.stored;
                counts[2] += 1;
                counts[3] += dialog.decisions;
                *dialog = Dialog::default();
            }
        }
        Answer::Erased(counts.map(|count: usize| count as f64))
    }
}

/// Customers and dialogs of their own, at an installation.
struct Stage<'a> {
    chat: &'a Chat,
    name: String,
}

impl Stage<'_> {
    fn customer(&self, nth: usize) -> String {
        format!("c{nth}-{}", self.name)
    }

    fn dialog(&self, nth: usize) -> String {
        format!("d{nth}-{}", self.name)
    }

    async fn act(&self, door: &Door, act: Act) -> Answer {
        let (rpc, request) = match act {
            Act::Say(customer, dialog) => {
                ("RecordMessage", said(&self.customer(customer), &self.dialog(dialog), "hello"))
            }
            Act::Yes(dialog) => {
                ("SetConsent", json!({"dialogId": self.dialog(dialog), "body": true}))
            }
            Act::No(dialog) => {
                ("SetConsent", json!({"dialogId": self.dialog(dialog), "body": false}))
            }
            Act::Withdraw(dialog) => ("WithdrawConsent", json!({"dialogId": self.dialog(dialog)})),
            Act::Erase(customer) => {
                ("EraseCustomer", json!({"customerId": self.customer(customer)}))
            }
        };
        answer(act, &ask_at(door, &self.chat.key, rpc, request).await)
    }

    /// How many messages are stored of each dialog.
    async fn stored(&self) -> [usize; 2] {
        let stored = [0, 1].map(|nth| async move {
            let request = json!({"dialogId": self.dialog(nth), "pageSize": 1_000});
            self.chat.texts(request).await.len()
        });
        join_all(stored).await.try_into().unwrap()
    }
}

fn answer(act: Act, outcome: &Outcome) -> Answer {
    if outcome.code == Code::InvalidArgument {
        return Answer::Said(outcome.failure().violations[0].1.clone());
    }
    assert_eq!(outcome.code, Code::Ok, "{act:?}: {outcome:?}");
    let answer = outcome.answer();
    match act {
        Act::Say(..) => Answer::Said(state(answer)),
        Act::Erase(_) => {
            let counts = &answer["counts"];
            let names = ["messages", "pendingMessages", "dialogs", "consents"];
            Answer::Erased(names.map(|name| number(&counts[name])))
        }
        _ => Answer::Decided(
            decision(answer),
            number(&answer["storedMessages"]),
            number(&answer["deletedMessages"]),
        ),
    }
}

/// Everything that can be done to one dialog. To say no and to withdraw is the same: they take turns.
const ALL: [Act; 5] = [Act::Say(0, 0), Act::Say(1, 0), Act::Yes(0), Act::No(0), Act::Erase(0)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_four_gives_what_the_model_knows() {
    let chat = Chat::open().await;
    let orders = (0..ALL.len().pow(4))
        .map(|nth| [0, 1, 2, 3].map(|place: u32| ALL[nth / ALL.len().pow(place) % ALL.len()]));
    let played = stream::iter(orders.enumerate()).for_each_concurrent(12, |(nth, acts)| {
        let stage = Stage { chat: &chat, name: nth.to_string() };
        async move {
            let mut model = Model::default();
            for (place, act) in acts.into_iter().enumerate() {
                let act = match act {
                    Act::No(dialog) if (nth + place) % 2 == 0 => Act::Withdraw(dialog),
                    act => act,
                };
                let answered = stage.act(&stage.chat.door, act).await;
                assert_eq!(answered, model.act(act), "{act:?} of {acts:?}");
            }
            assert_eq!(stage.stored().await[0], model.dialogs[0].stored, "{acts:?}");
        }
    });
    played.await;
    assert_nothing_without_consent(&chat).await;
}

/// Something that was done: when it was begun and answered, of all that was.
#[derive(Clone, Debug)]
struct Done {
    act: Act,
    answer: Answer,
    begun: usize,
    ended: usize,
}

/// Whether there is an order of one after another that gives these answers, and ends so. What was answered before another
/// was begun comes before it.
fn has_an_order(model: &Model, left: &[Done], stored: [usize; 2]) -> bool {
    if left.is_empty() {
        return [0, 1].map(|nth: usize| model.dialogs[nth].stored) == stored;
    }
    let first_end = left.iter().map(|done| done.ended).min().unwrap();
    left.iter().enumerate().filter(|(_, done)| done.begun < first_end).any(|(nth, done)| {
        let mut model = model.clone();
        if model.act(done.act) != done.answer {
            return false;
        }
        let rest = [&left[..nth], &left[nth + 1..]].concat();
        has_an_order(&model, &rest, stored)
    })
}

fn any_act() -> impl Strategy<Value = Act> {
    let two = || 0_usize..2;
    prop_oneof![
        6 => (two(), two()).prop_map(|(customer, dialog)| Act::Say(customer, dialog)),
        2 => two().prop_map(Act::Yes),
        1 => two().prop_map(Act::No),
        1 => two().prop_map(Act::Withdraw),
        1 => two().prop_map(Act::Erase),
    ]
}

#[test]
fn what_several_do_at_once_is_as_if_they_did_it_one_after_another() {
    let runtime = Runtime::new().unwrap();
    let chat = runtime.block_on(Chat::open());
    let mut runner =
        TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let callers = prop::collection::vec(prop::collection::vec(any_act(), 1..4), 2..5);
    runner
        .run(&callers, |callers| {
            runtime.block_on(async {
                let stage = Stage { chat: &chat, name: new_id() };
                let moment = std::sync::atomic::AtomicUsize::new(0);
                let (chat, stage) = (&chat, &stage);
                let next = &|| moment.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let played = callers.iter().map(|acts| async move {
                    let mut done = Vec::new();
                    for act in acts {
                        let begun = next();
                        let answer = stage.act(&chat.door, *act).await;
                        done.push(Done { act: *act, answer, begun, ended: next() });
                    }
                    done
                });
                let done = join_all(played).await.concat();
                let stored = stage.stored().await;
                prop_assert!(
                    has_an_order(&Model::default(), &done, stored),
                    "{done:#?} {stored:?}"
                );
                Ok(())
            })
        })
        .unwrap();
    runtime.block_on(assert_nothing_without_consent(&chat));
}

/// What must never be, whatever was done.
async fn assert_nothing_without_consent(chat: &Chat) {
    let wrong: i64 = chat
        .app
        .scalar(
            "select count(*) from messages m
             left join dialogs d using (team_id, dialog_id)
             left join customers c on c.team_id = m.team_id and c.customer_hash = m.customer_hash
             where d.granted is not true or d.customer_hash is distinct from m.customer_hash
                 or c.erased_at is not null or c.customer_id is null",
        )
        .await;
    assert_eq!(wrong, 0);
    assert!(chat.rows("messages").await > 0, "nothing was ever stored");
}
