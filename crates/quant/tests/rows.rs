//! Rows: wrong lengths, missing encoders, scalar products, error bounds, and any bytes at all.

use ascua_gguf::TensorType;
use ascua_quant::{Format, LeBf16, LeF16, QuantError, format};
use proptest::prelude::*;

fn any_type() -> impl Strategy<Value = TensorType> {
    proptest::sample::select(TensorType::ALL.to_vec())
}

fn encoding_type() -> impl Strategy<Value = TensorType> {
    let types: Vec<_> = TensorType::ALL.iter().copied().filter(|&t| format(t).can_encode()).collect();
    proptest::sample::select(types)
}

/// Types whose errors are bounded; the others are compared byte by byte in `quantized.rs`.
fn bounded_type() -> impl Strategy<Value = TensorType> {
    let types: Vec<_> = TensorType::ALL.iter().copied().filter(|&t| error_bound(t).is_some()).collect();
    proptest::sample::select(types)
}

/// Activations in the partner format, and what they then stand for.
fn quantise(partner: &dyn Format, values: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let mut bytes = vec![0; partner.tensor_type().row_bytes(values.len()).unwrap()];
    partner.encode_row(values, &mut bytes).unwrap();
    let mut decoded = vec![0.0; values.len()];
    partner.decode_row(&bytes, &mut decoded).unwrap();
    (bytes, decoded)
}

/// The exact product, and the sum of the magnitudes that rounding errors are measured against.
fn product(weights: &[f32], activations: &[f32]) -> (f64, f64) {
    let terms = || weights.iter().zip(activations).map(|(&w, &a)| f64::from(w) * f64::from(a));
    (terms().sum(), terms().map(f64::abs).sum())
}

/// The largest error of an element, as a share of the largest magnitude of its block.
fn error_bound(tensor_type: TensorType) -> Option<f32> {
    Some(match tensor_type {
        TensorType::F32 | TensorType::F64 => 0.0,
        TensorType::F16 => 1.0 / 2048.0,
        TensorType::BF16 => 1.0 / 256.0,
        // Half a step of 8-bit data, and the rounding of the scale.
        TensorType::Q8_0 | TensorType::Q8_1 | TensorType::Q8_K => 0.5 / 127.0 + 1.0 / 2048.0,
        // A signed range whose far end is exact: at the near end a whole step is cut off.
        TensorType::Q4_0 => 1.0 / 8.0 + 1.0 / 2048.0,
        TensorType::Q5_0 => 1.0 / 16.0 + 1.0 / 2048.0,
        // Steps of the range, which is at most twice the largest magnitude; the minimum is rounded too.
        TensorType::Q4_1 => 1.0 / 15.0 + 2.0 / 1024.0,
        TensorType::Q5_1 => 1.0 / 31.0 + 2.0 / 1024.0,
        TensorType::TQ1_0 | TensorType::TQ2_0 | TensorType::Q2_0 => 0.5 + 1.0 / 2048.0,
        // Between 6 and 8 everything becomes 6; between the values, at most half of the widest gap (2 of 4).
        TensorType::MXFP4 => 0.25 + 1e-3,
        TensorType::NVFP4 => 1.0 / 6.0 + 1.0 / 16.0,
        // The mean magnitude stands for all.
        TensorType::Q1_0 => 1.0 + 1.0 / 2048.0,
        _ => return None,
    })
}

