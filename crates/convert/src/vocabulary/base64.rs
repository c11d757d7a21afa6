//! Base64 of RFC 4648, as `tokenizer.json` and tiktoken's files use it.

/// The bytes of a text; `None` where it is no base64. Padding may be left out.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let padding = text.len() - digits;
    if padding > 2 || digits % 4 == 1 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in &text[..digits] {
        bits = bits << 6 | value(*digit)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn vectors_of_the_rfc_and_wrong_ones() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("+/+/", "\u{0}")]
        {
            let expected = if text == "+/+/" { vec![0xfb, 0xff, 0xbf] } else { bytes.as_bytes().to_vec() };
            assert_eq!(decode(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["Z", "Zg=", "Zh==", "Zm9v=", "Zm 9", "Zg==Zg==", "===="] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
