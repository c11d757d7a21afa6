//! Writes a model in other tensor types.
