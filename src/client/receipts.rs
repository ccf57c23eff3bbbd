//! Receipts of the latest events that were accepted, and what they tell.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

/// What became of an event, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no receipt: it is not answered yet, it was dropped, or its receipt is forgotten.
    NoReceipt,
    /// The service has it, and has not checked it yet.
    Pending,
    /// It is an event. `duplicate`: it was stored before, and came again.
    Stored { event_id: String, duplicate: bool },
    /// It is an event error with this id: there it says what is wrong.
    Rejected { error_id: String },
}

/// Receipts by event id, as many as fit, the latest.
#[derive(Debug)]
pub(super) struct Receipts {
    room: usize,
    order: VecDeque<Uuid>,
    by_event: HashMap<Uuid, String>,
}

impl Receipts {
    pub(super) fn new(room: usize) -> Self {
        Self { room, order: VecDeque::new(), by_event: HashMap::new() }
    }

    pub(super) fn keep(&mut self, event_id: Uuid, receipt: String) {
        if self.room == 0 {
            return;
        }
        if self.by_event.insert(event_id, receipt).is_none() {
            self.order.push_back(event_id);
        }
        if self.order.len() > self.room
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_event.remove(&oldest);
        }
    }

    pub(super) fn of(&self, event_id: Uuid) -> Option<String> {
        self.by_event.get(&event_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let mut receipts = Receipts::new(2);
        let ids = [1, 2, 3].map(Uuid::from_u128);
        for (id, receipt) in ids.into_iter().zip(["a", "b", "c"]) {
            receipts.keep(id, receipt.to_owned());
            // The same again takes no room.
            receipts.keep(id, receipt.to_owned());
        }
        assert_eq!(ids.map(|id| receipts.of(id)), [None, Some("b".into()), Some("c".into())]);
        let mut none = Receipts::new(0);
        none.keep(ids[0], "a".to_owned());
        assert_eq!(none.of(ids[0]), None);
    }
}
