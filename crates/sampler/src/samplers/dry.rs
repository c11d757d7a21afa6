//! DRY, "don't repeat yourself": penalises a token that would continue a sequence which stands in the text already, the
//! more the longer the repetition (p-e-w, text-generation-webui pull request 5677; sequence breakers as in KoboldCpp).
//!
//! The lengths of all repetitions come from one pass of the Z-algorithm over the reversed text, so a step costs time
//! linear in the number of tokens looked at. A repetition never reaches back over a sequence breaker.

use std::collections::HashMap;

use crate::candidates::Candidates;
use crate::parameter::{ParameterKind, ParameterValue, Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler, TokenText};

parameters! {
    /// DRY.
    pub struct Settings {
        /// Strength of the penalty on continuing a repeated sequence; 0 is off.
        multiplier: f32 = 0.0, "dry-multiplier", Range::at_least(0.0);
        /// The penalty grows by this factor for each token of repetition beyond the allowed length; below 1 is off.
        base: f32 = 1.75, "dry-base", Range::at_least(0.0);
        /// Repetitions up to this many tokens are free.
        allowed_length: i32 = 2, "dry-allowed-length", Range::at_least(0.0);
        /// How many of the last tokens are searched for repetitions; 0 is off, -1 searches all.
        last_n: i32 = 64, "dry-penalty-last-n", Range::at_least(-1.0);
        /// Texts that end a repetition, separated by blanks; `\n` `\t` `\s` (blank) and `\\` stand for themselves.
        breakers: SequenceBreakers = SequenceBreakers::default(), "dry-sequence-breakers" | "dry-sequence-breaker", Range::ANY;
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["dry"],
    role: Role::Reweighs(|settings, vocabulary| {
        let settings = &settings.dry;
        let off = settings.multiplier == 0.0 || settings.base < 1.0 || settings.last_n == 0;
        (!off).then(|| Box::new(Dry::new(settings.clone(), breaker_tokens(&settings.breakers, vocabulary))) as _)
    }),
};

/// Texts at which DRY lets a repetition start anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceBreakers(pub Vec<String>);

impl Default for SequenceBreakers {
    fn default() -> Self {
        Self(["\n", ":", "\"", "*"].map(str::to_owned).to_vec())
    }
}

impl ParameterValue for SequenceBreakers {
    const KIND: ParameterKind = ParameterKind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let unescape = |word: &str| {
            let mut characters = word.chars();
            let mut plain = String::new();
            while let Some(character) = characters.next() {
                plain.push(match character {
                    '\\' => match characters.next()? {
                        'n' => '\n',
                        't' => '\t',
                        's' => ' ',
                        '\\' => '\\',
                        _ => return None,
                    },
                    other => other,
                });
            }
            Some(plain)
        };
        let breakers: Option<Vec<String>> = text.split_whitespace().map(unescape).collect();
        breakers
            .map(Self)
            .ok_or_else(|| r"texts separated by blanks, with \n, \t, \s and \\ as the only escapes".to_owned())
    }

    fn show(&self) -> String {
        let escape = |text: &String| {
            let escaped = text.replace('\\', r"\\").replace('\n', r"\n").replace('\t', r"\t");
            escaped.replace(' ', r"\s")
        };
        self.0.iter().map(escape).collect::<Vec<_>>().join(" ")
    }

    fn number(&self) -> Option<f64> {
        None
    }
}

/// By the first token in which a breaker starts, the tokens that must follow (none when it ends in the same token).
type BreakerTokens = HashMap<u32, Vec<Vec<u32>>>;

#[derive(Debug, Clone)]
struct Dry {
    settings: Settings,
    breakers: BreakerTokens,
    /// The text, oldest first; at most twice as many tokens as are searched.
    text: Vec<u32>,
    /// For each k, how many of the last tokens stand again k tokens earlier; kept for its room.
    repeats: Vec<usize>,
    /// The longest repetition that each token would continue; kept for its room.
    continued: HashMap<u32, usize>,
}

