//! `WatchImport` for one reader: the import, and again as it changes.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{sync::watch, time};

use super::{shelf::Import, wire::imports};
use crate::{
    proto::tap_v1::WatchImportResponse,
    streams::{EndReason, HEARTBEAT, Lifeline},
};

/// At most ten frames a second.
const FRAME_INTERVAL: Duration = Duration::from_millis(100);

/// One reader of an import.
#[derive(Debug)]
pub struct Watcher {
    import: Arc<Import>,
    idle: TimeDelta,
    changes: watch::Receiver<()>,
    lifeline: Lifeline,
    step: Step,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    First,
    Changes,
    End(EndReason),
    Over,
}

impl Watcher {
    /// For an import that is held.
    #[must_use]
    pub fn new(import: Arc<Import>, idle: TimeDelta, lifeline: Lifeline) -> Self {
        let changes = import.changes.subscribe();
        Self { import, idle, changes, lifeline, step: Step::First }
    }

    /// The next frame; `None` after the last one.
    pub async fn next(&mut self) -> Option<WatchImportResponse> {
        match self.step {
            Step::First => Some(self.show()),
            Step::Changes => Some(self.change().await),
            Step::End(reason) => {
                self.step = Step::Over;
                Some(imports::end(reason))
            }
            Step::Over => None,
        }
    }

    /// The import as it is now.
    fn show(&mut self) -> WatchImportResponse {
        // What comes from here on is another change.
        self.changes.mark_unchanged();
        let frame = imports::frame(imports::held_import(&self.import, self.idle));
        let rests = self.import.held().state.rests() && !self.changes.has_changed().unwrap_or(true);
        self.step = if rests { Step::End(EndReason::Done) } else { Step::Changes };
        frame
    }

    /// Waits for a change, but not for longer than readers wait for a sign of life.
    async fn change(&mut self) -> WatchImportResponse {
        tokio::select! {
            biased;
            reason = self.lifeline.ended() => {
                self.step = Step::Over;
                return imports::end(reason);
            }
            changed = time::timeout(HEARTBEAT, self.changes.changed()) => {
                if changed.is_err() {
                    return imports::heartbeat();
                }
            }
        }
        // Changes come by the thousand: some of them together.
        time::sleep(FRAME_INTERVAL).await;
        self.show()
    }
}
