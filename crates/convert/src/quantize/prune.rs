//! Leaving layers out: the others move up.

use std::collections::BTreeSet;

use super::tensor_names::layer;

/// The name of a tensor once the layers `pruned` are gone; `None` for a tensor of one of them.
pub(crate) fn renamed(name: &str, pruned: &BTreeSet<u32>) -> Option<String> {
    let Some(old) = layer(name).filter(|_| !pruned.is_empty()) else { return Some(name.to_owned()) };
    if pruned.contains(&old) {
        return None;
    }
    let new = old - pruned.range(..old).count() as u32;
    let rest = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map_or("", |(_, rest)| rest);
    Some(format!("blk.{new}.{rest}"))
}