impl Dry {
    fn new(settings: Settings, breakers: BreakerTokens) -> Self {
        Self { settings, breakers, text: Vec::new(), repeats: Vec::new(), continued: HashMap::new() }
    }

    /// How many of the last tokens are searched; `None` for all.
    fn window(&self) -> Option<usize> {
        usize::try_from(self.settings.last_n).ok()
    }
}

impl Sampler for Dry {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        let start = self.window().map_or(0, |window| self.text.len().saturating_sub(window));
        let text = &self.text[start..];
        let allowed = usize::try_from(self.settings.allowed_length).unwrap_or(0);
        if text.len() <= allowed {
            return;
        }
        let longest = since_breaker(text, &self.breakers);
        if longest < allowed {
            return;
        }
        repeat_lengths(text, &mut self.repeats);
        self.continued.clear();
        for (back, &repeat) in self.repeats.iter().enumerate().skip(1) {
            let repeat = repeat.min(longest);
            if repeat >= allowed {
                let next = text[text.len() - back];
                // A token that is a breaker by itself ends the repetition, rather than continuing it.
                if self.breakers.get(&next).is_some_and(|tails| tails.contains(&Vec::new())) {
                    continue;
                }
                let most = self.continued.entry(next).or_insert(repeat);
                *most = repeat.max(*most);
            }
        }
        let Settings { multiplier, base, .. } = self.settings;
        candidates.adjust(&self.continued, |logit, &repeat| {
            if logit == f32::NEG_INFINITY {
                return logit;
            }
            // Bounded, so that a penalty without measure makes a token unlikely but not impossible.
            let growth = base.powi(i32::try_from(repeat - allowed).unwrap_or(i32::MAX));
            (logit - multiplier * growth).max(f32::MIN)
        });
    }

    fn accept(&mut self, token: u32) {
        self.text.push(token);
        if let Some(window) = self.window()
            && self.text.len() >= window.saturating_mul(2)
        {
            self.text.drain(..self.text.len() - window);
        }
    }

    fn reset(&mut self) {
        self.text.clear();
    }

    fn boxed_clone(&self) -> Box<dyn Sampler> {
        Box::new(self.clone())
    }
}

/// The number of tokens after the last sequence breaker.
fn since_breaker(text: &[u32], breakers: &BreakerTokens) -> usize {
    for (head, token) in text.iter().enumerate().rev() {
        let Some(tails) = breakers.get(token) else { continue };
        let after = &text[head + 1..];
        if let Some(tail) = tails.iter().filter(|tail| after.starts_with(tail)).map(Vec::len).max() {
            return after.len() - tail;
        }
    }
    text.len()
}

/// `repeats[k]`: how many tokens at the end of the text stand also at the end of the text without its last k.
///
/// This is the Z-function of the reversed text (Gusfield 1997, §1.4).
fn repeat_lengths(text: &[u32], repeats: &mut Vec<usize>) {
    let size = text.len();
    let back = |index: usize| text[size - 1 - index];
    repeats.clear();
    repeats.resize(size, 0);
    // The match that reaches furthest: it starts at `left` and ends before `right`.
    let (mut left, mut right) = (0, 0);
    for k in 1..size {
        let mut length = if k < right { repeats[k - left].min(right - k) } else { 0 };
        while k + length < size && back(length) == back(k + length) {
            length += 1;
        }
        repeats[k] = length;
        if k + length > right {
            (left, right) = (k, k + length);
        }
    }
}

