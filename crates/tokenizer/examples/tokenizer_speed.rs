//! Times the tokenizer on texts that tempt it to be slow: `cargo run --release --example tokenizer_speed -- FILE.gguf… [MB]`.

use std::time::Instant;

use ascua_gguf::Gguf;
use ascua_tokenizer::{EncodeOptions, ParseSpecial, Tokenizer, TokenizerOptions};

fn texts(length: usize) -> Vec<(&'static str, Vec<u8>)> {
    let repeat = |text: &str| text.bytes().cycle().take(length).collect::<Vec<u8>>();
    let mut state = 7_u64;
    let mut random = |kept: fn(u8) -> u8| -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push(kept((state >> 56) as u8));
        }
        bytes
    };
    vec![
        ("spaces", repeat(" ")),
        ("letters a", repeat("a")),
        ("newlines", repeat("\n")),
        ("digits", repeat("7")),
        ("random bytes", random(|byte| byte)),
        ("random letters", random(|byte| b'a' + byte % 26)),
        ("Chinese", repeat("朱门悄镜湖空里湖通大櫜高牙人不见港重重斜阳外")),
        ("English", repeat("The quick brown fox jumps over the lazy dog, again and again; it's 1234 times.\n")),
        ("special tokens", repeat("<|im_start|>user\n<s></s><|endoftext|>")),
        ("half special", repeat("<|im_start<|im_start")),
        ("emoji", repeat("👩‍💻🎉🇨🇳")),
    ]
}

fn main() {
    let (files, numbers): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.parse::<usize>().is_err());
    let megabytes: usize = numbers.first().and_then(|number| number.parse().ok()).unwrap_or(10);
    for file in files {
        let start = Instant::now();
        let tokenizer = match Gguf::open_header(&file).map_err(|error| error.to_string()).and_then(|gguf| {
            Tokenizer::from_metadata(gguf.metadata(), &TokenizerOptions::default()).map_err(|error| error.to_string())
        }) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                eprintln!("{file}: {error}");
                continue;
            }
        };
        println!("{file}: loaded in {:.0?}", start.elapsed());
        for (name, text) in texts(megabytes * 1_000_000) {
            let start = Instant::now();
            let options = EncodeOptions { parse_special: ParseSpecial::Yes, ..EncodeOptions::default() };
            let tokens = tokenizer.encode_bytes(&text, options);
            let seconds = start.elapsed().as_secs_f64();
            println!("  {name:16} {seconds:7.2} s  {:8.2} MB/s  {:9} tokens", megabytes as f64 / seconds, tokens.len());
        }
    }
}
