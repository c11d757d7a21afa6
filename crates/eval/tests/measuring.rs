//! Measuring a small model of random weights: what is saved and compared agrees with plain sums over its logits; a model
//! is no way from itself; what activations were observed is what the counts say.

mod support;

use std::io::Write as _;
use std::path::Path;

use ascua::engine::Observe;
use ascua::{ContextChoice, Flow, Model, ModelOptions, Precision};
use ascua_convert::quantize::FileType;
use ascua_eval::synthetic::Shape;
use ascua_eval::{
    BaseLogits, ImatrixOptions, PerplexityOptions, imatrix, kl_divergence, logits, perplexity, perplexity_saving,
    strided, strided_context,
};
use support::{TINY, written};

const WINDOW: usize = 32;

fn opened(path: &Path, options: ModelOptions) -> Model {
    let context = ContextChoice::Tokens(2 * WINDOW);
    Model::open(path, &ModelOptions { context, precision: Precision::Exact, step_outputs: 7, ..options }).unwrap()
}

fn tokens(count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| (i * i * 7 + i * 13) % 257).collect()
}

/// `-log p` of each token after the first, by plain sums.
fn likelihoods(model: &mut Model, tokens: &[u32]) -> Vec<f64> {
    let mut found = Vec::new();
    let mut row = 0;
    logits(model, tokens, &mut |logits| {
        row += 1;
        if let Some(&next) = tokens.get(row) {
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            found.push(sum.ln() - f64::from(logits[next as usize]));
        }
    })
    .unwrap();
    found
}

fn close(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1e-9), "{found} for {wanted}");
}

#[test]
fn perplexity_is_that_of_plain_sums() {
    let (_directory, path) = written(&TINY, FileType::F32);
    let mut model = opened(&path, ModelOptions::default());
    let tokens = tokens(3 * WINDOW + 5);
    let scored: Vec<f64> =
        tokens.chunks_exact(WINDOW).flat_map(|chunk| likelihoods(&mut model, chunk).split_off(WINDOW / 2)).collect();
    let options = PerplexityOptions { window: WINDOW, chunks: None };
    let found = perplexity(&mut model, &tokens, options, &mut |_| Flow::Continue).unwrap().unwrap();
    assert_eq!((found.chunks, found.total), (3, 3));
    close(found.perplexity, (scored.iter().sum::<f64>() / scored.len() as f64).exp(), 1e-5);
}

#[test]
fn strided_windows_score_each_token_once() {
    let (_directory, path) = written(&TINY, FileType::F32);
    let (stride, tokens) = (8, tokens(290));
    let window = strided_context(WINDOW, stride);
    assert_eq!((window, strided_context(256, 64), strided_context(512, 0)), (256, 512, 512));
    let context = ContextChoice::Tokens(window);
    let mut model =
        Model::open(&path, &ModelOptions { context, precision: Precision::Exact, ..ModelOptions::default() }).unwrap();
    let mut scored = Vec::new();
    let mut start = 0;
    while start < tokens.len() - window {
        scored.extend(likelihoods(&mut model, &tokens[start..start + window]).split_off(window - 1 - stride));
        start += stride;
    }
    let options = PerplexityOptions { window: WINDOW, chunks: None };
    let found = strided(&mut model, &tokens, options, stride, &mut |_| Flow::Continue).unwrap().unwrap();
    assert_eq!(found.total * stride, scored.len());
    close(found.perplexity, (scored.iter().sum::<f64>() / scored.len() as f64).exp(), 1e-5);
    for stride in [0, WINDOW] {
        let refused = strided(&mut model, &tokens, options, stride, &mut |_| Flow::Continue).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("a stride of {stride} tokens does not fit a window of 32; it must be from 1 to 31")
        );
    }
}

/// A base of two windows in a file.
fn base(path: &Path, tokens: &[u32], directory: &Path) -> BaseLogits {
    let mut file = std::fs::File::create(directory.join("base")).unwrap();
    let options = PerplexityOptions { window: WINDOW, chunks: Some(2) };
    let mut model = opened(path, ModelOptions::default());
    perplexity_saving(&mut model, tokens, options, &mut file, &mut |_| Flow::Continue).unwrap();
    file.flush().unwrap();
    BaseLogits::open(directory.join("base")).unwrap()
}

