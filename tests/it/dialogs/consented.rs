//! That nothing is stored without consent is up to the store: no statement of the service can do otherwise, nor any that
//! its role may run.

use tokio_postgres::{Client, NoTls, error::SqlState};
use uuid::Uuid;

use super::Chat;
use crate::{app::connect, sql::files};

/// A connection as the service has it for a team.
async fn as_service(chat: &Chat) -> Client {
    let mut config: tokio_postgres::Config = chat.app.store.database_url.parse().unwrap();
    let (client, connection) = config.user("tap_app").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("set app.team_id = '{}'", chat.team.id)).await.unwrap();
    client
}

/// A customer who never agreed, one who no longer does, and one who does: each in a dialog of their own name.
async fn three() -> Chat {
    let chat = Chat::open().await;
    for (name, decisions) in
        [("denied", &[false][..]), ("withdrawn", &[true, false]), ("granted", &[true])]
    {
        chat.say(name, name, "something").await;
        for granted in decisions {
            chat.decide(name, *granted).await;
        }
    }
    assert_eq!(chat.rows("messages").await, 1);
    chat
}

/// The customer of a dialog that has one, or that of another dialog.
async fn hash(chat: &Chat, dialog: &str) -> Vec<u8> {
    let hash = format!(
        "select coalesce(
             (select customer_hash from dialogs where dialog_id = '{dialog}'),
             (select customer_hash from dialogs where dialog_id = 'granted'))"
    );
    chat.app.scalar(&hash).await
}

#[tokio::test]
async fn the_one_statement_that_stores_messages_stores_none_without_consent() {
    let chat = three().await;
    let writing: Vec<(String, String)> = files()
        .into_iter()
        .filter(|(_, text)| {
            let text = text.to_lowercase();
            ["insert into messages", "merge into messages", "copy messages"]
                .iter()
                .any(|words| text.split_whitespace().collect::<Vec<_>>().join(" ").contains(words))
        })
        .collect();
    let names: Vec<&str> = writing.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dialogs/insert_messages"]);

    let service = as_service(&chat).await;
    for (dialog, whose, stored) in [
        ("nowhere", "granted", 0),
        ("denied", "denied", 0),
        ("withdrawn", "withdrawn", 0),
        ("granted", "withdrawn", 0),
        ("granted", "granted", 1),
    ] {
        let rows = service
            .query(
                &writing[0].1,
                &[
                    &chat.team.id.0,
                    &vec![Uuid::now_v7()],
                    &vec![dialog],
                    &vec![hash(&chat, whose).await],
                    &vec![None::<Uuid>],
                    &vec!["en"],
                    &vec!["text"],
                    &vec![crate::app::now()],
                ],
            )
            .await
            .unwrap();
        assert_eq!(rows.len(), stored, "{dialog} of {whose}");
    }
}

#[tokio::test]
async fn no_other_statement_that_the_service_may_run_can_either() {
    let chat = three().await;
    let service = as_service(&chat).await;
    let insert = "insert into messages (team_id, message_id, dialog_id, customer_hash, consented, language, text, received_at)
        values ($1, gen_random_uuid(), $2, $3, $4, 'en', 'text', now())";
    for (dialog, whose, consented, refused) in [
        ("nowhere", "granted", true, SqlState::FOREIGN_KEY_VIOLATION),
        ("denied", "denied", true, SqlState::FOREIGN_KEY_VIOLATION),
        ("withdrawn", "withdrawn", true, SqlState::FOREIGN_KEY_VIOLATION),
        ("withdrawn", "withdrawn", false, SqlState::CHECK_VIOLATION),
        ("granted", "withdrawn", true, SqlState::FOREIGN_KEY_VIOLATION),
    ] {
        let whose = hash(&chat, whose).await;
        let done = service.execute(insert, &[&chat.team.id.0, &dialog, &whose, &consented]).await;
        assert_eq!(done.unwrap_err().code(), Some(&refused), "{dialog}");
    }
    // It is no matter of what the test can do: with consent the same is stored.
    let granted = hash(&chat, "granted").await;
    service.execute(insert, &[&chat.team.id.0, &"granted", &granted, &true]).await.unwrap();

    // Nor can what is stored lose its consent, its dialog or its customer, and stay.
    for (change, refused) in [
        (
            "update dialogs set granted = false where dialog_id = 'granted'",
            SqlState::FOREIGN_KEY_VIOLATION,
        ),
        (
            "update dialogs set customer_hash = null where dialog_id = 'granted'",
            SqlState::FOREIGN_KEY_VIOLATION,
        ),
        ("delete from dialogs where dialog_id = 'granted'", SqlState::FOREIGN_KEY_VIOLATION),
        ("update messages set dialog_id = 'denied'", SqlState::INSUFFICIENT_PRIVILEGE),
        ("update messages set consented = true", SqlState::INSUFFICIENT_PRIVILEGE),
        ("delete from customers", SqlState::INSUFFICIENT_PRIVILEGE),
        ("delete from consents", SqlState::INSUFFICIENT_PRIVILEGE),
        ("update consents set decision = 'GRANTED'", SqlState::INSUFFICIENT_PRIVILEGE),
        ("delete from erasures", SqlState::INSUFFICIENT_PRIVILEGE),
        ("update erasures set messages = 0", SqlState::INSUFFICIENT_PRIVILEGE),
    ] {
        let done = service.batch_execute(change).await;
        assert_eq!(done.unwrap_err().code(), Some(&refused), "{change}");
    }
    assert_eq!(chat.rows("messages").await, 2);
}

#[tokio::test]
async fn what_spans_teams_cannot_read_what_was_said() {
    let chat = three().await;
    let mut config: tokio_postgres::Config = chat.app.store.database_url.parse().unwrap();
    let (system, connection) = config.user("tap_system").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    for read in [
        "select 1 from messages",
        "select 1 from consents",
        "select customer_id from customers",
        "select granted from dialogs",
        "select purpose from dialog_settings",
    ] {
        let done = system.batch_execute(read).await;
        assert_eq!(done.unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{read}");
    }
    // As administrator all of it is there.
    connect(&chat.app.store.database_url)
        .await
        .batch_execute("select text from messages")
        .await
        .unwrap();
}
