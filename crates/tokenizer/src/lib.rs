//! TOKENS: text to token ids and back.