proptest! {
    #[test]
    fn any_bytes_decode_and_multiply(tensor_type in any_type(), seed in proptest::collection::vec(any::<u8>(), 1..64)) {
        let elements = 2 * 256;
        let stored = format(tensor_type);
        let fill = |count: usize| -> Vec<u8> {
            seed.iter().enumerate().cycle().take(count).map(|(i, byte)| byte.wrapping_mul(i as u8 | 1)).collect()
        };
        let bytes = fill(tensor_type.row_bytes(elements).unwrap());
        let mut decoded = vec![0.0; elements];
        stored.decode_row(&bytes, &mut decoded).unwrap();
        stored.dot_row(&bytes, &decoded).unwrap();
        stored.dot_row_quantised(&bytes, &fill(stored.partner().row_bytes(elements).unwrap())).unwrap();
    }

    #[test]
    fn any_floats_encode(tensor_type in encoding_type(), bits in proptest::collection::vec(any::<u32>(), 256)) {
        let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
        quantise(format(tensor_type), &values);
        // Importances of any size that are not negative.
        let importance: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits & 0x7FFF_FFFF)).collect();
        let mut bytes = vec![0; tensor_type.row_bytes(values.len()).unwrap()];
        format(tensor_type).encode_row_with(&values, Some(&importance), &mut bytes).unwrap();
    }

    #[test]
    fn encoding_stays_within_its_step(
        tensor_type in bounded_type(),
        values in proptest::collection::vec(-8.0f32..8.0, 512),
    ) {
        let bound = error_bound(tensor_type).unwrap();
        let (_, decoded) = quantise(format(tensor_type), &values);
        let length = tensor_type.block_len();
        for (values, decoded) in values.chunks(length).zip(decoded.chunks(length)) {
            let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            for (value, decoded) in values.iter().zip(decoded) {
                let error = (value - decoded).abs();
                // Near zero a half-precision subnormal step.
                prop_assert!(error <= bound * largest + 6e-8, "{tensor_type}: {value} became {decoded}, largest {largest}");
            }
        }
    }

    #[test]
    fn products_are_those_of_the_decoded_values(
        tensor_type in any_type(),
        random in proptest::collection::vec(any::<u8>(), 2048 * 2),
        activations in proptest::collection::vec(-2.0f32..2.0, 512),
    ) {
        let stored = format(tensor_type);
        let mut bytes = random;
        bytes.truncate(tensor_type.row_bytes(512).unwrap());
        let mut weights = vec![0.0; 512];
        stored.decode_row(&bytes, &mut weights).unwrap();
        // Sums that overflow say nothing about rounding: without its upper bits every float is moderate.
        if !weights.iter().all(|weight| weight.abs() < 1e30) {
            bytes.iter_mut().for_each(|byte| *byte &= 0x3F);
            stored.decode_row(&bytes, &mut weights).unwrap();
        }

        let (exact, magnitude) = product(&weights, &activations);
        let found = f64::from(stored.dot_row(&bytes, &activations).unwrap());
        // 512 additions in 16 lanes: 32 + 16 roundings of 2^-24 at worst.
        prop_assert!((found - exact).abs() <= magnitude * 50.0 * 2f64.powi(-24) + 1e-37, "{tensor_type}: {found} for {exact}");

        let (facing, decoded) = quantise(format(stored.partner()), &activations);
        let (exact, magnitude) = product(&weights, &decoded);
        let found = f64::from(stored.dot_row_quantised(&bytes, &facing).unwrap());
        // Additions in order. A block with minimums first sums scale and minimum parts that may cancel: their size is
        // not seen in the decoded values, so it is bounded by the largest part, `allowance`.
        let allowance = cancelling_parts(tensor_type, &bytes, &decoded);
        prop_assert!(
            (found - exact).abs() <= (magnitude + allowance.size) * allowance.rounding + 1e-37,
            "{tensor_type}: {found} for {exact}, magnitude {magnitude}",
        );
    }

    #[test]
    fn half_precision_rounds_to_the_nearest(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        let half = LeF16::from_f32(value);
        if value.is_nan() {
            prop_assert!(half.to_f32().is_nan());
        } else if value.abs() < 65520.0 {
            let error = (half.to_f32() - value).abs();
            for neighbour in [half.to_bits().wrapping_sub(1), half.to_bits().wrapping_add(1)] {
                let neighbour = LeF16::from_bits(neighbour).to_f32();
                prop_assert!(neighbour.is_nan() || error <= (neighbour - value).abs());
            }
        } else {
            prop_assert_eq!(half.to_f32(), f32::INFINITY.copysign(value));
        }
    }
}

struct Allowance {
    size: f64,
    rounding: f64,
}

/// What the products of one type may lose beyond the rounding of sums.
fn cancelling_parts(tensor_type: TensorType, bytes: &[u8], activations: &[f32]) -> Allowance {
    let half = |at: usize| f64::from(LeF16([bytes[at], bytes[at + 1]]).to_f32()).abs();
    let minimums = |offset: usize, largest: f64| -> f64 {
        (0..bytes.len())
            .step_by(tensor_type.block_bytes())
            .map(|block| half(block + offset) * largest)
            .fold(0.0, f64::max)
    };
    let sum: f64 = activations.iter().map(|a| f64::from(a.abs())).sum();
    let (largest, rounding) = match tensor_type {
        // The sum of the activations is rounded to half precision.
        TensorType::Q4_1 | TensorType::Q5_1 => (minimums(2, 1.0), 2f64.powi(-11)),
        TensorType::Q2_K => (minimums(82, 15.0), 2f64.powi(-18)),
        TensorType::Q4_K | TensorType::Q5_K => (minimums(2, 63.0), 2f64.powi(-18)),
        // Up to 512 additions one after the other.
        _ => (0.0, 2f64.powi(-15)),
    };
    Allowance { size: largest * sum, rounding }
}

