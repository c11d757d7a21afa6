//! Panels hold the integers, scales and sums of the same tokens as rows, on every level.

use super::*;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

fn prepared(layout: &Int8Layout, x: &[f32], tokens: usize) -> Vec<Line> {
    let mut out = vec![Line([0xcc; 64]); layout.bytes(tokens).div_ceil(64)];
    let rows = InputRows { data: x.as_ptr(), stride: layout.cols, tokens, index: None };
    for piece in 0..layout.pieces(tokens) {
        // SAFETY: the rows and the bytes are as large as the layout asks.
        unsafe { layout.prepare(rows, piece, out.as_mut_ptr().cast()) };
    }
    out
}

#[test]
fn panels_and_rows_hold_the_same() {
    const TOKENS: usize = 18;
    for isa in Isa::available() {
        let mut kinds = vec![Panels::Unsigned, Panels::Signed];
        if isa == Isa::Avx512Zen4 {
            kinds.push(Panels::Winograd { largest: 127 });
        }
        for panels in kinds {
            for group in [ActivationGroup::Of32, ActivationGroup::Of256] {
                for cols in [32, 64, 288, 512] {
                    if cols % group.len() == 0 {
                        compare(Int8Layout { cols, group, order: RowOrder::Natural, panels, isa }, TOKENS);
                    }
                }
            }
        }
    }
}

