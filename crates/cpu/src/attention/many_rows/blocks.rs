//! How a product of rows with vectors of lanes is cut into blocks that the registers hold.

use crate::lanes::Lanes;

/// A product that is computed block by block.
pub(super) trait Blocks<V: Lanes> {
    /// Whether 32 registers hold blocks of six rows of four vectors.
    const FOUR_VECTORS: bool = true;

    /// Rows of the product.
    fn rows(&self) -> usize;
    /// `R` rows from `row` on of `C` vectors from `lane` on.
    /// # Safety
    /// As [`Blocks::run`]; the block lies within the rows rounded up to four, and the vectors.
    unsafe fn block<const R: usize, const C: usize>(&self, row: usize, lane: usize);

    /// The whole product.
    /// # Safety
    /// The product's operands are as its maker promises, for as many vectors; the machine has its instructions.
    #[inline(always)]
    unsafe fn run(&self, vectors: usize) {
        let mut vector = 0;
        // SAFETY: as the caller promises.
        unsafe {
            while vector < vectors {
                // As many sums as hide the latency and fit the registers.
                vector += match vectors - vector {
                    4.. if V::REGISTERS >= 32 && Self::FOUR_VECTORS => self.columns::<6, 4>(vector),
                    2.. if V::REGISTERS >= 32 => self.columns::<8, 2>(vector),
                    2.. => self.columns::<6, 2>(vector),
                    _ => self.columns::<8, 1>(vector),
                };
            }
        }
    }

    /// All rows of `C` vectors; gives `C`.
    /// # Safety
    /// As [`Blocks::run`].
    #[inline(always)]
    unsafe fn columns<const R: usize, const C: usize>(&self, vector: usize) -> usize {
        let lane = vector * V::LANES;
        let mut row = 0;
        // SAFETY: as the caller of `run` promises; a last block ends below `rows` rounded up to four.
        unsafe {
            while row + R <= self.rows() {
                self.block::<R, C>(row, lane);
                row += R;
            }
            while row + 2 < self.rows() {
                self.block::<4, C>(row, lane);
                row += 4;
            }
            if row < self.rows() {
                self.block::<2, C>(row, lane);
            }
        }
        C
    }
}
