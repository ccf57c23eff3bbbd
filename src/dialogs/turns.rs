//! Turns: what happens to a dialog, or to a customer, happens one after another on this replica.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard},
    time,
};

use crate::{error::Error, ids::TeamId, streams::TURN_TIMEOUT};

/// Room that is kept when nobody waits.
const SPARE: usize = 1_024;

/// What happens to customers and dialogs. Whoever needs both takes that of the customer first.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub customers: Turns<Key>,
    pub dialogs: Turns<Key>,
}

/// A customer, or a dialog, of a team.
pub type Key = (TeamId, Box<str>);

/// The turns of all that have somebody waiting, or at work.
pub struct Turns<K>(Arc<Mutex<HashMap<K, Arc<Turn<()>>>>>);

impl<K> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> fmt::Debug for Turns<K> {
    /// Says nothing of whose they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Waits for a turn; it is over when what is returned is dropped.
    ///
    /// # Errors
    /// [`Error::Busy`] when others take too long.
    pub async fn take(&self, key: K) -> Result<Taken<K>, Error> {
        let turn = Arc::clone(self.turns().entry(key.clone()).or_default());
        // Removes it from the map also if the wait is cut off.
        let mut taken = Taken { turns: self.clone(), key, guard: None };
        let guard = time::timeout(TURN_TIMEOUT, turn.lock_owned()).await;
        taken.guard = Some(guard.map_err(|_| Error::Busy)?);
        Ok(taken)
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<K, Arc<Turn<()>>>> {
        // Nothing can be half done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody's turn.
pub struct Taken<K: Clone + Eq + Hash> {
    turns: Turns<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K: Clone + Eq + Hash> fmt::Debug for Taken<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taken")
    }
}

impl<K: Clone + Eq + Hash> Drop for Taken<K> {
    fn drop(&mut self) {
        let mut turns = self.turns.turns();
        self.guard = None;
        // Whoever waits has one too, taken under this lock.
        if turns.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.key);
        }
        if turns.capacity() > SPARE && turns.len() * 8 < turns.capacity() {
            turns.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let turns: Turns<u8> = Turns::default();
        let at_work = Arc::new([const { AtomicUsize::new(0) }; 3]);
        let work = (0..300).map(|nth| {
            let (turns, at_work) = (turns.clone(), Arc::clone(&at_work));
            tokio::spawn(async move {
                let key = nth % 3;
                let _turn = turns.take(u8::try_from(key).unwrap()).await.unwrap();
                assert_eq!(at_work[key].fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                at_work[key].fetch_sub(1, Ordering::SeqCst);
            })
        });
        for done in work.collect::<Vec<_>>() {
            done.await.unwrap();
        }
        assert!(turns.turns().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_and_holds_up_nobody() {
        let turns: Turns<u8> = Turns::default();
        let first = turns.take(1).await.unwrap();
        let waited = time::timeout(Duration::from_millis(10), turns.take(1)).await;
        assert!(waited.is_err());
        drop(first);
        assert!(turns.turns().is_empty());
        turns.take(1).await.unwrap();
    }
}
