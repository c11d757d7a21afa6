//! TOKENS: from logits to the next token: the sampler chain.
