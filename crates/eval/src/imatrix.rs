//! The importance matrix of a model on a text: what enters its products, observed window by window.

use ascua::engine::{Entry, Wanted};
use ascua::{Error, Flow, Model};
use ascua_convert::imatrix::{self, ImportanceMatrix};

use crate::windows::{TextError, Windows};

/// How to collect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImatrixOptions<'a> {
    /// Tokens of a window.
    pub window: usize,
    /// Most windows; `None`: the whole text.
    pub chunks: Option<usize>,
    /// The text's name in the file.
    pub dataset: &'a str,
}

/// A text nothing can be collected on.
#[derive(Debug, thiserror::Error)]
pub enum ImatrixError {
    /// It cannot be cut into windows.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] Error),
    /// Its activations are no numbers.
    #[error("the activations that enter `{name}` are not finite: the model is damaged")]
    NotFinite {
        /// The weight.
        name: String,
    },
}

/// Collects the importance matrix of a model that was opened to observe; `on_chunk` sees how many windows of how many
/// are done and may stop: the matrix is then of those that were done.
///
/// # Errors
/// The text is shorter than a window, a step fails, or activations are not finite.
pub fn imatrix(
    model: &mut Model,
    tokens: &[u32],
    options: ImatrixOptions<'_>,
    on_chunk: &mut dyn FnMut(usize, usize) -> Flow,
) -> Result<ImportanceMatrix, ImatrixError> {
    let windows = Windows::new(model, tokens, options.window, options.chunks)?;
    let mut done = 0;
    for index in 0..windows.count() {
        let sequence = model.engine().create_sequence().map_err(Error::from)?;
        let entry = Entry { sequence, tokens: &windows.input(index), wanted: Wanted::Nothing };
        let outcome = model.engine().evaluate(&[entry], &mut |_| {});
        model.engine().release_sequence(sequence);
        outcome.map_err(Error::from)?;
        done += 1;
        if on_chunk(done, windows.count()) == Flow::Stop {
            break;
        }
    }
    let mut matrix = ImportanceMatrix {
        datasets: vec![options.dataset.to_owned()],
        chunk_count: done as u32,
        chunk_size: options.window as u32,
        ..ImportanceMatrix::default()
    };
    for activations in model.engine().activations() {
        let sums: Vec<f32> = activations.sums.iter().map(|&sum| sum as f32).collect();
        for name in &activations.weights {
            if sums.iter().any(|sum| !sum.is_finite()) {
                return Err(ImatrixError::NotFinite { name: name.clone() });
            }
            let entry = imatrix::Entry { sums: sums.clone(), counts: activations.counts.clone() };
            matrix.entries.insert(name.clone(), entry);
        }
    }
    Ok(matrix)
}
