//! Every kind of tokenizer on vocabularies small enough to follow by hand.

use ascua_gguf::{Metadata, MetadataError, StringArray};
use ascua_tokenizer::{
    AddSpecial, EncodeOptions, ParseSpecial, SpecialRendering, StreamDecoder, TokenType, Tokenizer, TokenizerError,
    TokenizerKind, TokenizerOptions, Warning,
};
use proptest::prelude::*;

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

/// Metadata with these tokens: text, score, type.
fn vocabulary<S: AsRef<[u8]>>(model: &str, tokens: &[(S, f32, i32)]) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("tokenizer.ggml.model", model);
    metadata.insert("tokenizer.ggml.tokens", tokens.iter().map(|token| token.0.as_ref()).collect::<StringArray>());
    metadata.insert("tokenizer.ggml.scores", tokens.iter().map(|token| token.1).collect::<Vec<f32>>());
    metadata.insert("tokenizer.ggml.token_type", tokens.iter().map(|token| token.2).collect::<Vec<i32>>());
    metadata
}

fn with_byte_tokens(mut tokens: Vec<(String, f32, i32)>) -> Vec<(String, f32, i32)> {
    tokens.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), 0.0, BYTE)));
    tokens
}

fn named(tokens: &[(&str, f32, i32)]) -> Vec<(String, f32, i32)> {
    tokens.iter().map(|(text, score, token_type)| ((*text).to_owned(), *score, *token_type)).collect()
}

fn build(metadata: &Metadata) -> Tokenizer {
    Tokenizer::from_metadata(metadata, &TokenizerOptions::default()).expect("a sound vocabulary")
}

const PLAIN: EncodeOptions = EncodeOptions { add_special: AddSpecial::No, parse_special: ParseSpecial::No };
const FULL: EncodeOptions = EncodeOptions { add_special: AddSpecial::Yes, parse_special: ParseSpecial::Yes };

/// The tokens of a text, as the file writes them.
fn spelled(tokenizer: &Tokenizer, text: &[u8], options: EncodeOptions) -> String {
    let texts = tokenizer
        .encode_bytes(text, options)
        .into_iter()
        .map(|id| String::from_utf8_lossy(tokenizer.token_text(id).expect("an id of the vocabulary")).into_owned());
    texts.collect::<Vec<_>>().join(" ")
}

fn check(tokenizer: &Tokenizer, cases: &[(&str, EncodeOptions, &str)]) {
    for (text, options, expected) in cases {
        assert_eq!(spelled(tokenizer, text.as_bytes(), *options), *expected, "{text:?} {options:?}");
    }
}

fn sentence_piece() -> Metadata {
    let tokens = with_byte_tokens(named(&[
        ("<unk>", 0.0, UNKNOWN),
        ("<s>", 0.0, CONTROL),
        ("</s>", 0.0, CONTROL),
        ("▁a", -1.0, NORMAL),
        ("ab", -2.0, NORMAL),
        ("abc", -3.0, NORMAL),
        ("▁", -9.0, NORMAL),
        ("a", -9.0, NORMAL),
        ("b", -9.0, NORMAL),
        ("c", -9.0, NORMAL),
        ("bc", -2.0, NORMAL),
        ("<tool>", 0.0, USER_DEFINED),
    ]));
    vocabulary("llama", &tokens)
}

#[test]
fn sentence_piece_joins_by_score_and_falls_back_to_bytes() {
    let tokenizer = build(&sentence_piece());
    assert_eq!(tokenizer.kind(), TokenizerKind::SentencePiece);
    check(
        &tokenizer,
        &[
            ("abc", PLAIN, "▁a bc"),
            ("", PLAIN, ""),
            ("", FULL, "<s>"),
            ("babc", PLAIN, "▁ b abc"),
            ("b中", PLAIN, "▁ b <0xE4> <0xB8> <0xAD>"),
            ("<s>b", PLAIN, "▁ <0x3C> <0x73> <0x3E> b"),
            ("<s>b</s>", FULL, "<s> <s> ▁ b </s>"),
            ("b<tool>b", PLAIN, "▁ b <tool> ▁ b"),
        ],
    );
    assert_eq!(spelled(&tokenizer, b"b\xff", PLAIN), "▁ b <0xFF>");
    for text in ["abc", " abc  b", "中文 abc", "é\n"] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text, EncodeOptions::default())), text);
    }
}