/// Finds, for every token, whether a breaker stands in it, or starts in it and continues in further tokens.
fn breaker_tokens(breakers: &SequenceBreakers, vocabulary: &dyn TokenText) -> BreakerTokens {
    // Longer breakers are cut, to bound the search at every step.
    const MOST_CHARACTERS: usize = 40;
    const MOST_TAIL_TOKENS: usize = 20;
    let breakers: Vec<String> = breakers
        .0
        .iter()
        .map(|text| text.chars().take(MOST_CHARACTERS).collect())
        .filter(|t: &String| !t.is_empty())
        .collect();
    let mut found = BreakerTokens::new();
    let mut tails: HashMap<&str, Vec<u32>> = HashMap::new();
    let mut text = Vec::new();
    for token in 0..vocabulary.token_count() {
        text.clear();
        vocabulary.append_text(token, &mut text);
        for breaker in &breakers {
            let bytes = breaker.as_bytes();
            if text.windows(bytes.len()).any(|window| window == bytes) {
                let all = found.entry(token).or_default();
                if !all.contains(&Vec::new()) {
                    all.push(Vec::new());
                }
                continue;
            }
            for length in 1..bytes.len().min(text.len() + 1) {
                // The rest can only be tokenised where it begins with a whole character.
                let (true, Some(rest)) = (text.ends_with(&bytes[..length]), breaker.get(length..)) else { continue };
                let tail = tails.entry(rest).or_insert_with(|| {
                    let mut tail = vocabulary.tokenize(rest);
                    tail.truncate(MOST_TAIL_TOKENS);
                    tail
                });
                let all = found.entry(token).or_default();
                if !tail.is_empty() && !all.contains(tail) {
                    all.push(tail.clone());
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::check::check;

    fn dry(multiplier: f32, allowed_length: i32, last_n: i32, breakers: &[&[u32]]) -> Option<Box<dyn Sampler>> {
        let settings =
            Settings { multiplier, base: 1.1, allowed_length, last_n, breakers: SequenceBreakers(Vec::new()) };
        let mut tokens = BreakerTokens::new();
        breakers.iter().for_each(|b| tokens.entry(b[0]).or_default().push(b[1..].to_vec()));
        Some(Box::new(Dry::new(settings, tokens)))
    }

    #[test]
    fn continuing_a_repetition_costs() {
        let even4: &[(u32, f32)] = &[(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)];
        let even5: &[(u32, f32)] = &[(0, 0.2), (1, 0.2), (2, 0.2), (3, 0.2), (4, 0.2)];
        check(dry(1.0, 2, 4, &[]), &[0, 1], &[0.25; 4], even4);
        // `0 1` repeats, so 2 would continue it: its logit falls by 1.1⁰ = 1.
        let costly = |penalty: f32, count: f32| {
            let rest = 1.0 / (count - 1.0 + (-penalty).exp());
            (rest, rest * (-penalty).exp())
        };
        let (rest, cost) = costly(1.0, 4.0);
        let expected = [(0, rest), (1, rest), (2, cost), (3, rest)];
        check(dry(1.0, 2, 5, &[]), &[0, 1, 2, 0, 1], &[0.25; 4], &expected);
        check(dry(1.0, 2, -1, &[]), &[0, 1, 2, 0, 1], &[0.25; 4], &expected);
        let (rest, cost) = costly(2.0, 5.0);
        let expected = [(0, rest), (1, rest), (2, cost), (3, rest), (4, rest)];
        check(dry(2.0, 2, 5, &[]), &[0, 1, 2, 0, 1], &[0.2; 5], &expected);
        // One token of repetition allowed: the two repeated tokens cost 1.1¹.
        let (rest, cost) = costly(1.1, 4.0);
        check(dry(1.0, 1, -1, &[]), &[0, 1, 2, 0, 1], &[0.25; 4], &[(0, rest), (1, rest), (2, cost), (3, rest)]);
        // Repetitions no longer than allowed, and such as have left the window, are free.
        check(dry(1.0, 4, 7, &[]), &[0, 1, 2, 3, 4, 0, 1], &[0.2; 5], even5);
        check(dry(1.0, 2, 3, &[]), &[0, 1, 2, 0, 1], &[0.25; 4], even4);
    }

    #[test]
    fn breakers_end_a_repetition() {
        let even: &[(u32, f32)] = &[(0, 0.2), (1, 0.2), (2, 0.2), (3, 0.2), (4, 0.2)];
        // The token that would continue is itself a breaker.
        check(dry(1.0, 2, 6, &[&[3]]), &[0, 1, 3, 4, 0, 1], &[0.2; 5], even);
        // Of `4 0 1` only `1` stands after the breaker, which is less than the allowed length.
        check(dry(9.0, 2, 8, &[&[4, 0]]), &[4, 0, 1, 2, 4, 0, 1], &[0.2; 5], even);
        // A breaker of two tokens of which only the first is there breaks nothing.
        let rest = 1.0 / (4.0 + (-9.0_f32 * 1.1).exp());
        let cost = rest * (-9.0_f32 * 1.1).exp();
        let expected = [(0, rest), (1, rest), (2, cost), (3, rest), (4, rest)];
        check(dry(9.0, 2, 8, &[&[4, 3]]), &[4, 0, 1, 2, 4, 0, 1], &[0.2; 5], &expected);
    }

    #[test]
    fn repeat_lengths_equal_the_plain_definition() {
        let mut random = Random::new(2);
        let mut repeats = Vec::new();
        for size in 1..60_usize {
            let text: Vec<u32> = (0..size).map(|_| (random.unit() * 2.0) as u32).collect();
            repeat_lengths(&text, &mut repeats);
            for k in 1..size {
                let plain = (0..size - k).take_while(|i| text[size - 1 - i] == text[size - 1 - k - i]).count();
                assert_eq!(repeats[k], plain, "{text:?} at {k}");
            }
        }
    }

    #[test]
    fn an_endless_repetition_stays_linear_and_finite() {
        let mut sampler = dry(1e30, 2, -1, &[]).unwrap();
        (0..200_000).for_each(|_| sampler.accept(1));
        let mut candidates = Candidates::default();
        candidates.load(&[0.0, 0.0, f32::NEG_INFINITY]);
        sampler.apply(&mut candidates, &mut Random::new(0));
        assert_eq!(candidates.maximum(), 0.0);
        let logits: Vec<f32> = candidates.list().iter().map(|candidate| candidate.logit).collect();
        assert!(logits.len() == 2 && logits[1] < -1e30 && logits[1].is_finite(), "{logits:?}");
    }

    /// A vocabulary of the given texts; tokenises by single characters.
    struct Texts(Vec<&'static str>);

    impl TokenText for Texts {
        fn token_count(&self) -> u32 {
            self.0.len() as u32
        }
        fn append_text(&self, token: u32, text: &mut Vec<u8>) {
            text.extend_from_slice(self.0[token as usize].as_bytes());
        }
        fn tokenize(&self, text: &str) -> Vec<u32> {
            let id = |c: char| self.0.iter().position(|t| t.chars().eq([c])).expect("a known character") as u32;
            text.chars().map(id).collect()
        }
    }

    #[test]
    fn breakers_are_found_inside_and_across_tokens() {
        let vocabulary = Texts(vec!["a", "b", "c", "xab", "abc", "xabcx", "b\n", "", "é"]);
        let find = |text: &str| {
            let found = breaker_tokens(&SequenceBreakers::read(text).unwrap(), &vocabulary);
            let mut list: Vec<_> = found.into_iter().collect();
            list.sort();
            list
        };
        assert_eq!(find(r"\n"), [(6, vec![vec![]])]);
        let whole: Vec<Vec<u32>> = vec![vec![]];
        assert_eq!(find("abc"), [(0, vec![vec![1, 2]]), (3, vec![vec![2]]), (4, whole.clone()), (5, whole.clone())]);
        assert_eq!(find("é"), [(8, whole)]);
        assert_eq!(find(""), []);
    }

    #[test]
    fn breakers_as_text() {
        let cases = [
            (r#"\n : " *"#, Some(vec!["\n", ":", "\"", "*"])),
            (r"a\sb \\n", Some(vec!["a b", r"\n"])),
            ("", Some(vec![])),
            (r"\x", None),
            (r"\", None),
        ];
        for (text, expected) in cases {
            let read = SequenceBreakers::read(text).ok();
            assert_eq!(read.as_ref().map(|b| b.0.iter().map(String::as_str).collect()), expected, "`{text}`");
            if let Some(read) = read {
                assert_eq!(SequenceBreakers::read(&read.show()), Ok(read));
            }
        }
        assert_eq!(SequenceBreakers::default().show(), r#"\n : " *"#);
    }
}
