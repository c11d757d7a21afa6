//! TENSORS: one file per block format: layout, decode, encode, scalar dot product.