/// Of equal scores the leftmost pair goes first, whether a word is short or long.
#[test]
fn sentence_piece_takes_the_leftmost_of_equal_scores() {
    let mut metadata = sentence_piece();
    metadata.insert("tokenizer.ggml.add_space_prefix", false);
    let tokenizer = build(&metadata);
    check(&tokenizer, &[("babcbc", PLAIN, "b abc bc"), ("abab", PLAIN, "ab ab")]);
    let long = spelled(&tokenizer, "abc".repeat(1000).as_bytes(), PLAIN);
    assert_eq!(long, vec!["abc"; 1000].join(" "));
}

/// GPT-2's letters for all bytes, and a few merges.
fn byte_pair(merges: &[&str]) -> Metadata {
    let letter = |byte: u8| match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        _ => {
            let before = (0..byte).filter(|byte| !matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)).count();
            char::from_u32(256 + before as u32).expect("a letter")
        }
    };
    let mut tokens: Vec<(String, f32, i32)> = (0..=255).map(|byte| (letter(byte).to_string(), 0.0, NORMAL)).collect();
    tokens.extend(merges.iter().map(|merge| (merge.replace(' ', ""), 0.0, NORMAL)));
    tokens.push(("<|im_start|>".to_owned(), 0.0, CONTROL));
    tokens.push(("<|im_end|>".to_owned(), 0.0, CONTROL));
    let mut metadata = vocabulary("gpt2", &tokens);
    metadata.insert("tokenizer.ggml.pre", "gpt-2");
    metadata.insert("tokenizer.ggml.merges", merges.iter().collect::<StringArray>());
    metadata.insert("tokenizer.ggml.eos_token_id", tokens.len() as u32 - 1);
    metadata
}

const MERGES: &[&str] = &["l o", "lo w", "Ġ lo", "e r", "Ġ low", "ä ¸", "ä¸ Ń"];

#[test]
fn byte_pair_merges_by_rank() {
    let tokenizer = build(&byte_pair(MERGES));
    assert_eq!(tokenizer.kind(), TokenizerKind::BytePair);
    assert_eq!(tokenizer.pre_tokenizer_name(), "gpt-2");
    check(
        &tokenizer,
        &[
            ("lower low", PLAIN, "low er Ġlow"),
            ("lo lo", PLAIN, "lo Ġlo"),
            ("中", PLAIN, "ä¸Ń"),
            ("", PLAIN, ""),
            ("<|im_start|>lo<|im_end|>", FULL, "<|im_start|> lo <|im_end|>"),
            ("<|im_end|>", PLAIN, "< | i m _ e n d | >"),
        ],
    );
    assert_eq!(spelled(&tokenizer, b"lo\xe4lo", PLAIN), "lo ï ¿ ½ lo");
    assert!(tokenizer.warnings().is_empty());
}

#[test]
fn a_word_that_is_a_token_is_not_merged_where_the_pre_tokenizer_says_so() {
    let mut metadata = byte_pair(&["l o", "w e", "o we", "l owe"]);
    for (name, expected) in [("gpt-2", "lo we"), ("llama-bpe", "lowe")] {
        metadata.insert("tokenizer.ggml.pre", name);
        metadata.insert("tokenizer.ggml.add_bos_token", false);
        check(&build(&metadata), &[("lowe", PLAIN, expected)]);
    }
}

