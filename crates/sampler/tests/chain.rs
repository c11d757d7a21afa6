//! The chain as a whole: reproducible, greedy where it must be, and unmoved by broken logits.

use ascua_sampler::{NoTokenText, SampleError, SamplerChain, SamplerSettings, most_likely};

fn settings(pairs: &[(&str, &str)]) -> SamplerSettings {
    let mut settings = SamplerSettings::default();
    pairs.iter().for_each(|(name, value)| settings.set(name, value).unwrap());
    settings
}

fn chain(pairs: &[(&str, &str)]) -> SamplerChain {
    SamplerChain::new(&settings(pairs), &NoTokenText).unwrap()
}

/// Logits of a step: spread over several units, the same for the same numbers.
fn logits(size: u32, step: u32) -> Vec<f32> {
    let mix = |token: u32| (token ^ step.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B).rotate_left(13);
    (0..size).map(|token| (mix(token).wrapping_mul(0xC2B2_AE35) >> 8) as f32 / 2_f32.powi(24) * 12.0).collect()
}

fn text(chain: &mut SamplerChain, size: u32, length: u32) -> Vec<u32> {
    let step = |step| {
        let token = chain.sample(&logits(size, step % 7)).unwrap();
        chain.accept(token);
        token
    };
    (0..length).map(step).collect()
}

/// Settings that together reach every sampler.
const KINDS: &[&[(&str, &str)]] = &[
    &[],
    &[("samplers", "")],
    &[("temp", "0")],
    &[("temp", "0"), ("repeat-penalty", "1.3"), ("dry-multiplier", "0.8"), ("logit-bias", "3-inf")],
    &[("temp", "1.3"), ("top-k", "0"), ("top-p", "0.9"), ("min-p", "0")],
    &[("top-k", "0"), ("typical", "0.7"), ("xtc-probability", "0.5"), ("top-nsigma", "2")],
    &[("frequency-penalty", "0.5"), ("presence-penalty", "0.5"), ("repeat-last-n", "-1"), ("dynatemp-range", "0.5")],
    &[("samplers", "temperature;min_p;penalties;top_k"), ("presence-penalty", "1")],
    &[("mirostat", "1")],
    &[("mirostat", "2"), ("temp", "1.1")],
    &[("mirostat", "2"), ("temp", "0")],
];

#[test]
fn the_same_seed_gives_the_same_text() {
    for kind in KINDS {
        let mut pairs = kind.to_vec();
        pairs.push(("seed", "1234"));
        let mut first = chain(&pairs);
        let mut cloned = first.clone();
        let expected = text(&mut first, 1000, 60);
        assert_eq!(text(&mut chain(&pairs), 1000, 60), expected, "{kind:?}: built again");
        assert_eq!(text(&mut cloned, 1000, 60), expected, "{kind:?}: cloned");
        first.reset();
        assert_eq!(text(&mut first, 1000, 60), expected, "{kind:?}: reset");
        let in_thread = std::thread::spawn(move || text(&mut chain(&pairs), 1000, 60)).join().unwrap();
        assert_eq!(in_thread, expected, "{kind:?}: in another thread");
    }
}

#[test]
fn the_recorded_text_of_a_seed_does_not_change() {
    let found = text(&mut chain(&[("seed", "42")]), 1000, 12);
    assert_eq!(found, RECORDED, "the same release line must give the same text for a seed");
}

const RECORDED: [u32; 12] = [502, 103, 48, 103, 251, 956, 828, 597, 390, 611, 420, 135];

#[test]
fn another_seed_gives_another_text_and_minus_one_a_fresh_seed() {
    let texts: Vec<_> = ["1", "2"].map(|seed| text(&mut chain(&[("seed", seed)]), 1000, 40)).into();
    assert_ne!(texts[0], texts[1]);
    let (mut first, second) = (chain(&[]), chain(&[]));
    assert_ne!(first.seed(), second.seed());
    let again = text(&mut chain(&[("seed", &first.seed().to_string())]), 1000, 40);
    assert_eq!(text(&mut first, 1000, 40), again);
}

#[test]
fn greedy_takes_the_first_of_the_greatest() {
    let cases: &[(&[f32], u32)] = &[
        (&[1.0], 0),
        (&[1.0, 3.0, 3.0, 2.0], 1),
        (&[-5.0, -5.0], 0),
        (&[f32::NAN, -1.0, f32::NEG_INFINITY], 1),
        (&[0.0, f32::INFINITY, f32::INFINITY], 1),
        (&[f32::MIN, f32::NEG_INFINITY], 0),
    ];
    // The second goes through the candidates, since a penalty is on.
    for kind in
        [&[("temp", "0")][..], &[("temp", "-1"), ("presence-penalty", "1")], &[("mirostat", "1"), ("temp", "0")]]
    {
        for (logits, token) in cases {
            assert_eq!(chain(kind).sample(logits), Ok(*token), "{kind:?} on {logits:?}");
        }
    }
}

