//! What joins and what waits.

use std::ops::Range;

use ascua_graph::{RowUnit, Rows};

use super::{Access, Resource, Schedule};
use crate::program::{Context, Size, Work};
use crate::work::rows::RowWork;

struct Nothing;

impl Work for Nothing {
    fn size(&self, _: &Context<'_>) -> Size {
        Size::chunks(0, 1)
    }

    unsafe fn run(&self, _: &Context<'_>, _: Range<usize>, _: &mut [u8]) {}
}

impl RowWork for Nothing {
    unsafe fn rows(&self, _: &Context<'_>, _: Range<usize>) {}
}

const TOKENS: Rows = Rows { unit: RowUnit::Tokens, per: 1 };
const OUTPUTS: Rows = Rows { unit: RowUnit::Outputs, per: 1 };

/// Ten rows from `start` on.
fn value(start: usize, stride: usize, width: usize) -> Resource {
    Resource::Arena { elements: start..start + 9 * stride + width, stride, width }
}

enum Kind {
    Whole,
    Each(Rows),
}

/// The list of (name, kind, reads, writes), in words: `|` where there is a barrier, `+` where work joins the work before
/// it, `|+` where it does and there is a barrier if it goes by itself.
fn listed<const N: usize>(work: [(&str, Kind, Vec<Resource>, Vec<Resource>); N]) -> String {
    let mut schedule = Schedule::default();
    for (name, kind, reads, writes) in work {
        let access = Access { reads, writes };
        match kind {
            Kind::Whole => schedule.push(Box::new(Nothing), access, name),
            Kind::Each(rows) => schedule.push_rows(Box::new(Nothing), rows, access, name),
        }
    }
    let mut words = Vec::new();
    for step in schedule.finish() {
        let sign = [["", "|"], ["+", "|+"]][usize::from(step.joins)][usize::from(step.barrier)];
        words.push([sign, &step.label].join(" ").trim().to_owned());
    }
    words.join(" ")
}

#[test]
fn work_on_the_same_rows_joins() {
    let (a, b, c) = (value(0, 64, 64), value(1000, 64, 64), value(2000, 64, 64));
    let prepared = Resource::Shared(0..100);
    let list = [
        ("add", Kind::Each(TOKENS), vec![a.clone(), b.clone()], vec![c.clone()]),
        // Over what was read: row for row.
        ("norm", Kind::Each(TOKENS), vec![c.clone()], vec![b.clone()]),
        ("prepare", Kind::Each(TOKENS), vec![b.clone()], vec![prepared.clone()]),
        ("first product", Kind::Whole, vec![prepared.clone()], vec![value(3000, 32, 32)]),
        ("second product", Kind::Whole, vec![prepared], vec![value(4000, 32, 32)]),
        ("gate", Kind::Each(TOKENS), vec![value(3000, 32, 32), value(4000, 32, 32)], vec![value(5000, 32, 32)]),
    ];
    assert_eq!(listed(list), "add |+ norm |+ prepare | first product second product | gate");
}

#[test]
fn parts_of_a_row_stay_with_it() {
    let (whole, left, right) = (value(0, 64, 64), value(0, 64, 32), value(32, 64, 32));
    let list = [
        ("norm", Kind::Each(TOKENS), vec![value(1000, 64, 64)], vec![whole]),
        ("rotate", Kind::Each(TOKENS), vec![left], vec![value(2000, 32, 32)]),
        ("store", Kind::Each(TOKENS), vec![right], vec![Resource::Cache(0)]),
        ("attend", Kind::Whole, vec![Resource::Cache(0)], vec![value(4000, 32, 32)]),
    ];
    assert_eq!(listed(list), "norm |+ rotate + store | attend");
}

#[test]
fn rows_of_another_kind_or_elsewhere_wait() {
    let a = value(0, 64, 64);
    let other = |rows, reads: Resource| {
        let norm = ("norm", Kind::Each(TOKENS), vec![value(5000, 64, 64)], vec![value(0, 64, 64)]);
        listed([norm, ("then", Kind::Each(rows), vec![reads], vec![value(9000, 64, 64)])])
    };
    assert_eq!(other(TOKENS, a.clone()), "norm |+ then");
    assert_eq!(other(OUTPUTS, a), "norm | then");
    // The same elements in shorter rows, and rows that begin in the middle of others.
    assert_eq!(other(TOKENS, value(0, 32, 32)), "norm | then");
    assert_eq!(other(TOKENS, value(32, 64, 64)), "norm | then");
    assert_eq!(other(TOKENS, value(64, 64, 64)), "norm | then");
}

#[test]
fn what_meets_work_before_the_chain_waits() {
    let (x, y) = (value(0, 64, 64), value(1000, 64, 64));
    let list = [
        ("product", Kind::Whole, vec![Resource::Shared(0..100)], vec![x.clone()]),
        ("norm", Kind::Each(TOKENS), vec![value(2000, 64, 64)], vec![y.clone()]),
        ("add", Kind::Each(TOKENS), vec![x, y], vec![value(3000, 64, 64)]),
    ];
    assert_eq!(listed(list), "product norm | add");
}