#[test]
fn unknown_pre_tokenizers_are_warned_of_and_overridden() {
    let mut metadata = byte_pair(MERGES);
    metadata.insert("tokenizer.ggml.pre", "qwen3");
    let tokenizer = build(&metadata);
    assert_eq!(tokenizer.pre_tokenizer_name(), "qwen2");
    let name = "qwen3".to_owned();
    assert_eq!(tokenizer.warnings(), [Warning::UnknownPreTokenizer { name, chosen: "qwen2" }]);

    let options = TokenizerOptions { pre_tokenizer_override: Some("tekken".to_owned()) };
    let tokenizer = Tokenizer::from_metadata(&metadata, &options).expect("a known override");
    assert_eq!((tokenizer.pre_tokenizer_name(), tokenizer.warnings()), ("tekken", &[][..]));

    let name = "teken".to_owned();
    let options = TokenizerOptions { pre_tokenizer_override: Some(name.clone()) };
    let error = Tokenizer::from_metadata(&metadata, &options).expect_err("an unknown override");
    assert_eq!(error, TokenizerError::UnknownOverride { name, nearest: "tekken" });

    metadata.remove("tokenizer.ggml.pre");
    assert_eq!(build(&metadata).warnings(), [Warning::MissingPreTokenizer]);

    let options = TokenizerOptions { pre_tokenizer_override: Some("tekken".to_owned()) };
    let tokenizer = Tokenizer::from_metadata(&sentence_piece(), &options).expect("a known override");
    let unused = Warning::UnusedOverride { name: "tekken".to_owned(), kind: TokenizerKind::SentencePiece };
    assert_eq!(tokenizer.warnings(), [unused]);
}

#[test]
fn plain_text_byte_pair_writes_spaces_as_u2581() {
    let tokens = with_byte_tokens(named(&[
        ("<bos>", 0.0, CONTROL),
        ("<eos>", 0.0, CONTROL),
        ("▁", 0.0, NORMAL),
        ("a", 0.0, NORMAL),
        ("b", 0.0, NORMAL),
        ("▁a", 0.0, NORMAL),
        ("▁ab", 0.0, NORMAL),
        ("\n", 0.0, NORMAL),
        ("\n\n", 0.0, NORMAL),
    ]));
    let mut metadata = vocabulary("gemma4", &tokens);
    metadata.insert("tokenizer.ggml.merges", ["▁ a", "▁a b"].iter().collect::<StringArray>());
    metadata.insert("tokenizer.ggml.bos_token_id", 0_u32);
    metadata.insert("tokenizer.ggml.add_bos_token", false);
    let tokenizer = build(&metadata);
    check(
        &tokenizer,
        &[("a ab\n\na", FULL, "<bos> a ▁ab \n\n a"), ("中", PLAIN, "<0xE4> <0xB8> <0xAD>"), ("  ab", PLAIN, "▁ ▁ab")],
    );
    assert_eq!(tokenizer.decode(&tokenizer.encode(" ab 中\n", PLAIN)), " ab 中\n");
}

#[test]
fn word_piece_takes_the_longest_tokens() {
    let tokens = named(&[
        ("[PAD]", 0.0, CONTROL),
        ("[UNK]", 0.0, CONTROL),
        ("[CLS]", 0.0, CONTROL),
        ("[SEP]", 0.0, CONTROL),
        ("▁un", 0.0, NORMAL),
        ("▁unab", 0.0, NORMAL),
        ("able", 0.0, NORMAL),
        ("le", 0.0, NORMAL),
        ("▁,", 0.0, NORMAL),
        ("▁中", 0.0, NORMAL),
        ("▁cafe", 0.0, NORMAL),
    ]);
    let mut metadata = vocabulary("bert", &tokens);
    for (key, id) in [("bos", 2_u32), ("unknown", 1), ("seperator", 3), ("padding", 0), ("mask", 0)] {
        metadata.insert(format!("tokenizer.ggml.{key}_token_id"), id);
    }
    let tokenizer = build(&metadata);
    assert_eq!(tokenizer.kind(), TokenizerKind::WordPiece);
    check(
        &tokenizer,
        &[
            ("unable", FULL, "[CLS] ▁unab le [SEP]"),
            ("Un, UNABLE\tcafé", PLAIN, "▁un ▁, ▁unab le ▁cafe"),
            ("un中un", PLAIN, "▁un ▁中 ▁un"),
            ("xyz un", PLAIN, "[UNK] ▁un"),
            ("unx", PLAIN, "[UNK]"),
            ("", FULL, "[CLS] [SEP]"),
            ("u\u{7}n", PLAIN, "▁un"),
        ],
    );
    assert_eq!(tokenizer.decode(&tokenizer.encode("unable, un", FULL)), "unable, un");
}

