//! Parameters of rotary position embedding, shared by the operation and the kernels.
//!
//! Sources: Su et al. 2021 (RoPE), Peng et al. 2023 (YaRN); "normal" and "NeoX" are the two ways to pair elements.

/// Which elements of a head form a rotated pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RopeStyle {
    /// `(0, 1), (2, 3) …`
    Normal,
    /// `(0, n/2), (1, n/2 + 1) …`
    Neox,
}

/// How angles are made from positions.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeParameters {
    /// Pairing of elements.
    pub style: RopeStyle,
    /// Elements of each head that are rotated; the rest pass through.
    pub rotary_size: usize,
    /// Base of the geometric series of frequencies.
    pub base: f32,
    /// Factor on positions: 1 / linear scaling.
    pub frequency_scale: f32,
    /// YaRN: weight of extrapolation (0 switches YaRN off).
    pub extrapolation: f32,
    /// Factor on cosines and sines.
    pub attention_factor: f32,
    /// YaRN: rotations at which extrapolation ends.
    pub beta_fast: f32,
    /// YaRN: rotations at which interpolation begins.
    pub beta_slow: f32,
    /// Context length the model was trained with.
    pub original_context: usize,
    /// Per-frequency divisors (`rope_freqs`, LongRoPE factors), `[rotary_size / 2]`.
    pub factors: Option<Vec<f32>>,
}

impl RopeParameters {
    /// Cosines and sines for one position, `[rotary_size / 2]` each.
    ///
    /// The angle is carried as a running F32 product, as the field's engines do: with small divisors the angles grow
    /// so large that another order of rounding gives other values.
    pub fn angles(&self, position: u32, cosines: &mut [f32], sines: &mut [f32]) {
        let step = self.base.powf(-2.0 / self.rotary_size as f32);
        let (low, high) = self.correction_range();
        let mut theta = position as f32;
        for pair in 0..self.rotary_size / 2 {
            let factor = self.factors.as_ref().map_or(1.0, |f| f[pair]);
            let extrapolated = theta / factor;
            let interpolated = self.frequency_scale * extrapolated;
            let mut angle = interpolated;
            let mut magnitude = self.attention_factor;
            if self.extrapolation != 0.0 {
                let ramp = 1.0 - ((pair as f32 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
                let mix = ramp * self.extrapolation;
                angle = interpolated * (1.0 - mix) + extrapolated * mix;
                magnitude *= 1.0 + 0.1 * (1.0 / self.frequency_scale).ln();
            }
            cosines[pair] = angle.cos() * magnitude;
            sines[pair] = angle.sin() * magnitude;
            theta *= step;
        }
    }

    /// YaRN: the pair indices between which interpolation blends into extrapolation.
    fn correction_range(&self) -> (f32, f32) {
        let dimension = |rotations: f32| {
            self.rotary_size as f32 * (self.original_context as f32 / (rotations * 2.0 * std::f32::consts::PI)).ln()
                / (2.0 * self.base.ln())
        };
        let low = dimension(self.beta_fast).floor().max(0.0);
        let high = dimension(self.beta_slow).ceil().min(self.rotary_size as f32 - 1.0);
        (low, high)
    }
}
