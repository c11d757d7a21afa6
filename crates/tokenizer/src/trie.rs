//! A byte trie over token texts: the longest or all tokens that start at a position.
//!
//! Used by Unigram, RWKV and PLaMo, and as the skeleton of the special-token matcher. Built once from sorted texts,
//! breadth first, so that the children of a node lie side by side.
//! Invariant: a walk costs one step per byte, whatever the number of tokens.

/// Marks a node at which no token ends.
pub(crate) const NO_VALUE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    first_child: u32,
    children: u16,
    value: u32,
}

/// Texts with a value each.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// The byte on the edge that leads to each node.
    labels: Vec<u8>,
}

impl Trie {
    pub(crate) const ROOT: u32 = 0;

    /// Of equal texts the last one wins; empty texts are left out.
    pub(crate) fn new(mut entries: Vec<(&[u8], u32)>) -> Trie {
        entries.retain(|(text, _)| !text.is_empty());
        entries.sort_by_key(|entry| entry.0); // stable: of equals the last stays last
        let mut trie = Trie { nodes: vec![Node { first_child: 0, children: 0, value: NO_VALUE }], labels: vec![0] };
        // Each task: a node and the entries that share its path.
        let mut tasks = std::collections::VecDeque::from([(0usize, 0usize, entries.len(), 0usize)]);
        while let Some((node, mut low, high, depth)) = tasks.pop_front() {
            while low < high && entries[low].0.len() == depth {
                trie.nodes[node].value = entries[low].1;
                low += 1;
            }
            trie.nodes[node].first_child = trie.nodes.len() as u32;
            while low < high {
                let label = entries[low].0[depth];
                let end = low + entries[low..high].partition_point(|entry| entry.0[depth] <= label);
                tasks.push_back((trie.nodes.len(), low, end, depth + 1));
                trie.nodes.push(Node { first_child: 0, children: 0, value: NO_VALUE });
                trie.labels.push(label);
                trie.nodes[node].children += 1;
                low = end;
            }
        }
        trie
    }

    /// The node reached from `node` by `byte`.
    pub(crate) fn child(&self, node: u32, byte: u8) -> Option<u32> {
        let Node { first_child, children, .. } = self.nodes[node as usize];
        let first = first_child as usize;
        let labels = &self.labels[first..first + children as usize];
        let index = if labels.len() <= 8 {
            labels.iter().position(|label| *label == byte)?
        } else {
            labels.binary_search(&byte).ok()?
        };
        Some(first_child + index as u32)
    }

    /// The value of the token that ends at `node`.
    pub(crate) fn value(&self, node: u32) -> Option<u32> {
        let value = self.nodes[node as usize].value;
        (value != NO_VALUE).then_some(value)
    }

    /// Number of nodes, the root included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The children of a node with their bytes.
    pub(crate) fn children(&self, node: u32) -> impl Iterator<Item = (u8, u32)> + '_ {
        let Node { first_child, children, .. } = self.nodes[node as usize];
        (first_child..first_child + u32::from(children)).map(|child| (self.labels[child as usize], child))
    }

    /// How many bytes of `text` lead along the trie, whether or not a token ends there.
    pub(crate) fn path_length(&self, text: &[u8]) -> usize {
        let mut node = Trie::ROOT;
        for (depth, byte) in text.iter().enumerate() {
            match self.child(node, *byte) {
                Some(next) => node = next,
                None => return depth,
            }
        }
        text.len()
    }

    /// The tokens that `text` starts with, shortest first: value and length.
    pub(crate) fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (u32, usize)> + 'a {
        let mut node = Some(Trie::ROOT);
        let mut depth = 0;
        std::iter::from_fn(move || {
            loop {
                node = self.child(node?, *text.get(depth)?);
                depth += 1;
                if let Some(value) = node.and_then(|node| self.value(node)) {
                    return Some((value, depth));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_paths_and_values() {
        let texts: [&[u8]; 6] = [b"a", b"ab", b"abcd", b"b", b"", b"ab"];
        let trie = Trie::new(texts.iter().zip(0..).map(|(text, id)| (*text, id)).collect());
        let prefixes = |text: &[u8]| trie.prefixes(text).collect::<Vec<_>>();
        assert_eq!(prefixes(b"abcde"), [(0, 1), (5, 2), (2, 4)]);
        assert_eq!(prefixes(b"ba"), [(3, 1)]);
        assert_eq!(prefixes(b"x"), []);
        assert_eq!(trie.path_length(b"abcx"), 3);
        assert_eq!(trie.path_length(b""), 0);
    }

    #[test]
    fn all_bytes_under_one_node() {
        let texts: Vec<[u8; 2]> = (0..=255).map(|byte| [7, byte]).collect();
        let trie = Trie::new(texts.iter().zip(0..).map(|(text, id)| (text.as_slice(), id)).collect());
        for (text, id) in texts.iter().zip(0..) {
            assert_eq!(trie.prefixes(text).collect::<Vec<_>>(), [(id, 2)]);
        }
    }
}