fn unigram() -> Metadata {
    let tokens = named(&[
        ("<pad>", 0.0, CONTROL),
        ("</s>", 0.0, CONTROL),
        ("<unk>", 0.0, UNKNOWN),
        ("▁", -3.0, NORMAL),
        ("a", -3.0, NORMAL),
        ("b", -3.0, NORMAL),
        ("▁ab", -4.0, NORMAL),
        ("ab", -5.0, NORMAL),
        ("ba", -4.5, NORMAL),
        ("<x>", -1.0, USER_DEFINED),
    ]);
    let mut metadata = vocabulary("t5", &tokens);
    metadata.insert("tokenizer.ggml.add_space_prefix", true);
    metadata.insert("tokenizer.ggml.remove_extra_whitespaces", true);
    metadata
}

#[test]
fn unigram_finds_the_best_sum_of_scores() {
    let tokenizer = build(&unigram());
    assert_eq!(tokenizer.kind(), TokenizerKind::Unigram);
    check(
        &tokenizer,
        &[
            ("ab", FULL, "▁ab </s>"),
            ("aba", PLAIN, "▁ab a"),
            ("bab", PLAIN, "▁ ba b"),
            ("  a   b ", PLAIN, "▁ a ▁ b"),
            ("a中文b", PLAIN, "▁ a <unk> b"),
            ("a<x>b", PLAIN, "▁ a <x> ▁ b"),
            ("", PLAIN, ""),
        ],
    );
    assert_eq!(spelled(&tokenizer, b"a\xff\xfe", PLAIN), "▁ a <unk>");
    assert_eq!(tokenizer.decode(&tokenizer.encode("ab ba", FULL)), "ab ba");
}

#[test]
fn damaged_character_maps_are_refused() {
    for bytes in [&[][..], &[1_u8], &[255, 255, 255, 255, 0], &[4, 0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 1]] {
        let mut metadata = unigram();
        metadata.insert("tokenizer.ggml.precompiled_charsmap", bytes.to_vec());
        let error = Tokenizer::from_metadata(&metadata, &TokenizerOptions::default()).expect_err("a damaged map");
        assert!(matches!(error, TokenizerError::CharacterMap { .. }), "{bytes:?}: {error}");
    }
}

#[test]
fn rwkv_takes_the_longest_token() {
    let mut tokens = named(&[("<s>", 0.0, CONTROL)]);
    tokens.extend((0..=255).map(|byte| (format!("\\x{byte:02x}"), 0.0, NORMAL)));
    tokens.extend(named(&[("the", 0.0, NORMAL), ("there", 0.0, NORMAL), ("\\n\\n", 0.0, NORMAL)]));
    let tokenizer = build(&vocabulary("rwkv", &tokens));
    assert_eq!(tokenizer.kind(), TokenizerKind::Rwkv);
    check(&tokenizer, &[("therethe\n\n", FULL, "there the \\n\\n"), ("thex", PLAIN, "the \\x78")]);
    let text = "the 中文\n\n\0end";
    assert_eq!(tokenizer.decode(&tokenizer.encode(text, PLAIN)), text);
}

