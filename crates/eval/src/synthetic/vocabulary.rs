//! The least vocabulary every reader takes: the 256 bytes, an end, a merge, and fillers up to the wanted number of tokens.

use ascua::gguf::{Metadata, StringArray};

/// Id of the end of text, after the bytes.
const END: usize = 256;
/// Tokens that are needed: the bytes, the end of text and what the only merge makes.
const NEEDED: usize = 258;
/// `tokenizer.ggml.token_type`: ordinary text.
const NORMAL: i32 = 1;
/// `tokenizer.ggml.token_type`: never read from text.
const CONTROL: i32 = 3;

/// Adds the keys of a byte-pair vocabulary of `tokens` tokens.
pub(super) fn insert(metadata: &mut Metadata, tokens: usize) {
    let bytes = (0..=255u8).map(|byte| letter(byte).to_string());
    let others = ["<|end|>", "et"].map(str::to_owned);
    let fillers = (NEEDED..tokens).map(|number| format!("<{number}>"));
    let pieces: StringArray = bytes.chain(others).chain(fillers).collect();
    let types: Vec<i32> = (0..tokens.max(NEEDED)).map(|id| if id == END { CONTROL } else { NORMAL }).collect();
    metadata.insert("tokenizer.ggml.model", "gpt2");
    metadata.insert("tokenizer.ggml.pre", "gpt-2");
    metadata.insert("tokenizer.ggml.tokens", pieces);
    metadata.insert("tokenizer.ggml.token_type", types);
    // Readers ask for merges.
    metadata.insert("tokenizer.ggml.merges", ["e t"].into_iter().collect::<StringArray>());
    metadata.insert("tokenizer.ggml.bos_token_id", END as u32);
    metadata.insert("tokenizer.ggml.eos_token_id", END as u32);
    metadata.insert("tokenizer.ggml.add_bos_token", false);
}

/// The letter GPT-2's vocabulary writes a byte as: itself where it is printable Latin-1, else one from U+0100 on.
fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !printable(byte)).count() as u32;
    char::from_u32(256 + before).unwrap_or('?')
}
