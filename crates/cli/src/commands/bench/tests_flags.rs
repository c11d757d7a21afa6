//! Which tests are run: prompts, generations and pairs, at every depth, with every number of sequences.

use ascua_eval::BenchTest;
use clap::Args;

/// Lengths of the tests.
#[derive(Args, Clone, Debug)]
pub struct TestFlags {
    /// Prompt lengths; 0: none
    #[arg(
        long,
        short = 'p',
        visible_alias = "n-prompt",
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "512"
    )]
    prompt: Vec<usize>,

    /// Generation lengths; 0: none
    #[arg(
        long,
        short = 'n',
        visible_alias = "n-gen",
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "128"
    )]
    generate: Vec<usize>,

    /// A prompt of P tokens and then N generated, timed as one; may be repeated [also: -pg]
    #[arg(long = "prompt-generate", value_name = "P,N", value_parser = pair)]
    pairs: Vec<(usize, usize)>,

    /// Tokens in the context before the time starts
    #[arg(
        long,
        short = 'd',
        visible_alias = "n-depth",
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "0"
    )]
    depth: Vec<usize>,

    /// Sequences that generate together [also: -np]
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    parallel: Vec<u32>,

    /// Counted runs of each test
    #[arg(long, short = 'r', visible_alias = "repetitions", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
}

impl TestFlags {
    /// Counted runs of each test.
    pub fn runs(&self) -> usize {
        self.runs as usize
    }

    /// The tests, in the order of the rows.
    pub fn tests(&self) -> Vec<BenchTest> {
        let lengths = self.prompt.iter().map(|&prompt| (prompt, 0));
        let lengths = lengths.chain(self.generate.iter().map(|&generation| (0, generation)));
        let lengths: Vec<_> = lengths.chain(self.pairs.iter().copied()).filter(|lengths| *lengths != (0, 0)).collect();
        let mut tests = Vec::new();
        for &depth in &self.depth {
            for &(prompt, generation) in &lengths {
                // A prompt alone is a batch already.
                let parallel = if generation == 0 { &[1][..] } else { &self.parallel };
                tests.extend(parallel.iter().map(|&sequences| BenchTest {
                    prompt,
                    generation,
                    depth,
                    sequences: sequences as usize,
                }));
            }
        }
        tests
    }
}

fn pair(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once(',').and_then(|(p, n)| Some((p.trim().parse().ok()?, n.trim().parse().ok()?)));
    parsed.ok_or_else(|| "two lengths are needed: P,N".to_owned())
}
