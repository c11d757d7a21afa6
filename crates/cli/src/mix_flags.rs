//! The flags that say what types a model is written in, the same for `quantize` and `convert`, and what becomes of them.

use std::path::PathBuf;

use ascua::gguf::TensorType;
use ascua_convert::imatrix::ImportanceMatrix;
use ascua_convert::quantize::{FileType, Importance, Options, TypePattern};
use clap::Args;

use crate::failure::usage;
use crate::key_value;
use crate::output_flags::{ForceFlag, JsonFlag};

/// How to write a model.
#[derive(Args, Debug)]
pub struct MixFlags {
    /// Importance matrix, GGUF or .dat: what matters is kept more exactly
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,

    /// Use the importance of tensors whose name holds this, and of no others; can be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "exclude_weights")]
    include_weights: Vec<String>,

    /// Leave the importance of tensors whose name holds this unused; can be repeated
    #[arg(long, value_name = "NAME")]
    exclude_weights: Vec<String>,

    /// The same type for every tensor: no exceptions for those that suffer more
    #[arg(long)]
    pure: bool,

    /// A type for the tensors a regular expression is found in; the first that fits counts; can be repeated
    #[arg(long, value_name = "PATTERN=TYPE")]
    tensor_type: Vec<String>,

    /// A file of such patterns, with blanks or line ends between them
    #[arg(long, value_name = "FILE")]
    tensor_type_file: Option<PathBuf>,

    /// Type of the output
    #[arg(long, value_name = "TYPE")]
    output_tensor_type: Option<String>,

    /// Type of the token embedding
    #[arg(long, value_name = "TYPE")]
    token_embedding_type: Option<String>,

    /// Set a key; TYPE is int, float, bool or str; can be repeated
    #[arg(long, value_name = "KEY=TYPE:VALUE")]
    override_kv: Vec<String>,

    /// Say what sizes there would be, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub force: ForceFlag,

    /// Threads [default: all processors]
    #[arg(long, short = 't', value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,

    #[command(flatten)]
    pub json: JsonFlag,
}

/// An importance matrix and its file.
pub struct LoadedImportance {
    matrix: ImportanceMatrix,
    file: String,
}

impl LoadedImportance {
    /// The same as the library takes it.
    pub fn as_option(loaded: &Option<LoadedImportance>) -> Option<Importance<'_>> {
        loaded.as_ref().map(|LoadedImportance { matrix, file }| Importance { matrix, file })
    }
}

impl MixFlags {
    /// Reads the importance matrix, where one is given.
    pub fn importance(&self) -> anyhow::Result<Option<LoadedImportance>> {
        let Some(path) = self.imatrix.as_deref() else { return Ok(None) };
        let matrix = self.kept(ImportanceMatrix::open(path)?);
        Ok(Some(LoadedImportance { matrix, file: path.display().to_string() }))
    }

    fn kept(&self, mut matrix: ImportanceMatrix) -> ImportanceMatrix {
        let (included, excluded) = (&self.include_weights, &self.exclude_weights);
        let held = |name: &str, parts: &[String]| parts.iter().any(|part| name.contains(part.as_str()));
        matrix.entries.retain(|name, _| (included.is_empty() || held(name, included)) && !held(name, excluded));
        matrix
    }

    /// A flag that was given and chooses among types, which adapters do not have.
    pub fn choice(&self) -> Option<&'static str> {
        let given = [
            (self.imatrix.is_some(), "--imatrix"),
            (!self.include_weights.is_empty(), "--include-weights"),
            (!self.exclude_weights.is_empty(), "--exclude-weights"),
            (self.pure, "--pure"),
            (!self.tensor_type.is_empty(), "--tensor-type"),
            (self.tensor_type_file.is_some(), "--tensor-type-file"),
            (self.output_tensor_type.is_some(), "--output-tensor-type"),
            (self.token_embedding_type.is_some(), "--token-embedding-type"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }

    /// The options of the mix `file_type`.
    pub fn options<'a>(&self, file_type: FileType, importance: Option<Importance<'a>>) -> anyhow::Result<Options<'a>> {
        let mut options = Options::new(file_type);
        options.pure = self.pure;
        options.importance = importance;
        let tensor_type = |name: &String| {
            let found = name.parse::<TensorType>();
            found.map_err(|()| usage(format!("unknown tensor type `{name}`"), "for example: q6_K, q8_0, f16"))
        };
        let mut patterns = self.tensor_type.clone();
        if let Some(path) = &self.tensor_type_file {
            let text = std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
            patterns.extend(text.split_whitespace().map(str::to_owned));
        }
        for text in &patterns {
            let parts = text.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty());
            let Some((pattern, name)) = parts else {
                return Err(usage(format!("`{text}` is not PATTERN=TYPE"), "for example: --tensor-type ffn_down=q6_K"));
            };
            options.tensor_types.push(TypePattern { pattern: pattern.into(), tensor_type: tensor_type(&name.into())? });
        }
        options.output_type = self.output_tensor_type.as_ref().map(tensor_type).transpose()?;
        options.token_embedding_type = self.token_embedding_type.as_ref().map(tensor_type).transpose()?;
        options.overrides =
            self.override_kv.iter().map(|text| key_value::parse(text)).collect::<anyhow::Result<_>>()?;
        options.threads = usize::from(self.threads.unwrap_or(0));
        Ok(options)
    }
}
