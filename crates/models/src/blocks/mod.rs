//! The blocks architectures are put together from. Tensor names are written here, once, beside their use.

mod attention;
mod feed_forward;
mod linear;
mod low_rank;
mod moe;
mod norm;

pub use attention::{Attention, Queries};
pub use feed_forward::FeedForward;
pub use linear::Linear;
pub use moe::MixtureOfExperts;
pub use norm::rms_norm;

/// Whether a tensor's own factor (`.scale`) is applied to its products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorScales {
    /// Products are multiplied by it, then biases are added.
    Apply,
    /// Products and biases are multiplied by it.
    ApplyToSum,
    /// The reference implementations of this architecture leave it out.
    Ignore,
}
