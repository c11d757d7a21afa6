//! What an importance matrix says at a glance: how large activations are, how unevenly spread, how alike from layer to
//! layer. The measures are those of llama.cpp's `--show-statistics`.

use std::collections::BTreeMap;

use super::{Entry, ImportanceMatrix};
use crate::quantize::layer;

/// Mean squares up to this count as inactive.
const INACTIVE: f64 = 1e-5;

/// The mean squared activations of one weight's inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorStatistics {
    /// The weight.
    pub name: String,
    /// Its layer.
    pub layer: Option<u32>,
    /// Columns, over all matrices that saw a token.
    pub elements: usize,
    /// Sum over the columns.
    pub total: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub standard_deviation: f64,
    /// Part of the columns that is not all but zero.
    pub active: f64,
    /// Entropy of the distribution over columns, in bits.
    pub entropy: f64,
    /// Part of the columns more than one standard deviation above the mean.
    pub outliers: f64,
    /// Cosine with the same weight of the layer before; `None` for the first.
    pub similarity: Option<f64>,
}

impl TensorStatistics {
    /// Entropy over the greatest there can be.
    pub fn normalised_entropy(&self) -> f64 {
        if self.elements > 1 { self.entropy / (self.elements as f64).log2() } else { 0.0 }
    }
}

/// A layer's tensors together, each counted by its columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerStatistics {
    /// The layer.
    pub layer: u32,
    /// Sums of mean squares.
    pub total: f64,
    /// Parts of columns above one standard deviation.
    pub outliers: f64,
    /// Cosines with the layer before.
    pub similarity: f64,
}

impl ImportanceMatrix {
    /// The statistics of every weight that saw a token, by name.
    pub fn tensor_statistics(&self) -> Vec<TensorStatistics> {
        self.entries.iter().filter_map(|(name, entry)| self.of_entry(name, entry)).collect()
    }

    fn of_entry(&self, name: &str, entry: &Entry) -> Option<TensorStatistics> {
        let columns = entry.sums.len() / entry.counts.len().max(1);
        let seen = entry.sums.chunks(columns.max(1)).zip(&entry.counts).filter(|&(_, &count)| count > 0);
        let values: Vec<f64> =
            seen.flat_map(|(sums, &count)| sums.iter().map(move |&sum| f64::from(sum) / count as f64)).collect();
        let elements = values.len();
        if elements == 0 {
            return None;
        }
        let total: f64 = values.iter().sum();
        let mean = total / elements as f64;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / elements as f64 - mean * mean;
        let standard_deviation = variance.max(0.0).sqrt();
        let part = |accepted: &dyn Fn(f64) -> bool| {
            values.iter().filter(|&&value| accepted(value)).count() as f64 / elements as f64
        };
        let bits = |value: &f64| {
            let share = value / total;
            if share > 0.0 { -share * share.log2() } else { 0.0 }
        };
        Some(TensorStatistics {
            name: name.to_owned(),
            layer: layer(name),
            elements,
            total,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean,
            standard_deviation,
            active: part(&|value| value.abs() > INACTIVE),
            entropy: if total > 0.0 { values.iter().map(bits).sum() } else { 0.0 },
            outliers: part(&|value| standard_deviation > 0.0 && value - mean > standard_deviation),
            similarity: self.before(name).and_then(|before| cosine(&entry.sums, &before.sums)),
        })
    }

    /// The same weight of the layer before.
    fn before(&self, name: &str) -> Option<&Entry> {
        let layer = layer(name)?;
        let before = layer.checked_sub(1)?;
        self.entries.get(&name.replacen(&format!("blk.{layer}."), &format!("blk.{before}."), 1))
    }
}

impl LayerStatistics {
    /// The layers of some tensors.
    pub fn of(tensors: &[TensorStatistics]) -> Vec<LayerStatistics> {
        let mut layers: BTreeMap<u32, (f64, LayerStatistics)> = BTreeMap::new();
        for tensor in tensors {
            let Some(layer) = tensor.layer else { continue };
            let empty = LayerStatistics { layer, total: 0.0, outliers: 0.0, similarity: 0.0 };
            let (elements, sums) = layers.entry(layer).or_insert((0.0, empty));
            let weight = tensor.elements as f64;
            *elements += weight;
            sums.total += weight * tensor.total;
            sums.outliers += weight * tensor.outliers;
            sums.similarity += weight * tensor.similarity.unwrap_or(0.0);
        }
        let mean = |(elements, sums): (f64, LayerStatistics)| LayerStatistics {
            layer: sums.layer,
            total: sums.total / elements,
            outliers: sums.outliers / elements,
            similarity: sums.similarity / elements,
        };
        layers.into_values().map(mean).collect()
    }
}

/// Cosine of the angle between two vectors; `None` where they cannot be compared.
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let size = (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && size > 0.0).then(|| dot(a, b) / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> ImportanceMatrix {
        let entry = |sums: &[f32], counts: &[u64]| Entry { sums: sums.into(), counts: counts.into() };
        ImportanceMatrix {
            entries: BTreeMap::from([
                ("blk.0.ffn_up.weight".into(), entry(&[2.0, 0.0, 2.0, 4.0], &[2])),
                ("blk.1.ffn_up.weight".into(), entry(&[0.0, 3.0, 0.0, 0.0], &[3])),
                ("blk.1.ffn_up_exps.weight".into(), entry(&[0.0, 0.0, 4.0, 4.0], &[0, 4])),
                ("output.weight".into(), entry(&[0.0, 0.0], &[0])),
            ]),
            ..ImportanceMatrix::default()
        }
    }

    #[test]
    fn tensors_are_summed_up() {
        let found = matrix().tensor_statistics();
        assert_eq!(found.len(), 3, "what saw no token has no statistics");
        let first = &found[0];
        assert_eq!((first.elements, first.total, first.min, first.max, first.mean), (4, 4.0, 0.0, 2.0, 1.0));
        assert!((first.standard_deviation - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!((first.active, first.outliers, first.similarity), (0.75, 0.25, None));
        // A quarter, a quarter and a half.
        assert!((first.entropy - 1.5).abs() < 1e-12);
        assert!((first.normalised_entropy() - 0.75).abs() < 1e-12);
        assert_eq!(found[1].similarity, Some(0.0));
        // Of two experts one saw tokens.
        assert_eq!((found[2].elements, found[2].mean), (2, 1.0));
    }

    #[test]
    fn layers_count_tensors_by_their_columns() {
        let layers = LayerStatistics::of(&matrix().tensor_statistics());
        assert_eq!(layers.iter().map(|layer| layer.layer).collect::<Vec<_>>(), [0, 1]);
        assert!((layers[1].total - (4.0 * 1.0 + 2.0 * 2.0) / 6.0).abs() < 1e-12);
    }
}