#[test]
fn a_model_is_no_way_from_itself_and_some_way_from_another() {
    let (directory, path) = written(&TINY, FileType::F32);
    let tokens = tokens(3 * WINDOW);
    let mut model = opened(&path, ModelOptions::default());
    let same = kl_divergence(&mut model, &mut base(&path, &tokens, directory.path()), None, &mut |_| Flow::Continue);
    let same = same.unwrap().unwrap();
    assert_eq!(same.divergences.len(), 2 * (WINDOW / 2 - 1));
    assert!(same.estimate.divergence.value.abs() < 1e-5 && same.estimate.rms_change.value < 1e-5);
    assert_eq!(same.estimate.same_top.value, 1.0);
    close(same.ratio.value, 1.0, 1e-5);
    close(same.correlation, 1.0, 1e-5);

    // The same weights in four bits, compared by plain sums.
    let (_other, coarse) = written(&TINY, FileType::Q4_0);
    let mut coarse = opened(&coarse, ModelOptions::default());
    let found = kl_divergence(&mut coarse, &mut base(&path, &tokens, directory.path()), None, &mut |_| Flow::Continue);
    let found = found.unwrap().unwrap();
    let (mut divergences, mut changes) = (Vec::new(), Vec::new());
    for chunk in tokens.chunks_exact(WINDOW).take(2) {
        let mut probabilities = [Vec::new(), Vec::new()];
        for (model, rows) in [&mut model, &mut coarse].into_iter().zip(&mut probabilities) {
            logits(model, chunk, &mut |logits| {
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                rows.push(logits.iter().map(|&logit| f64::from(logit).exp() / sum).collect::<Vec<f64>>());
            })
            .unwrap();
        }
        for row in WINDOW / 2..WINDOW - 1 {
            let (p, q) = (&probabilities[0][row], &probabilities[1][row]);
            divergences.push(p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum::<f64>());
            let next = chunk[row + 1] as usize;
            changes.push(q[next] - p[next]);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    close(found.estimate.divergence.value, mean(&divergences), 1e-3);
    close(found.mean_change.value, mean(&changes), 1e-3);
    let squares: Vec<f64> = changes.iter().map(|change| change * change).collect();
    close(found.estimate.rms_change.value, mean(&squares).sqrt(), 1e-3);
    close(found.divergence_percentile(1.0), divergences.iter().copied().fold(0.0, f64::max), 1e-3);
}

#[test]
fn a_base_of_another_vocabulary_is_refused() {
    let (directory, path) = written(&TINY, FileType::F32);
    let (_other, other) = written(&Shape { vocabulary: 300, ..TINY }, FileType::F32);
    let mut base = base(&path, &tokens(2 * WINDOW), directory.path());
    let mut model = opened(&other, ModelOptions::default());
    let error = kl_divergence(&mut model, &mut base, None, &mut |_| Flow::Continue).unwrap_err().to_string();
    assert!(error.ends_with("the vocabulary is 301, wanted 300, as the model has"), "{error}");
}

#[test]
fn activations_are_observed_for_every_matrix() {
    let mixture = Shape { experts: 4, experts_used: 2, ..TINY };
    let (_directory, path) = written(&mixture, FileType::F32);
    let mut model = opened(&path, ModelOptions { observe: Observe::Layers, ..ModelOptions::default() });
    let options = ImatrixOptions { window: WINDOW, chunks: Some(2), dataset: "numbers" };
    let mut told = Vec::new();
    let matrix = imatrix(&mut model, &tokens(3 * WINDOW), options, &mut |done, total| {
        told.push((done, total));
        Flow::Continue
    });
    let matrix = matrix.unwrap();
    assert_eq!(told, [(1, 2), (2, 2)]);
    assert_eq!(
        (matrix.chunk_count, matrix.chunk_size, matrix.datasets),
        (2, WINDOW as u32, vec!["numbers".to_owned()])
    );
    // Queries, keys, values, attention's output, the router and three kinds of experts.
    assert_eq!(matrix.entries.len(), 2 * 8);
    for (name, entry) in matrix.entries {
        let experts = name.contains("_exps");
        assert_eq!(entry.counts.len(), if experts { 4 } else { 1 }, "{name}");
        assert_eq!(entry.counts.iter().sum::<u64>(), 2 * WINDOW as u64 * if experts { 2 } else { 1 }, "{name}");
        let columns = if name.contains("ffn_down") { 96 } else { 64 };
        assert_eq!(entry.sums.len(), columns * entry.counts.len(), "{name}");
    }
}
