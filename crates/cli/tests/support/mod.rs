//! What the tests of the program share: a tiny model with random weights, and ways to run the binary on it.

#![allow(dead_code)] // each test binary uses a part

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use ascua::gguf::{GgufWriter, Metadata, StringArray, TensorType};

/// Tokens with a known id: all others are bytes and letters.
pub const BOS: u32 = 1;
pub const USER: u32 = 3;
pub const END: u32 = 5;
/// The id of the byte 0; the others follow.
pub const FIRST_BYTE: u32 = 6;
/// The pieces after the bytes; later ones merge later.
pub const PIECES: &[&str] =
    &["▁", "t", "h", "e", "a", "c", "th", "the", "▁the", "ca", "cat", "▁cat", "中", "文", "中文", "▁中文"];
/// The id of the first piece.
pub const FIRST_PIECE: u32 = FIRST_BYTE + 256;

const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|user|>{% elif m.role == 'system' %}\
                        <|user|>{% else %}<|assistant|>{% endif %}{{ m.content }}<|end|>{% endfor %}\
                        {% if add_generation_prompt %}<|assistant|>{% endif %}";

/// The id of a piece.
pub fn piece(text: &str) -> u32 {
    let index = PIECES.iter().position(|piece| *piece == text).expect("one of the pieces");
    FIRST_PIECE + index as u32
}

/// Whether the tiny model has a chat template.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Template {
    Present,
    Absent,
}

/// Writes the tiny model and gives its path.
pub fn tiny_model(directory: &Path, template: Template) -> PathBuf {
    let path = directory.join(if template == Template::Present { "tiny.gguf" } else { "tiny-base.gguf" });
    write_model(&path, template, 2);
    path
}

/// Writes a model of so many tiny layers.
pub fn write_model(path: &Path, template: Template, layers: u32) {
    const WIDTH: u64 = 32;
    const FEED_FORWARD: u64 = 64;
    let vocabulary = u64::from(FIRST_PIECE) + PIECES.len() as u64;
    let mut writer = GgufWriter::new(metadata(template, layers));
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![WIDTH, vocabulary]),
        ("output_norm.weight".to_owned(), vec![WIDTH]),
        ("output.weight".to_owned(), vec![WIDTH, vocabulary]),
    ];
    for layer in 0..layers {
        for (name, shape) in [
            ("attn_norm", vec![WIDTH]),
            ("attn_q", vec![WIDTH, WIDTH]),
            ("attn_k", vec![WIDTH, WIDTH / 2]),
            ("attn_v", vec![WIDTH, WIDTH / 2]),
            ("attn_output", vec![WIDTH, WIDTH]),
            ("ffn_norm", vec![WIDTH]),
            ("ffn_gate", vec![WIDTH, FEED_FORWARD]),
            ("ffn_up", vec![WIDTH, FEED_FORWARD]),
            ("ffn_down", vec![FEED_FORWARD, WIDTH]),
        ] {
            tensors.push((format!("blk.{layer}.{name}.weight"), shape));
        }
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for (name, shape) in tensors {
        let elements: u64 = shape.iter().product();
        let data: Vec<u8> = (0..elements).flat_map(|_| number(&mut state).to_le_bytes()).collect();
        writer.add(name, shape, TensorType::F32, data).expect("a well-formed tensor");
    }
    writer.write_file(path).expect("the model can be written");
}

/// The next of a sequence of numbers in [-1, 1) (xorshift64).
fn number(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn metadata(template: Template, layers: u32) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", "llama");
    metadata.insert("general.name", "Tiny");
    for (key, value) in [
        ("block_count", layers),
        ("context_length", 256),
        ("embedding_length", 32),
        ("feed_forward_length", 64),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
    ] {
        metadata.insert(format!("llama.{key}"), value);
    }
    metadata.insert("llama.attention.layer_norm_rms_epsilon", 1e-5f32);
    let special = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"];
    let mut tokens = StringArray::with_capacity(300, 3000);
    let (mut types, mut scores) = (Vec::new(), Vec::new());
    for (index, text) in special.iter().enumerate() {
        tokens.push(text);
        types.push(if index == 0 { 2i32 } else { 3 });
        scores.push(0.0f32);
    }
    for byte in 0..=255u8 {
        tokens.push(format!("<0x{byte:02X}>"));
        types.push(6);
        scores.push(0.0);
    }
    for (index, text) in PIECES.iter().enumerate() {
        tokens.push(text);
        types.push(1);
        scores.push(-(index as f32));
    }
    metadata.insert("tokenizer.ggml.model", "llama");
    metadata.insert("tokenizer.ggml.tokens", tokens);
    metadata.insert("tokenizer.ggml.scores", scores);
    metadata.insert("tokenizer.ggml.token_type", types);
    metadata.insert("tokenizer.ggml.bos_token_id", BOS);
    metadata.insert("tokenizer.ggml.eos_token_id", END);
    if template == Template::Present {
        metadata.insert("tokenizer.chat_template", TEMPLATE);
    }
    metadata
}

/// A directory with the tiny model, and the program kept away from everything outside of it.
pub struct Bench {
    pub directory: tempfile::TempDir,
    pub model: PathBuf,
}

impl Bench {
    pub fn new() -> Bench {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let model = tiny_model(directory.path(), Template::Present);
        Bench { directory, model }
    }

    /// The program, with an empty cache and no network; `{model}` among the arguments is the tiny model.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ascua"));
        let model = self.model.to_str().expect("temporary paths are UTF-8");
        command.args(arguments.iter().map(|argument| argument.replace("{model}", model)));
        command.current_dir(self.directory.path());
        command.env("ASCUA_HOME", self.directory.path().join("home")).env("ASCUA_OFFLINE", "1");
        command.env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::new(self.command(arguments).output().expect("the program starts"))
    }

    /// Runs it to its end with text on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // The program may end before it has read everything.
        let _ = stdin.write_all(input);
        drop(stdin);
        Ended::new(child.wait_with_output().expect("the program ends"))
    }

    /// Starts it.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts")
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn new(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("only whole characters are printed"),
            stderr: String::from_utf8(output.stderr).expect("only whole characters are printed"),
        }
    }

    /// Standard output of a success.
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}
