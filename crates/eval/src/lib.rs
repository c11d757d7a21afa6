//! TOOL: perplexity and bench.