#[test]
fn plamo2_finds_the_cheapest_way() {
    let tokens = with_byte_tokens(named(&[
        ("<unk>", 0.0, UNKNOWN),
        ("<s>", 0.0, CONTROL),
        ("</s>", 0.0, CONTROL),
        ("<pad>", 0.0, CONTROL),
        ("a", -1.0, NORMAL),
        ("b", -1.0, NORMAL),
        ("ab", -1.5, NORMAL),
        ("abc", -9.0, NORMAL),
        ("bc", -1.5, NORMAL),
    ]));
    let tokenizer = build(&vocabulary("plamo2", &tokens));
    assert_eq!(tokenizer.kind(), TokenizerKind::Plamo2);
    check(
        &tokenizer,
        &[("ab", FULL, "ab"), ("abc", PLAIN, "a bc"), ("\u{feff}ab", PLAIN, "ab"), ("aé", PLAIN, "a <0xC3> <0xA9>")],
    );
    assert_eq!(tokenizer.decode(&tokenizer.encode("abc中", PLAIN)), "abc中");
}

#[test]
fn words_without_case_or_spaces_for_the_whitespace_model() {
    let mut metadata = vocabulary(
        "whitespace",
        &named(&[("<unk>", 0.0, UNKNOWN), ("a", 0.0, NORMAL), ("b", 0.0, NORMAL), ("ab", 0.0, NORMAL)]),
    );
    metadata.insert("tokenizer.ggml.pre", "whitespace");
    metadata.insert("tokenizer.ggml.merges", ["a b"].iter().collect::<StringArray>());
    metadata.insert("tokenizer.ggml.normalizer.lowercase", true);
    check(&build(&metadata), &[("AB  a\tBa", PLAIN, "ab a b a")]);
}

#[test]
fn bases_between_dna_tags_go_by_sixes() {
    let mut tokens =
        named(&[("a", 0.0, NORMAL), ("<dna>", 0.0, NORMAL), ("</dna>", 0.0, NORMAL), ("<oov>", 0.0, NORMAL)]);
    tokens.extend(named(&[("ACGTAC\u{e000}", 0.0, NORMAL), ("GAAAAA\u{e000}", 0.0, NORMAL)]));
    let mut metadata = vocabulary("hybriddna", &tokens);
    metadata.insert("tokenizer.ggml.pre", "gpt-2");
    metadata.insert("tokenizer.ggml.merges", StringArray::default());
    let tokenizer = build(&metadata);
    check(
        &tokenizer,
        &[
            ("a<dna>acgtacG</dna>a", PLAIN, "a <dna> ACGTAC\u{e000} GAAAAA\u{e000} </dna> a"),
            ("<dna>ACGTANACGTAC", PLAIN, "<dna> <oov> ACGTAC\u{e000}"),
        ],
    );
    assert_eq!(tokenizer.token_bytes(4), b"ACGTAC");
}

#[test]
fn files_without_a_tokenizer_say_so() {
    for found in [None, Some("none"), Some("no_vocab"), Some("test")] {
        let mut metadata = Metadata::new();
        if let Some(found) = found {
            metadata.insert("tokenizer.ggml.model", found);
        }
        let error = Tokenizer::from_metadata(&metadata, &TokenizerOptions::default()).expect_err("no tokenizer");
        assert_eq!(error, TokenizerError::NoTokenizer { found: found.map(str::to_owned) });
    }
}

