//! SEQUENCES: batches, the paged KV cache, sessions; the one loop that owns a model.
