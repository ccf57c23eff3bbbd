//! Group commit: what callers bring for a team while a commit of that team is under way is committed together
//! next.
//!
//! Each team has a line of its own and one commit under way at a time. So a lone caller waits for nothing, and
//! many share the cost of a commit. How much may stand in a line is for whoever lets callers in.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::TeamId;

/// What commits groups.
pub trait Commits: Send + Sync + 'static {
    /// What stands in a line: something to commit, and who waits for it.
    type Waiting: Send + 'static;
    /// The weight of a group at most, unless one alone is heavier.
    const WEIGHT_MAX: usize;

    /// How heavy one is.
    fn weight(waiting: &Self::Waiting) -> usize;

    /// Whether nobody waits for it any more, so that it can be left out. Asked often.
    fn is_given_up(waiting: &Self::Waiting) -> bool;

    /// Commits a group, and tells who waits. The turn is one of those that there are at a time: not to be held
    /// while nothing is done.
    fn commit(
        &self,
        team: TeamId,
        group: Vec<Self::Waiting>,
        turn: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send;
}

/// The lines of all teams.
pub struct Lines<C: Commits> {
    committer: C,
    turns: Arc<Semaphore>,
    /// Of the teams that have a commit under way.
    waiting: Mutex<HashMap<TeamId, VecDeque<C::Waiting>>>,
}

impl<C: Commits + fmt::Debug> fmt::Debug for Lines<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("committer", &self.committer).finish_non_exhaustive()
    }
}

impl<C: Commits> Lines<C> {
    /// Empty lines; as many commits at a time as there are turns.
    #[must_use]
    pub fn new(committer: C, turns: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self { committer, turns, waiting: Mutex::default() })
    }

    /// What commits.
    #[must_use]
    pub fn committer(&self) -> &C {
        &self.committer
    }

    /// Joins the line of a team: what joins later is committed later.
    pub fn join(self: &Arc<Self>, team: TeamId, waiting: C::Waiting) {
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(&team) {
            // While a commit takes long, those who come and go must not pile up.
            line.retain(|waiting| !C::is_given_up(waiting));
            line.push_back(waiting);
            return;
        }
        lines.insert(team, VecDeque::from([waiting]));
        drop(lines);
        tokio::spawn(Arc::clone(self).serve(team));
    }

    /// Commits until nobody waits.
    async fn serve(self: Arc<Self>, team: TeamId) {
        // Should this ever panic, who waits is told, and the next one begins a new line.
        let gone = Gone(&self, team);
        loop {
            // First the turn, then the group: it grows while it waits for its turn.
            let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return };
            let Some(group) = self.next_group(team) else { break };
            self.committer.commit(team, group, turn).await;
        }
        std::mem::forget(gone);
    }

    /// What is committed together next; `None`, and the line is gone, when nobody waits.
    fn next_group(&self, team: TeamId) -> Option<Vec<C::Waiting>> {
        let mut lines = self.lines();
        let line = lines.get_mut(&team)?;
        line.retain(|waiting| !C::is_given_up(waiting));
        let (mut group, mut weight) = (Vec::new(), 0);
        while let Some(next) = line.front() {
            weight += C::weight(next);
            if weight > C::WEIGHT_MAX && !group.is_empty() {
                break;
            }
            group.extend(line.pop_front());
        }
        if group.is_empty() {
            lines.remove(&team);
            return None;
        }
        Some(group)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<TeamId, VecDeque<C::Waiting>>> {
        // Nothing can be half done under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a line that is no longer served.
struct Gone<'a, C: Commits>(&'a Lines<C>, TeamId);

impl<C: Commits> Drop for Gone<'_, C> {
    fn drop(&mut self) {
        self.0.lines().remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    /// Numbers, and who waits for them; each commit is noted, and takes until it is let go.
    struct Noted {
        groups: Mutex<Vec<Vec<usize>>>,
        go: Semaphore,
    }

    impl Commits for Noted {
        type Waiting = (usize, oneshot::Sender<()>);
        const WEIGHT_MAX: usize = 10;

        fn weight((number, _): &Self::Waiting) -> usize {
            *number
        }

        fn is_given_up((_, done): &Self::Waiting) -> bool {
            done.is_closed()
        }

        async fn commit(&self, _: TeamId, group: Vec<Self::Waiting>, _: OwnedSemaphorePermit) {
            let numbers = group.iter().map(|(number, _)| *number).collect();
            self.groups.lock().unwrap().push(numbers);
            self.go.acquire().await.unwrap().forget();
            for (_, done) in group {
                let _caller_gone = done.send(());
            }
        }
    }

    fn lines() -> Arc<Lines<Noted>> {
        let noted = Noted { groups: Mutex::default(), go: Semaphore::new(0) };
        Lines::new(noted, Arc::new(Semaphore::new(2)))
    }

    /// Joins, and waits until the commit of the first has begun.
    async fn begin(lines: &Arc<Lines<Noted>>, team: i32, number: usize) -> oneshot::Receiver<()> {
        let before = lines.committer().groups.lock().unwrap().len();
        let (done, answer) = oneshot::channel();
        lines.join(TeamId(team), (number, done));
        while lines.committer().groups.lock().unwrap().len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        answer
    }

    #[tokio::test]
    async fn what_comes_during_a_commit_goes_into_the_next_as_far_as_it_fits() {
        let lines = lines();
        let mut answers = vec![begin(&lines, 1, 1).await];
        for number in [2, 3, 4, 5, 20, 1] {
            let (done, answer) = oneshot::channel();
            lines.join(TeamId(1), (number, done));
            answers.push(answer);
        }
        lines.committer().go.add_permits(100);
        for answer in answers {
            answer.await.unwrap();
        }
        let groups = lines.committer().groups.lock().unwrap().clone();
        assert_eq!(groups, [vec![1], vec![2, 3, 4], vec![5], vec![20], vec![1]]);
    }

    #[tokio::test]
    async fn those_who_come_and_go_do_not_pile_up() {
        let lines = lines();
        let first = begin(&lines, 1, 1).await;
        for _ in 0..100 {
            let (done, answer) = oneshot::channel();
            lines.join(TeamId(1), (1, done));
            drop(answer);
        }
        assert_eq!(lines.lines()[&TeamId(1)].len(), 1);
        lines.committer().go.add_permits(100);
        first.await.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_left_out_and_teams_do_not_wait_for_each_other() {
        let lines = lines();
        let first = begin(&lines, 1, 1).await;
        for keep in [false, true] {
            let (done, answer) = oneshot::channel();
            lines.join(TeamId(1), (if keep { 3 } else { 2 }, done));
            if keep {
                tokio::spawn(answer);
            }
        }
        let other = begin(&lines, 2, 7).await;
        lines.committer().go.add_permits(100);
        first.await.unwrap();
        other.await.unwrap();
        while !lines.lines().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let groups = lines.committer().groups.lock().unwrap().clone();
        assert_eq!(groups, [vec![1], vec![7], vec![3]]);
    }
}
