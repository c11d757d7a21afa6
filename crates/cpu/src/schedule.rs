//! When work runs beside other work: sets barriers, and brings work on the same rows together.
//!
//! A barrier stands before work only where it reads or overwrites something that work since the last barrier touches;
//! so products of one input, or the rotations of queries and keys, run side by side. Work that takes each row by itself
//! may join the work on the same rows just before it: then a few rows go through all of it while they are near, and no
//! thread waits in between.

use std::ops::Range;

use ascua_graph::Rows;

use crate::program::{Step, Work};
use crate::work::rows::{ByRows, RowWork};

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
        match (self, other) {
            (
                Resource::Arena { elements: a, stride: a_stride, width: a_width },
                Resource::Arena { elements: b, stride: b_stride, width: b_width },
            ) if self.overlaps(other) => {
                // Both rows within the same stretch of a stride.
                let start = a.start.min(b.start);
                let end = (a.start + a_width).max(b.start + b_width);
                a_stride == b_stride && end - start <= *a_stride
            }
            _ => !self.overlaps(other),
        }
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

/// The list of work as it grows.
#[derive(Default)]
pub(crate) struct Schedule {
    steps: Vec<Step>,
    /// What work reads and writes since the last barrier that always is one, ...
    since_barrier: Access,
    /// ... and since the last that is one where joined work does not go through rows together.
    since_any_barrier: Access,
    /// What more may join: its rows, and what it reads and writes, of which `since_barrier` has nothing yet.
    open: Option<(Rows, Access)>,
}

impl Schedule {
    /// Adds work; it waits for all threads where it must.
    pub fn push(&mut self, work: Box<dyn Work>, access: Access, label: &str) {
        self.close();
        self.add(work, &access, label);
        self.since_barrier.extend(access);
    }

    /// Adds work that takes each of `rows` by itself.
    pub fn push_rows(&mut self, work: Box<dyn RowWork>, rows: Rows, access: Access, label: &str) {
        let work = Box::new(ByRows { rows, work });
        if let Some((open_rows, open)) = &mut self.open
            && *open_rows == rows
            && access.all(open, Resource::row_by_row)
            && access.apart(&self.since_barrier)
        {
            let barrier = !access.apart(&self.since_any_barrier);
            if barrier {
                self.since_any_barrier = Access::default();
            }
            self.since_any_barrier.extend(access.clone());
            open.extend(access);
            self.steps.push(Step { barrier, joins: true, work, label: label.to_owned() });
            return;
        }
        self.close();
        self.add(work, &access, label);
        self.open = Some((rows, access));
    }

    /// The whole list.
    pub fn finish(self) -> Vec<Step> {
        self.steps
    }

    /// Adds work that joins nothing.
    fn add(&mut self, work: Box<dyn Work>, access: &Access, label: &str) {
        let barrier = !access.apart(&self.since_barrier);
        if barrier {
            self.since_barrier = Access::default();
            self.since_any_barrier = Access::default();
        }
        self.since_any_barrier.extend(access.clone());
        self.steps.push(Step { barrier, joins: false, work, label: label.to_owned() });
    }

    /// Lets nothing more join.
    fn close(&mut self) {
        if let Some((_, access)) = self.open.take() {
            self.since_barrier.extend(access);
        }
    }
}

#[cfg(test)]
mod tests;
