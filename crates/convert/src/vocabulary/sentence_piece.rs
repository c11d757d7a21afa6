//! `tokenizer.model` of SentencePiece: pieces with scores and types, and how text is normalised before.
//!
//! Field numbers are those of `sentencepiece_model.proto`.

use super::Problem;
use super::protobuf::{Message, Wire};
use super::tokens::{Kind, Token};

/// What the model is trained as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Unigram,
    BytePair,
}

/// The parts of the file that matter.
pub(super) struct SentencePieceModel {
    pub(super) pieces: Vec<Token>,
    pub(super) algorithm: Algorithm,
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) character_map: Vec<u8>,
}

impl SentencePieceModel {
    pub(super) fn parse(bytes: &[u8]) -> Result<SentencePieceModel, Problem> {
        let mut model = SentencePieceModel {
            pieces: Vec::new(),
            algorithm: Algorithm::Unigram,
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            character_map: Vec::new(),
        };
        let mut message = Message::new(bytes);
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (1, Wire::Bytes(bytes)) => model.pieces.push(piece(message.inner(bytes))?),
                (2, Wire::Bytes(bytes)) => model.trainer(message.inner(bytes))?,
                (3, Wire::Bytes(bytes)) => model.normalizer(message.inner(bytes))?,
                (1..=3, _) => return Err(message.fault("a number where a message belongs")),
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err(message.fault("no pieces"));
        }
        Ok(model)
    }

    fn trainer(&mut self, mut message: Message<'_>) -> Result<(), Problem> {
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (3, Wire::Number(1)) => self.algorithm = Algorithm::Unigram,
                (3, Wire::Number(2)) => self.algorithm = Algorithm::BytePair,
                (3, _) => {
                    let what = "a SentencePiece model of words or characters".to_owned();
                    return Err(Problem::Unsupported { what });
                }
                (24, Wire::Number(1)) => {
                    let what = "a SentencePiece model with spaces at the end of words".to_owned();
                    return Err(Problem::Unsupported { what });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn normalizer(&mut self, mut message: Message<'_>) -> Result<(), Problem> {
        while let Some((number, value)) = message.field()? {
            match (number, value) {
                (2, Wire::Bytes(bytes)) => self.character_map = bytes.to_vec(),
                (3, Wire::Number(flag)) => self.add_dummy_prefix = flag != 0,
                (4, Wire::Number(flag)) => self.remove_extra_whitespaces = flag != 0,
                _ => {}
            }
        }
        Ok(())
    }
}

fn piece(mut message: Message<'_>) -> Result<Token, Problem> {
    let mut token = Token { text: String::new(), score: 0.0, kind: Kind::Normal };
    while let Some((number, value)) = message.field()? {
        match (number, value) {
            (1, Wire::Bytes(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| message.fault("a piece that is not UTF-8"))?;
                token.text = text.to_owned();
            }
            (2, Wire::Fixed32(bits)) => token.score = f32::from_bits(bits),
            (3, Wire::Number(number)) => {
                token.kind = match number {
                    1 => Kind::Normal,
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => return Err(message.fault("a piece of unknown type")),
                };
            }
            (1..=3, _) => return Err(message.fault("a field of the wrong kind")),
            _ => {}
        }
    }
    if token.score.is_nan() {
        return Err(message.fault("a score that is no number"));
    }
    Ok(token)
}
