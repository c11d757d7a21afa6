//! What a model asks of the machine: bytes of weights a step reads, operations a token of a prompt takes.
//!
//! Only products with weights count. Attention, norms and the cache are left out, so that a share of the machine's limits is
//! never flattered.

use ascua::engine::ModelFile;

/// The products of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelWork {
    /// Bytes of the matrices every token passes.
    shared_bytes: f64,
    /// Bytes of all experts.
    expert_bytes: f64,
    /// Multiplications and additions of a token on its way through the layers.
    layer_operations: f64,
    experts: f64,
    experts_used: f64,
}

impl ModelWork {
    /// Counts the products of a model.
    pub fn of(model: &ModelFile) -> ModelWork {
        const TABLE: &str = "token_embd.weight";
        const OUTPUT: &str = "output.weight";
        let config = model.config();
        let (experts, experts_used) = (config.experts as f64, config.experts_used as f64);
        let tied = model.file().tensor(OUTPUT).is_none();
        let mut work = ModelWork { shared_bytes: 0.0, expert_bytes: 0.0, layer_operations: 0.0, experts, experts_used };
        for tensor in model.file().tensors() {
            let elements: f64 = tensor.shape.as_slice().iter().map(|&n| n as f64).product();
            let bytes = tensor.bytes() as f64;
            match (tensor.shape.as_slice().len(), tensor.name.as_str()) {
                (0 | 1, _) => {}
                // Of a table only one row is read, unless it is the output matrix as well.
                (_, TABLE) if !tied => {}
                (_, TABLE | OUTPUT) => work.shared_bytes += bytes,
                (_, name) if name.contains("_exps.") => {
                    work.expert_bytes += bytes;
                    work.layer_operations += 2.0 * elements * experts_used / experts.max(1.0);
                }
                _ => {
                    work.shared_bytes += bytes;
                    work.layer_operations += 2.0 * elements;
                }
            }
        }
        work
    }

    /// Bytes a step reads that advances so many sequences by one token. Of a mixture, the experts that many tokens are
    /// expected to visit when each is as likely as the others.
    pub fn bytes_per_step(&self, sequences: usize) -> f64 {
        let missed = 1.0 - self.experts_used / self.experts.max(1.0);
        self.shared_bytes + self.expert_bytes * (1.0 - missed.powi(sequences as i32))
    }

    /// Operations a token of a prompt takes; the output matrix meets the last token only and does not count.
    pub fn operations_per_token(&self) -> f64 {
        self.layer_operations
    }
}
