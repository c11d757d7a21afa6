//! The flags that say how a model is cut into parts, the same for `gguf split` and `convert`.

use ascua::gguf::{FirstPart, SplitLimit};
use clap::Args;

/// How to cut a model.
#[derive(Args, Debug)]
pub struct SplitFlags {
    /// Most bytes of tensors in a part, in M (10⁶), G (10⁹) or bytes
    #[arg(long, value_name = "SIZE", value_parser = size, visible_alias = "max-size")]
    split_max_size: Option<u64>,

    /// Most tensors in a part
    #[arg(long, value_name = "N", conflicts_with = "split_max_size", visible_alias = "max-tensors")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    split_max_tensors: Option<u32>,

    /// Put the keys alone into the first part
    #[arg(long)]
    no_tensor_first_split: bool,
}

impl SplitFlags {
    /// When a new part begins, where that is asked for.
    pub fn limit(&self) -> Option<SplitLimit> {
        let bytes = self.split_max_size.map(SplitLimit::Bytes);
        bytes.or(self.split_max_tensors.map(|tensors| SplitLimit::Tensors(tensors as usize)))
    }

    /// What is in the first part.
    pub fn first(&self) -> FirstPart {
        if self.no_tensor_first_split { FirstPart::KeysAlone } else { FirstPart::Filled }
    }
}

fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['M', 'G']) {
        Some(digits) if text.ends_with('M') => (digits, 1_000_000),
        Some(digits) => (digits, 1_000_000_000),
        None => (text, 1),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|&bytes| bytes > 0);
    bytes.ok_or_else(|| "a size is a whole number from 1 with M, G or nothing behind it".into())
}
