//! Several matrices as one: what each was collected on counts as much as there was of it.

use std::collections::btree_map;

use super::{Entry, ImatrixError, ImportanceMatrix};

impl ImportanceMatrix {
    /// Adds what another matrix of the same model holds. Pieces of text get the size of this matrix's, where it has one.
    ///
    /// # Errors
    /// A weight has another size: the matrices are of different models.
    pub fn merge(&mut self, mut other: ImportanceMatrix) -> Result<(), ImatrixError> {
        if self.entries.is_empty() && self.datasets.is_empty() {
            let chunk_size = self.chunk_size;
            *self = other;
            self.cut_into(chunk_size);
            return Ok(());
        }
        self.count_tokens(other.chunk_size);
        other.count_tokens(self.chunk_size);
        for (name, entry) in other.entries {
            match self.entries.entry(name) {
                btree_map::Entry::Vacant(place) => _ = place.insert(entry),
                btree_map::Entry::Occupied(mut place) => {
                    let name = place.key().clone();
                    place.get_mut().add(entry, &name)?;
                }
            }
        }
        self.datasets.extend(other.datasets);
        self.cut_into(self.chunk_size);
        Ok(())
    }

    /// An older file counts pieces of text; from here on tokens are counted, as many as a piece has.
    fn count_tokens(&mut self, chunk_size: u32) {
        if self.chunk_size > 0 || chunk_size == 0 {
            return;
        }
        for entry in self.entries.values_mut() {
            entry.sums.iter_mut().for_each(|sum| *sum *= chunk_size as f32);
            entry.counts.iter_mut().for_each(|count| *count *= u64::from(chunk_size));
        }
        self.chunk_size = chunk_size;
    }

    /// The number of pieces of this size that the counts make.
    fn cut_into(&mut self, chunk_size: u32) {
        self.count_tokens(chunk_size);
        if chunk_size > 0 {
            let most = self.entries.values().flat_map(|entry| &entry.counts).copied().max().unwrap_or(0);
            self.chunk_size = chunk_size;
            self.chunk_count = u32::try_from(most / u64::from(chunk_size)).unwrap_or(u32::MAX);
        }
    }
}

impl Entry {
    fn add(&mut self, mut other: Entry, name: &str) -> Result<(), ImatrixError> {
        let differ = |what, left, right| Err(ImatrixError::Merge { name: name.to_owned(), what, left, right });
        if self.sums.len() != other.sums.len() {
            return differ("sums", self.sums.len(), other.sums.len());
        }
        // Older files have one count for all experts.
        let most = self.counts.len().max(other.counts.len());
        for counts in [&mut self.counts, &mut other.counts] {
            if let [count] = counts[..] {
                counts.resize(most, count);
            }
        }
        if self.counts.len() != other.counts.len() {
            return differ("counts", self.counts.len(), other.counts.len());
        }
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum += more);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count = count.saturating_add(*more));
        Ok(())
    }
}