#[test]
fn wrong_metadata_is_named() {
    let mut unknown = sentence_piece();
    unknown.insert("tokenizer.ggml.model", "runes");
    let mut no_tokens = sentence_piece();
    no_tokens.remove("tokenizer.ggml.tokens");
    let mut empty = sentence_piece();
    empty.insert("tokenizer.ggml.tokens", StringArray::default());
    let mut few_scores = sentence_piece();
    few_scores.insert("tokenizer.ggml.scores", vec![0.0_f32; 3]);
    let mut few_types = sentence_piece();
    few_types.insert("tokenizer.ggml.token_type", vec![1_i32]);
    let mut wrong_type = sentence_piece();
    wrong_type.insert("tokenizer.ggml.add_bos_token", "yes");
    let cases = [
        (unknown, "`tokenizer.ggml.model` is `runes`"),
        (no_tokens, "`tokenizer.ggml.tokens` is missing"),
        (empty, "0 tokens"),
        (few_scores, "`tokenizer.ggml.scores` has 3 elements for 268 tokens"),
        (few_types, "`tokenizer.ggml.token_type` has 1 elements"),
        (wrong_type, "`tokenizer.ggml.add_bos_token`"),
    ];
    for (metadata, part) in cases {
        let error = Tokenizer::from_metadata(&metadata, &TokenizerOptions::default()).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
    let missing = TokenizerError::from(MetadataError::missing("x"));
    assert!(missing.to_string().contains("`x`"));
}

#[test]
fn special_ids_outside_the_vocabulary_are_warned_of() {
    let mut metadata = byte_pair(MERGES);
    metadata.insert("tokenizer.ggml.bos_token_id", 1_000_000_u32);
    metadata.insert("tokenizer.ggml.padding_token_id", -1_i32);
    let tokenizer = build(&metadata);
    assert_eq!(tokenizer.warnings().len(), 2);
    assert!(tokenizer.warnings()[0].to_string().contains("1000000"), "{}", tokenizer.warnings()[0]);

    let tokens = named(&[("<pad>", 0.0, CONTROL), ("a", -1.0, NORMAL)]);
    let mut metadata = vocabulary("t5", &tokens);
    metadata.insert("tokenizer.ggml.add_bos_token", true);
    let tokenizer = build(&metadata);
    assert_eq!(tokenizer.warnings(), [Warning::NothingToAdd { key: "tokenizer.ggml.add_bos_token" }]);
    assert!(!tokenizer.add_bos());
}

#[test]
fn roles_are_known_by_text() {
    let tokenizer = build(&byte_pair(MERGES));
    let end = tokenizer.token_id("<|im_end|>").expect("there");
    let start = tokenizer.token_id("<|im_start|>").expect("there");
    assert_eq!((tokenizer.eos(), tokenizer.eot()), (Some(end), Some(end)));
    assert!(tokenizer.is_end_of_generation(end) && !tokenizer.is_end_of_generation(start));
    assert_eq!(tokenizer.end_of_generation_tokens(), [end]);
    assert_eq!((tokenizer.token_type(end), tokenizer.token_type(0)), (TokenType::Control, TokenType::Normal));
    assert!(!tokenizer.is_end_of_generation(u32::MAX) && tokenizer.token_text(u32::MAX).is_none());

    // A file that calls the end of the turn an ordinary token is corrected; harmony's `<|end|>` is not an end.
    let tokens = named(&[
        ("<|im_end|>", 0.0, NORMAL),
        ("<|end|>", 0.0, CONTROL),
        ("<|return|>", 0.0, CONTROL),
        ("<|call|>", 0.0, CONTROL),
        ("<|channel|>", 0.0, CONTROL),
    ]);
    let mut metadata = vocabulary("gpt2", &tokens);
    metadata.insert("tokenizer.ggml.pre", "gpt-4o");
    metadata.insert("tokenizer.ggml.merges", StringArray::default());
    let tokenizer = build(&metadata);
    assert_eq!(tokenizer.end_of_generation_tokens(), [0, 2, 3]);
    assert_eq!(tokenizer.token_type(0), TokenType::Control);
    assert_eq!(tokenizer.token_type(1), TokenType::UserDefined);
    assert_eq!(tokenizer.token_type(4), TokenType::UserDefined);
}

#[test]
fn control_tokens_are_shown_or_hidden() {
    let tokenizer = build(&byte_pair(MERGES));
    let tokens = tokenizer.encode("<|im_start|>low", FULL);
    assert_eq!(tokenizer.decode(&tokens), "low");
    assert_eq!(tokenizer.decode_as(&tokens, SpecialRendering::Show), "<|im_start|>low");
    assert_eq!(tokenizer.token_bytes(tokens[0]), b"<|im_start|>");
    assert_eq!(tokenizer.token_bytes_as(tokens[0], SpecialRendering::Hide), b"");
    assert_eq!(tokenizer.decode(&[u32::MAX]), "");
}

#[test]
fn streams_never_show_half_a_character() {
    let text = "low 中文 👩‍💻 é end";
    for metadata in [byte_pair(&MERGES[..6]), sentence_piece()] {
        let tokenizer = build(&metadata);
        let tokens = tokenizer.encode(text, PLAIN);
        let mut decoder = StreamDecoder::new(SpecialRendering::Hide);
        let mut shown = String::new();
        let mut waited = 0;
        for token in &tokens {
            let new = decoder.push(&tokenizer, *token);
            assert!(!new.contains(char::REPLACEMENT_CHARACTER));
            shown.push_str(new);
            waited += usize::from(decoder.is_waiting());
        }
        shown.push_str(decoder.finish());
        assert_eq!(shown.trim_start(), text);
        assert!(waited >= 10, "the characters came in pieces: {waited}");

        let half = tokens.len() - 6; // in the middle of é
        let mut decoder = StreamDecoder::default();
        let cut: String = tokens[..half].iter().map(|token| decoder.push(&tokenizer, *token).to_owned()).collect();
        assert!(text.starts_with(cut.trim_start()), "{cut}");
    }
}

/// A regression here would not fail but never end.
#[test]
fn a_megabyte_of_anything_ends() {
    let mut bert = vocabulary("bert", &named(&[("[UNK]", 0.0, CONTROL), ("▁a", 0.0, NORMAL), ("a", 0.0, NORMAL)]));
    bert.insert("tokenizer.ggml.unknown_token_id", 0_u32);
    let doubled: Vec<String> = (0..9).map(|power| format!("{0} {0}", "a".repeat(1 << power))).collect();
    let doubled: Vec<&str> = doubled.iter().map(String::as_str).collect();
    for metadata in [sentence_piece(), byte_pair(&doubled), unigram(), bert] {
        let tokenizer = build(&metadata);
        for unit in [" ", "a", "ab", "中", "\n", "<s>", "<|im_start", "\u{2581}"] {
            let text = unit.repeat((1 << 20) / unit.len());
            let tokens = tokenizer.encode(&text, FULL);
            assert!(tokens.len() <= text.len() + 2, "{:?} of {unit:?}", tokenizer.kind());
        }
    }
}

proptest! {
    #[test]
    fn byte_pair_gives_any_text_back(text in "\\PC*|[ a-z\\n中<|é👩]{0,80}") {
        let tokenizer = build(&byte_pair(MERGES));
        let tokens = tokenizer.encode(&text, PLAIN);
        prop_assert_eq!(&tokenizer.decode(&tokens), &text);
        let mut decoder = StreamDecoder::default();
        let mut shown: String = tokens.iter().map(|token| decoder.push(&tokenizer, *token).to_owned()).collect();
        shown.push_str(decoder.finish());
        prop_assert_eq!(shown, text);
    }

    #[test]
    fn no_bytes_make_a_tokenizer_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        for metadata in [sentence_piece(), byte_pair(MERGES), unigram()] {
            let tokenizer = build(&metadata);
            let tokens = tokenizer.encode_bytes(&text, FULL);
            prop_assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary_size()));
        }
    }

    #[test]
    fn sentence_piece_gives_any_text_back(text in "[ a-c\\n中é👩]{0,60}") {
        let tokenizer = build(&sentence_piece());
        prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text, EncodeOptions::default())), text);
    }
}
