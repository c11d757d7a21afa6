//! Roles that tokens have by their text: ends of turns, of messages, of generation, gaps to fill in.
//!
//! Files seldom name all of them. The lists, and the exceptions for single families, are llama.cpp's
//! (`src/llama-vocab.cpp`), which knows them from the models themselves.
//! Invariant: an id that is the end of generation is a control token, and so never found in ordinary text.

use crate::vocabulary::{Attributes, Vocabulary};

const END_OF_TURN: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
const END_OF_MESSAGE: &[&str] = &["<|eom_id|>"];
const FIM_PREFIX: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];
const FIM_SUFFIX: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];
const FIM_MIDDLE: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];
const FIM_PADDING: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];
const FIM_REPOSITORY: &[&str] = &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"];
const FIM_SEPARATOR: &[&str] = &["<|file_sep|>"];
const END_OF_GENERATION: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];
/// Written out in answers of the gpt-oss family, where they carry meaning.
const ALWAYS_SHOWN: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Finds the roles and corrects the types that contradict them.
pub(crate) fn assign(vocabulary: &mut Vocabulary) {
    let mut special = vocabulary.special;
    for (role, texts) in [
        (&mut special.eot, END_OF_TURN),
        (&mut special.eom, END_OF_MESSAGE),
        (&mut special.fim_prefix, FIM_PREFIX),
        (&mut special.fim_suffix, FIM_SUFFIX),
        (&mut special.fim_middle, FIM_MIDDLE),
        (&mut special.fim_padding, FIM_PADDING),
        (&mut special.fim_repository, FIM_REPOSITORY),
        (&mut special.fim_separator, FIM_SEPARATOR),
    ] {
        if role.is_none() {
            *role = texts.iter().find_map(|text| vocabulary.texts.get(text.as_bytes()));
            if let Some(id) = *role {
                make_control(vocabulary, id);
            }
        }
    }
    vocabulary.special = special;
    mark_unused(vocabulary);
    let mut ends: Vec<u32> =
        [special.fim_padding, special.fim_repository, special.fim_separator].into_iter().flatten().collect();
    for text in END_OF_GENERATION {
        if let Some(id) = vocabulary.texts.get(text.as_bytes()) {
            ends.push(id);
            make_control(vocabulary, id);
        }
    }
    for text in ALWAYS_SHOWN {
        if let Some(id) = vocabulary.texts.get(text.as_bytes()) {
            vocabulary.attributes[id as usize] = Attributes::USER_DEFINED;
        }
    }
    ends.extend([special.eos, special.eot, special.eom].into_iter().flatten());
    ends.sort_unstable();
    ends.dedup();
    vocabulary.end_of_generation = ends;
    except_harmony_end(vocabulary);
    except_plain_end(vocabulary);
}

fn make_control(vocabulary: &mut Vocabulary, id: u32) {
    let attributes = &mut vocabulary.attributes[id as usize];
    *attributes = attributes.or(Attributes::CONTROL);
}

/// Control tokens called "unused" are.
fn mark_unused(vocabulary: &mut Vocabulary) {
    for id in vocabulary.ids() {
        if vocabulary.attributes(id).is(Attributes::CONTROL)
            && vocabulary.texts.text(id).windows(6).any(|part| part == b"unused")
        {
            let attributes = &mut vocabulary.attributes[id as usize];
            *attributes = attributes.or(Attributes::UNUSED);
        }
    }
}

/// The id of a text that ends the generation.
fn end_called(vocabulary: &Vocabulary, text: &str) -> Option<u32> {
    vocabulary.texts.get(text.as_bytes()).filter(|id| vocabulary.end_of_generation.binary_search(id).is_ok())
}

fn make_ordinary(vocabulary: &mut Vocabulary, id: u32, attributes: Attributes) {
    vocabulary.end_of_generation.retain(|end| *end != id);
    vocabulary.attributes[id as usize] = attributes;
}

/// In the harmony format of gpt-oss and in Solar's, `<|end|>` ends a message, not the answer.
fn except_harmony_end(vocabulary: &mut Vocabulary) {
    let has = |text| end_called(vocabulary, text).is_some();
    let calls = has("<|call|>") || has("<|calls|>");
    if calls
        && (has("<|return|>") || has("<|flush|>"))
        && let Some(id) = end_called(vocabulary, "<|end|>")
    {
        make_ordinary(vocabulary, id, Attributes::USER_DEFINED);
    }
}

/// In Gemma 4 and PLaMo, `</s>` is text.
fn except_plain_end(vocabulary: &mut Vocabulary) {
    let has = |text| end_called(vocabulary, text).is_some();
    if (has("<|tool_response>") || has("<|plamo:eos|>"))
        && let Some(id) = end_called(vocabulary, "</s>")
    {
        make_ordinary(vocabulary, id, Attributes::NORMAL);
    }
}
