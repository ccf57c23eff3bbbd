//! Two replicas: what is decided by one holds for what waits at the other.

use serde_json::json;

use super::{Chat, answer_at, number, said, state};
use crate::app::{Options, eventually, wires::Door};

async fn waiting(door: &Door, key: &str, customer: &str) -> f64 {
    let asked = json!({"customerId": customer, "validateOnly": true});
    let counted = answer_at(door, key, "EraseCustomer", asked).await;
    number(&counted["counts"]["pendingMessages"])
}

async fn say(door: &Door, key: &str, customer: &str, dialog: &str) -> String {
    state(&answer_at(door, key, "RecordMessage", said(customer, dialog, dialog)).await)
}

#[tokio::test]
async fn a_decision_or_an_erasure_by_one_replica_holds_for_what_waits_at_the_other() {
    let chat = Chat::open().await;
    let (_other, there) = chat.replica(Options::default()).await;
    let (here, key) = (&chat.door, chat.key.as_str());
    for (customer, dialog) in [("a", "yes"), ("b", "no"), ("c", "erased"), ("d", "open")] {
        assert_eq!(say(&there, key, customer, dialog).await, "PENDING");
    }
    chat.decide("yes", true).await;
    chat.decide("no", false).await;
    chat.erase("c").await;
    // From here on the others know: from there within seconds.
    assert_eq!(say(here, key, "a", "yes").await, "STORED");
    eventually("what waited there is stored", || async {
        chat.texts(json!({"dialogId": "yes"})).await.len() == 2
    })
    .await;
    eventually("what waited there is wiped", || async {
        waiting(&there, key, "b").await + waiting(&there, key, "c").await == 0.0
    })
    .await;
    assert_eq!(say(&there, key, "a", "yes").await, "STORED");
    assert_eq!(say(&there, key, "b", "no").await, "REFUSED");
    assert_eq!(say(&there, key, "c", "erased").await, "ERASED");
    assert_eq!(say(&there, key, "d", "open").await, "PENDING");
    assert_eq!(waiting(&there, key, "d").await, 2.0);
    // Nothing of the refusal comes back with a later consent, by whichever replica.
    chat.decide("no", true).await;
    assert_eq!(chat.texts(json!({"dialogId": "no"})).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_at_once_store_nothing_without_consent() {
    let chat = Chat::open().await;
    let (_other, there) = chat.replica(Options::default()).await;
    let key = chat.key.as_str();
    let work = (0..8_usize).map(|caller| {
        let door = if caller % 2 == 0 { &chat.door } else { &there };
        async move {
            for nth in 0..60 {
                let (customer, dialog) = (format!("c{}", nth % 7), format!("d{}", nth % 7));
                match (caller + nth) % 5 {
                    0 => drop(
                        answer_at(
                            door,
                            key,
                            "SetConsent",
                            json!({"dialogId": dialog, "body": nth % 2 == 0}),
                        )
                        .await,
                    ),
                    1 if nth % 9 == 0 => drop(
                        answer_at(door, key, "EraseCustomer", json!({"customerId": customer}))
                            .await,
                    ),
                    _ => drop(say(door, key, &customer, &dialog).await),
                }
            }
        }
    });
    futures_util::future::join_all(work).await;
    // Whatever is left settles, and then nothing is where it may not be.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let wrong = "select count(*) from messages m left join dialogs d using (team_id, dialog_id)
        left join customers c on c.team_id = m.team_id and c.customer_hash = m.customer_hash
        where d.granted is not true or c.erased_at is not null";
    assert_eq!(chat.app.scalar::<i64>(wrong).await, 0);
    for door in [&chat.door, &there] {
        for nth in 0..7 {
            let decided: i64 = chat
                .app
                .scalar(&format!("select count(*) from dialogs where dialog_id = 'd{nth}'"))
                .await;
            let erased: i64 =
                chat.app.scalar("select count(*) from customers where erased_at is not null").await;
            if decided > 0 || erased == 7 {
                assert_eq!(waiting(door, key, &format!("c{nth}")).await, 0.0, "c{nth}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_said_before_a_no_by_the_other_replica_is_not_stored_by_a_yes_after_it() {
    let chat = Chat::open().await;
    let (_other, there) = chat.replica(Options::default()).await;
    let key = chat.key.as_str();
    // The yes comes to where the message waits, before it was looked for the no.
    assert_eq!(say(&there, key, "a", "here").await, "PENDING");
    chat.decide("here", false).await;
    let granted = json!({"dialogId": "here", "body": true});
    let granted = answer_at(&there, key, "SetConsent", granted).await;
    assert_eq!(number(&granted["storedMessages"]), 0.0);
    assert_eq!(number(&granted["deletedMessages"]), 1.0);
    // Both come to the other one.
    assert_eq!(say(&there, key, "b", "both").await, "PENDING");
    chat.decide("both", false).await;
    chat.decide("both", true).await;
    eventually("what waited there is wiped", || async { waiting(&there, key, "b").await == 0.0 })
        .await;
    assert_eq!(chat.texts(json!({})).await, [""; 0]);
    assert_eq!(say(&there, key, "b", "both").await, "STORED");
    assert_eq!(chat.rows("customers").await, 1, "of whom nothing is stored is not named");
}
