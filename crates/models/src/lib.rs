//! MODEL: architectures as data, blocks and the decoder that records the graph.