fn compare(layout: Int8Layout, tokens: usize) {
    let cols = layout.cols;
    let x: Vec<f32> = (0..tokens * cols).map(|i| ((i * i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect();
    let as_panels = prepared(&layout, &x, tokens);
    let plain = Int8Layout { isa: Isa::Scalar, ..layout };
    let mut squares = vec![0; cols / 16];
    for token in 0..tokens.next_multiple_of(TOKENS_PER_PANEL) {
        let zeros = vec![0.0; cols];
        let row = x.get(token * cols..(token + 1) * cols).unwrap_or(&zeros);
        let (expected, found) = (prepared(&plain, row, 1), prepared(&layout, row, 1));
        let lane = token % TOKENS_PER_PANEL;
        if lane == 0 {
            squares.fill(0);
        }
        // SAFETY: every view covers `cols` elements.
        unsafe {
            let expected = layout.row(expected.as_ptr().cast(), 0);
            let found = layout.row(found.as_ptr().cast(), 0);
            let panel = layout.panel(as_panels.as_ptr().cast(), token / TOKENS_PER_PANEL);
            for k in 0..cols {
                let at = (k / 4 * TOKENS_PER_PANEL + lane) * 4 + k % 4;
                let in_panel = (*panel.values.add(at) ^ layout.panels.flip(k)) as i8;
                let value = *expected.values.add(k);
                assert_eq!((*found.values.add(k), in_panel), (value, value), "{layout:?} token {token} element {k}");
                let scale = *expected.scales.add(k / 32);
                let in_panel = *panel.scales.add(k / layout.group.len() * TOKENS_PER_PANEL + lane);
                assert_eq!((*found.scales.add(k / 32), in_panel), (scale, scale), "{layout:?} token {token}");
                let unit = if layout.group == ActivationGroup::Of32 { scale } else { 1.0 };
                let sum = unit * f32::from(*expected.sums16.add(k / 16));
                assert_eq!(*panel.sums16.add(k / 16 * TOKENS_PER_PANEL + lane), sum, "{layout:?} token {token}");
                let sum = unit * f32::from(*expected.sums32.add(k / 32));
                assert_eq!(*panel.sums32.add(k / 32 * TOKENS_PER_PANEL + lane), sum, "{layout:?} token {token}");
                if layout.group == ActivationGroup::Of256 {
                    let pair = |at: usize| 2 * (at / 2 * TOKENS_PER_PANEL + lane) + at % 2;
                    let (of16, of32) = (*panel.pairs16.add(pair(k / 16)), *panel.pairs32.add(pair(k / 32)));
                    let expected = (*expected.sums16.add(k / 16), *expected.sums32.add(k / 32));
                    assert_eq!((of16, of32), expected, "{layout:?} token {token}");
                }
            }
            for (k, most) in squares.iter_mut().enumerate() {
                let values = std::slice::from_raw_parts(expected.values.add(16 * k), 16);
                if let Panels::Winograd { .. } = layout.panels {
                    let start = start_of(values);
                    assert_eq!(*panel.starts16.add(k * TOKENS_PER_PANEL + lane), start, "{layout:?} token {token}");
                    let other = std::slice::from_raw_parts(expected.values.add(16 * (k ^ 1)), 16);
                    let whole = *panel.starts32.add(k / 2 * TOKENS_PER_PANEL + lane);
                    assert_eq!(whole, start + start_of(other), "{layout:?} token {token}");
                }
                *most = values.iter().map(|value| i32::from(*value).pow(2)).sum::<i32>().max(*most);
                if lane == TOKENS_PER_PANEL - 1 && (Isa::Avx512..=Isa::Avx512Zen4).contains(&layout.isa) {
                    assert_eq!(*panel.squares16.add(k), *most as f32, "{layout:?} squares {k} up to token {token}");
                }
            }
        }
    }
}

/// What Winograd's inner products of these values start from, for their part.
fn start_of(values: &[i8]) -> i32 {
    let of_eight = |eight: &[i8]| (0..4).map(|k| (i32::from(eight[k]) + 128) * i32::from(eight[4 + k])).sum::<i32>();
    -values.chunks(8).map(of_eight).sum::<i32>()
}

#[test]
fn fewer_levels_leave_room_for_weights() {
    const COLS: usize = 512;
    if !Isa::Avx512Zen4.is_available() {
        return;
    }
    let x: Vec<f32> = (0..9 * COLS).map(|i| ((i * i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect();
    for (largest, group) in [(112, ActivationGroup::Of32), (120, ActivationGroup::Of256)] {
        let (panels, order) = (Panels::Winograd { largest }, RowOrder::Natural);
        let layout = Int8Layout { cols: COLS, group, order, panels, isa: Isa::Avx512Zen4 };
        let found = prepared(&layout, &x, 9);
        let panel = layout.panel(found.as_ptr().cast(), 0);
        for (token, k) in (0..9).flat_map(|token| (0..COLS).map(move |k| (token, k))) {
            // SAFETY: the view covers the columns of sixteen tokens.
            let (byte, scale) = unsafe {
                let scale = *panel.scales.add(k / group.len() * TOKENS_PER_PANEL + token);
                (*panel.values.add((k / 4 * TOKENS_PER_PANEL + token) * 4 + k % 4), scale)
            };
            let value = (byte ^ panels.flip(k)) as i8;
            assert!(value.unsigned_abs() <= largest as u8, "token {token}, element {k}: {value}");
            let (seen, x) = (scale * f32::from(value), x[token * COLS + k]);
            assert!((seen - x).abs() <= 0.5001 * scale, "token {token}, element {k}: {seen} of {x}");
        }
    }
}

#[test]
fn orders_are_the_same_values_elsewhere() {
    const COLS: usize = 512;
    let x: Vec<f32> = (0..COLS).map(|i| ((i * i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect();
    for isa in Isa::available() {
        let natural = Int8Layout {
            cols: COLS,
            group: ActivationGroup::Of256,
            order: RowOrder::Natural,
            panels: Panels::Never,
            isa,
        };
        // Where the value at a place of a vector comes from.
        type From = fn(vector: usize, place: usize) -> usize;
        let orders: [(RowOrder, From); 3] = [
            (RowOrder::Eights, |vector, place| place / 8 * 32 + vector * 8 + place % 8),
            (RowOrder::Fourths, |vector, place| 4 * place + vector),
            (RowOrder::Halves, |vector, place| vector / 2 * 128 + 2 * place + vector % 2),
        ];
        for (order, from) in orders {
            let other = Int8Layout { order, ..natural };
            let (expected, found) = (prepared(&natural, &x, 1), prepared(&other, &x, 1));
            let (expected, found) = (natural.row(expected.as_ptr().cast(), 0), other.row(found.as_ptr().cast(), 0));
            for (block, vector, place) in (0..COLS).map(|n| (n / 256, n / 64 % 4, n % 64)) {
                let (from, to) = (block * 256 + from(vector, place), block * 256 + vector * 64 + place);
                // SAFETY: the views cover the columns.
                let (expected, found) = unsafe { (*expected.values.add(from), *found.values.add(to)) };
                assert_eq!(found, expected, "{isa}, {order:?}, block {block}, vector {vector}, {place}");
            }
            for k in 0..COLS / 16 {
                // SAFETY: as above.
                let (expected, found) = unsafe { (*expected.sums16.add(k), *found.sums16.add(k)) };
                assert_eq!(found, expected, "{isa}, sum {k}");
            }
        }
    }
}

#[test]
fn outliers_are_listed_and_leave_zeros() {
    const TOKENS: usize = 21;
    for (isa, cols) in Isa::available().into_iter().flat_map(|isa| [160, 288, 768].map(|cols| (isa, cols))) {
        let layout =
            Int8Layout { cols, group: ActivationGroup::Of32, order: RowOrder::Natural, panels: Panels::Signed, isa };
        let mut rest: Vec<f32> = (0..TOKENS * cols).map(|i| ((i * i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect();
        let mut x = rest.clone();
        // Of even tokens; the span after the first has none in the odd columns.
        let far = |token: usize, col: usize| token.is_multiple_of(2) && [5, 64, cols - 1].contains(&col);
        for (i, (x, rest)) in x.iter_mut().zip(&mut rest).enumerate() {
            if far(i / cols, i % cols) {
                (*x, *rest) = (-70.0 - (i % 7) as f32, 0.0);
            }
        }
        let (found, expected) = (prepared(&layout, &x, TOKENS), prepared(&layout, &rest, TOKENS));
        let (found, expected) = (found.as_ptr().cast::<u8>(), expected.as_ptr().cast::<u8>());
        for panel in 0..layout.pieces(TOKENS) {
            for span in 0..cols.div_ceil(PADDING) {
                // SAFETY: both have the panel and its spans.
                let (found, none) = unsafe {
                    (layout.outliers(found, panel).of_span(span), layout.outliers(expected, panel).of_span(span))
                };
                assert_eq!((none.present, none.iter().count()), (0, 0), "{isa}");
                let in_span = |col: &usize| col / PADDING == span;
                let (mut listed, mut present) = (Vec::new(), 0);
                for col in [5, 64, cols - 1].into_iter().filter(in_span) {
                    for lane in 0..TOKENS_PER_PANEL {
                        let token = panel * TOKENS_PER_PANEL + lane;
                        if token < TOKENS && far(token, col) {
                            listed.push((col % PADDING, lane, x[token * cols + col]));
                            present |= 1 << lane;
                        }
                    }
                }
                let found = (found.present, found.iter().collect::<Vec<_>>());
                assert_eq!(found, (present, listed), "{isa}, {cols} columns, panel {panel}");
            }
            let (found, expected) = (layout.panel(found, panel), layout.panel(expected, panel));
            for k in 0..cols * TOKENS_PER_PANEL {
                // SAFETY: a panel has as many bytes.
                let (found, expected) = unsafe { (*found.values.add(k), *expected.values.add(k)) };
                assert_eq!(found, expected, "{isa}, {cols} columns, panel {panel}, byte {k}");
            }
        }
    }
}
