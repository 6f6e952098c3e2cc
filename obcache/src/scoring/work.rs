//! Computes groups side by side, and hands each over as soon as it is done.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::spawn;
use std::time::Duration;

use indicatif::ProgressBar;
use ndarray::Array2;

use super::compute::{Computation, Kept};
use super::layout::Layout;
use super::{Group, ScoringError};

/// How often a run that waits looks up whether it is interrupted.
const LOOK_UP: Duration = Duration::from_millis(50);

/// The columns of a group, or why there are none.
type Columns = Result<Vec<Array2<f64>>, ScoringError>;

/// Groups to be computed.
pub(super) struct Work {
    pub computation: Computation,
    pub groups: Vec<Group>,
    pub layout: Layout,
    /// Counts blocks.
    pub progress: ProgressBar,
}

impl Work {
    /// Computes all groups and passes each to `keep` on this thread, in whichever order they come.
    ///
    /// Where `interrupted` says so, or a group fails, the others under way are given up: their threads end with the group
    /// or with the process.
    pub fn run(
        self,
        interrupted: &dyn Fn() -> bool,
        mut keep: impl FnMut(Group, &[Array2<f64>]) -> Result<(), ScoringError>,
    ) -> Result<(), ScoringError> {
        let work = Arc::new(self);
        let next = Arc::new(AtomicUsize::new(0));
        // A result waits with its thread until it is kept, so that none but those side by side are in memory.
        let (sender, receiver) = sync_channel(0);
        let threads = (0..work.layout.side_by_side).map(|_| {
            let (work, next, sender) = (Arc::clone(&work), Arc::clone(&next), sender.clone());
            spawn(move || work.take_turns(&next, &sender))
        });
        let threads: Vec<_> = threads.collect();
        drop(sender);
        loop {
            match receiver.recv_timeout(LOOK_UP) {
                Ok((group, columns)) => keep(group, &columns?)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if interrupted() {
                return Err(ScoringError::Interrupted);
            }
        }
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        Ok(())
    }

    /// Computes the next group that nobody has taken until there is none, or nobody listens.
    fn take_turns(&self, next: &AtomicUsize, done: &SyncSender<(Group, Columns)>) {
        let mut kept = Kept::default();
        while let Some(&group) = self.groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let engine = (&self.layout.engine, &mut kept);
            let columns = self.computation.columns(group, engine, &|| self.progress.inc(1));
            if done.send((group, columns)).is_err() {
                return;
            }
        }
    }
}
