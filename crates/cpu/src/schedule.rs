//! When work runs beside other work: sets barriers, and brings work on the same rows together.
//!
//! A barrier stands before work only where it reads or overwrites something that work since the last barrier touches;
//! so products of one input, or the rotations of queries and keys, run side by side. Work that takes each row by itself
//! joins the work on the same rows just before it: a few rows go through all of it while they are near, and no thread
//! waits in between.

use std::ops::Range;

use ascua_graph::Rows;

use crate::program::{Step, Work};
use crate::work::rows::{RowChain, RowWork};

/// Something work reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resource {
    /// A value in the arena.
    Arena {
        /// Its elements.
        elements: Range<usize>,
        /// From one row to the next.
        stride: usize,
        /// Elements of a row.
        width: usize,
    },
    /// Bytes of the shared scratch.
    Shared(Range<usize>),
    /// A cache.
    Cache(u32),
}

impl Resource {
    pub fn overlaps(&self, other: &Resource) -> bool {
        let touch = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        match (self, other) {
            (Resource::Arena { elements: a, .. }, Resource::Arena { elements: b, .. }) => touch(a, b),
            (Resource::Shared(a), Resource::Shared(b)) => touch(a, b),
            (Resource::Cache(a), Resource::Cache(b)) => a == b,
            _ => false,
        }
    }

    /// Whether no row of one overlaps another row of the other.
    fn row_by_row(&self, other: &Resource) -> bool {
        let (Resource::Arena { elements: a, stride, width }, Resource::Arena { elements: b, stride: other_stride, .. }) =
            (self, other)
        else {
            return !self.overlaps(other);
        };
        if a.start > b.start {
            return other.row_by_row(self);
        }
        let Resource::Arena { width: other_width, .. } = other else { return false };
        let apart = b.start - a.start;
        !self.overlaps(other) || (stride == other_stride && width.max(&(apart + other_width)) <= stride)
    }
}

/// What work reads and writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub reads: Vec<Resource>,
    pub writes: Vec<Resource>,
}

impl Access {
    fn extend(&mut self, other: Access) {
        self.reads.extend(other.reads);
        self.writes.extend(other.writes);
    }

    /// Whether all pairs, of which one at least is written, are as asked.
    fn all(&self, other: &Access, asked: impl Fn(&Resource, &Resource) -> bool) -> bool {
        let each = |a: &[Resource], b: &[Resource]| a.iter().all(|a| b.iter().all(|b| asked(a, b)));
        each(&self.reads, &other.writes) && each(&self.writes, &other.writes) && each(&self.writes, &other.reads)
    }

    /// Whether neither disturbs the other.
    fn apart(&self, other: &Access) -> bool {
        self.all(other, |a, b| !a.overlaps(b))
    }
}

/// Work on rows that more may join.
struct Open {
    chain: RowChain,
    barrier: bool,
    labels: Vec<String>,
    access: Access,
}

/// The list of work as it grows.
#[derive(Default)]
pub(crate) struct Schedule {
    steps: Vec<Step>,
    /// What work since the last barrier reads and writes, but for what is open.
    since_barrier: Access,
    open: Option<Open>,
}

impl Schedule {
    /// Adds work; it waits for all threads where it must.
    pub fn push(&mut self, work: Box<dyn Work>, access: Access, label: &str) {
        self.close();
        let barrier = self.begin(&access);
        self.since_barrier.extend(access);
        self.steps.push(Step { barrier, work, label: label.to_owned() });
    }

    /// Adds work that takes each of `rows` by itself.
    pub fn push_rows(&mut self, work: Box<dyn RowWork>, rows: Rows, access: Access, label: &str) {
        if let Some(open) = &mut self.open
            && open.chain.rows == rows
            && access.all(&open.access, Resource::row_by_row)
            && access.apart(&self.since_barrier)
        {
            open.chain.works.push(work);
            open.access.extend(access);
            if open.labels.iter().all(|known| known != label) {
                open.labels.push(label.to_owned());
            }
            return;
        }
        self.close();
        let barrier = self.begin(&access);
        let chain = RowChain { rows, works: vec![work] };
        self.open = Some(Open { chain, barrier, labels: vec![label.to_owned()], access });
    }

    /// The whole list.
    pub fn finish(mut self) -> Vec<Step> {
        self.close();
        self.steps
    }

    /// Whether work needs a barrier; then what came before is done.
    fn begin(&mut self, access: &Access) -> bool {
        let barrier = !access.apart(&self.since_barrier);
        if barrier {
            self.since_barrier = Access::default();
        }
        barrier
    }

    /// Lets nothing more join.
    fn close(&mut self) {
        if let Some(Open { chain, barrier, labels, access }) = self.open.take() {
            self.since_barrier.extend(access);
            self.steps.push(Step { barrier, work: Box::new(chain), label: labels.join(" + ") });
        }
    }
}

#[cfg(test)]
mod tests;
