//! What can be wrong with an adapter, by itself or beside a model.

/// An adapter that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("adapter {name}: {problem}")]
pub struct AdapterError {
    /// The adapter's file.
    pub name: String,
    /// What is wrong.
    pub problem: Box<AdapterProblem>,
}

/// What is wrong with an adapter; follows its name in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum AdapterProblem {
    /// A key does not say what an adapter's says.
    #[error("`{key}` is {found}, wanted `{wanted}`")]
    Kind {
        /// The key.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        wanted: &'static str,
    },
    /// It has an effect only after certain tokens.
    #[error("`{key}` is set: adapters that certain tokens switch on are not supported")]
    Activated {
        /// The key.
        key: &'static str,
    },
    /// A number that multiplies it is none.
    #[error("the {what} is {found}, wanted a finite number")]
    Factor {
        /// Scale or alpha.
        what: &'static str,
        /// What it is.
        found: f64,
    },
    /// It has no tensors.
    #[error("has no tensors")]
    Empty,
    /// It was opened for its header.
    #[error("was opened without its tensor data")]
    NoData,
    /// A tensor is not half of a pair.
    #[error("tensor `{tensor}` is neither `….lora_a` nor `….lora_b`: only low-rank pairs are supported")]
    NotPaired {
        /// The tensor.
        tensor: String,
    },
    /// Half of a pair is missing.
    #[error("tensor `{tensor}` has no partner `{partner}`")]
    Partner {
        /// The tensor there is.
        tensor: String,
        /// The one there is not.
        partner: String,
    },
    /// It was made for another kind of model.
    #[error("is for the architecture `{found}`, but the model is `{wanted}`")]
    Architecture {
        /// The adapter's.
        found: String,
        /// The model's.
        wanted: String,
    },
    /// A tensor does not fit the weight it changes.
    #[error("tensor `{tensor}` has shape {found:?}, but beside its weight and its partner {expected:?} is needed")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape, fastest dimension first.
        found: Vec<u64>,
        /// The shape needed.
        expected: Vec<usize>,
    },
    /// The model multiplies with no such weights.
    #[error("the model multiplies with no weight that {count} of its tensors belong to, the first is `{first}`")]
    Unused {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
}