#[test]
fn products_of_extreme_bytes_do_not_overflow() {
    for &tensor_type in TensorType::ALL {
        let stored = format(tensor_type);
        for (weights, activations) in
            [(0xFF, 0x80), (0x80, 0x80), (0x7F, 0x80), (0xFF, 0x7F), (0x7F, 0x7F), (0x00, 0x80)]
        {
            let weights = vec![weights; tensor_type.row_bytes(512).unwrap()];
            let activations = vec![activations; stored.partner().row_bytes(512).unwrap()];
            stored.dot_row_quantised(&weights, &activations).unwrap();
        }
    }
}

#[test]
fn every_half_survives_a_round_trip() {
    for bits in 0..=u16::MAX {
        let half = LeF16::from_bits(bits);
        let brain = LeBf16::from_bits(bits);
        if half.to_f32().is_nan() {
            assert!(LeF16::from_f32(half.to_f32()).to_f32().is_nan(), "{bits:#x}");
        } else {
            assert_eq!(LeF16::from_f32(half.to_f32()).to_bits(), bits);
        }
        if brain.to_f32().is_nan() {
            assert!(LeBf16::from_f32(brain.to_f32()).to_f32().is_nan(), "{bits:#x}");
        } else {
            assert_eq!(LeBf16::from_f32(brain.to_f32()).to_bits(), bits);
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    for &tensor_type in TensorType::ALL {
        let stored = format(tensor_type);
        let (elements, expected) = (512, tensor_type.row_bytes(512).unwrap());
        let mut out = vec![0.0; elements];
        for found in [0, expected - 1, expected + 1, expected - tensor_type.block_bytes(), 2 * expected] {
            let wrong = QuantError::RowBytes { tensor_type, elements, expected, found };
            let mut bytes = vec![0; found];
            assert_eq!(stored.decode_row(&bytes, &mut out), Err(wrong.clone()));
            assert_eq!(stored.encode_row(&out, &mut bytes), Err(wrong.clone()));
            assert_eq!(stored.dot_row(&bytes, &out), Err(wrong));
        }
        if tensor_type.block_len() > 1 {
            let wrong = QuantError::PartialBlock { tensor_type, elements: 511 };
            let mut bytes = vec![0; expected];
            assert_eq!(stored.decode_row(&bytes, &mut out[..511]), Err(wrong.clone()));
            assert_eq!(stored.encode_row(&out[..511], &mut bytes), Err(wrong.clone()));
            assert_eq!(stored.dot_row(&bytes, &out[..511]), Err(wrong));
        }
        let facing = vec![0; stored.partner().row_bytes(512).unwrap()];
        let weights = vec![0; expected];
        assert_eq!(stored.dot_row_quantised(&weights, &facing), Ok(0.0));
        assert!(stored.dot_row_quantised(&weights, &facing[1..]).is_err());
        if tensor_type.block_bytes() > 1 {
            let wrong = QuantError::PartialBlockBytes { tensor_type, found: expected - 1 };
            assert_eq!(stored.dot_row_quantised(&weights[1..], &facing), Err(wrong));
        }
        assert_eq!(stored.decode_row(&[], &mut []), Ok(()));
        assert_eq!(stored.dot_row(&[], &[]), Ok(0.0));
    }
}

#[test]
fn a_format_without_an_encoder_says_so_by_name() {
    let stored = format(TensorType::I16);
    let error = stored.encode_row(&[0.0; 256], &mut [0; 512]).unwrap_err();
    assert_eq!(error, QuantError::NoEncoder { tensor_type: TensorType::I16 });
    assert_eq!(error.to_string(), "I16 has no encoder");
}

#[test]
fn importances_of_another_length_are_refused() {
    let error = format(TensorType::Q8_0).encode_row_with(&[0.0; 32], Some(&[1.0; 31]), &mut [0; 34]).unwrap_err();
    assert_eq!(error, QuantError::Importance { elements: 32, found: 31 });
    assert_eq!(error.to_string(), "a row of 32 elements was given 31 importances");
}

#[test]
fn errors_name_the_type_and_both_numbers() {
    let stored = format(TensorType::Q4_K);
    let messages = [
        stored.decode_row(&[0; 143], &mut [0.0; 256]).unwrap_err(),
        stored.decode_row(&[0; 144], &mut [0.0; 100]).unwrap_err(),
        stored.dot_row_quantised(&[0; 143], &[]).unwrap_err(),
    ]
    .map(|error| error.to_string());
    assert_eq!(
        messages,
        [
            "a Q4_K row of 256 elements has 144 bytes, but 143 were given",
            "a row of 100 elements is not whole Q4_K blocks of 256 elements",
            "143 bytes are not whole Q4_K blocks of 144 bytes",
        ]
    );
}

#[test]
fn every_type_has_a_partner_that_can_be_written() {
    for &tensor_type in TensorType::ALL {
        let stored = format(tensor_type);
        assert_eq!(stored.tensor_type(), tensor_type);
        assert!(format(stored.partner()).can_encode(), "{tensor_type}");
    }
}