#[test]
fn greedy_feels_penalties() {
    let mut chain = chain(&[("temp", "0"), ("repeat-penalty", "2")]);
    let logits = [3.0, 2.0, -1.0];
    assert_eq!(chain.sample(&logits), Ok(0));
    chain.accept(0);
    assert_eq!(chain.sample(&logits), Ok(1));
    chain.accept(1);
    assert_eq!(chain.sample(&logits), Ok(0), "1.5 against 1.0");
}

#[test]
fn broken_logits_never_panic() {
    let special =
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0, f32::MIN_POSITIVE, 1e-45, 20.0];
    let mut rows: Vec<Vec<f32>> = special.iter().flat_map(|&x| [1, 2, 50].map(|size| vec![x; size])).collect();
    rows.extend(special.iter().flat_map(|&a| special.iter().map(move |&b| [a, b].repeat(40))));
    rows.push(special.to_vec());
    for kind in KINDS {
        for extra in [&[][..], &[("temp", "1e-40")], &[("temp", "3e38"), ("repeat-penalty", "0.001")]] {
            let mut chain = chain(&[*kind, extra, &[("seed", "9")]].concat());
            for row in &rows {
                let possible = row.iter().any(|&logit| logit > f32::NEG_INFINITY);
                match chain.sample(row) {
                    Ok(token) => {
                        assert!(
                            possible && row[token as usize] > f32::NEG_INFINITY,
                            "{kind:?} took {token} of {row:?}"
                        );
                        chain.accept(token);
                    }
                    Err(error) => {
                        // One kind forbids token 3.
                        assert!(!possible, "{kind:?} on {row:?}: {error}");
                        assert_eq!(error, SampleError::NothingPossible { logits: row.len() });
                    }
                }
            }
            assert_eq!(chain.sample(&[]), Err(SampleError::NoLogits));
            assert_eq!(most_likely(&rows[0], 5).len(), 0);
        }
    }
}

#[test]
fn extreme_settings_never_panic() {
    let extremes =
        ["-1", "0", "1", "2", "1e-45", "0.001", "0.5", "1000", "3.4e38", "-3.4e38", "2147483647", "-2147483648"];
    for parameter in ascua_sampler::PARAMETERS {
        for value in extremes {
            let mut settings =
                settings(&[("top-k", "0"), ("dry-multiplier", "1"), ("xtc-probability", "0.5"), ("seed", "1")]);
            if settings.set(parameter.name, value).is_err() {
                continue;
            }
            let mut chain = SamplerChain::new(&settings, &NoTokenText).unwrap();
            for step in 0..40 {
                let token = chain.sample(&logits(50, step % 2)).unwrap();
                assert!(token < 50, "{} = {value}", parameter.name);
                chain.accept(step % 3);
                chain.accept(token);
            }
        }
    }
}

#[test]
fn candidates_are_shown_likeliest_first() {
    let logits = [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln);
    let mut chain = chain(&[("temp", "1"), ("top-p", "1"), ("min-p", "0"), ("top-k", "3")]);
    let sampled = chain.sample_with_candidates(&logits).unwrap();
    let shown: Vec<(u32, f32)> = sampled.candidates.iter().map(|c| (c.token, (c.probability * 9.0).round())).collect();
    assert_eq!(shown, [(1, 4.0), (3, 3.0), (2, 2.0)]);
    assert!(sampled.candidates.contains(&sampled.taken));
}

#[test]
fn only_the_named_samplers_run() {
    let logits = [0.1_f32, 0.4, 0.2, 0.3].map(f32::ln);
    for (order, count) in [("", 4), ("top_k", 2), ("min_p", 3), ("min_p;top_k", 2), ("top-p;temp", 4)] {
        let mut chain = chain(&[("samplers", order), ("top-k", "2"), ("min-p", "0.4"), ("top-p", "0.95")]);
        assert_eq!(chain.sample_with_candidates(&logits).unwrap().candidates.len(), count, "`{order}`");
    }
}

#[test]
fn a_chain_of_invalid_settings_is_refused() {
    let mut settings = SamplerSettings::default();
    settings.top_p.p = 2.0;
    let error = SamplerChain::new(&settings, &NoTokenText).unwrap_err();
    assert_eq!(error.to_string(), "sampling parameter `top-p` is 2, but must be from 0 to 1");
    assert!(SamplerChain::new(&SamplerSettings::greedy(), &NoTokenText).is_ok());
}
