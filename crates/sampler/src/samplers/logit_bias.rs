//! Logit bias: a fixed addition to the logits of chosen tokens; −∞ forbids a token.

use std::collections::HashMap;

use crate::candidates::Candidates;
use crate::parameter::{ParameterKind, ParameterValue, Range, parameters};
use crate::random::Random;
use crate::samplers::{Registration, Role, Sampler};

parameters! {
    /// Fixed additions to single logits.
    pub struct Settings {
        /// Additions to tokens' logits, as `ID+BIAS` or `ID-BIAS` separated by `,`; `15043-inf` forbids token 15043.
        biases: LogitBiases = LogitBiases::default(), "logit-bias", Range::ANY;
    }
}

pub(crate) const REGISTRATION: Registration = Registration {
    names: &["logit_bias"],
    role: Role::First(|settings, _| {
        let mut by_token = HashMap::new();
        for &(token, bias) in &settings.logit_bias.biases.0 {
            *by_token.entry(token).or_insert(0.0) += bias;
        }
        (!by_token.is_empty()).then(|| Box::new(LogitBias { by_token }) as Box<dyn Sampler>)
    }),
};

/// Tokens with the number to add to their logits; ids beyond the vocabulary are without effect.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogitBiases(pub Vec<(u32, f32)>);

impl ParameterValue for LogitBiases {
    const KIND: ParameterKind = ParameterKind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let one = |item: &str| {
            let split = item.find(['+', '-'])?;
            let bias: f32 = item[split..].trim().parse().ok()?;
            let token = item[..split].trim().parse().ok()?;
            (!bias.is_nan()).then_some((token, bias))
        };
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let biases: Option<Vec<_>> = items.map(one).collect();
        biases.map(Self).ok_or_else(|| "a list like `15043+1.5,29-inf`".to_owned())
    }

    fn show(&self) -> String {
        self.0.iter().map(|(token, bias)| format!("{token}{bias:+}")).collect::<Vec<_>>().join(",")
    }

    fn number(&self) -> Option<f64> {
        None
    }
}

#[derive(Debug, Clone)]
struct LogitBias {
    by_token: HashMap<u32, f32>,
}

impl Sampler for LogitBias {
    fn apply(&mut self, candidates: &mut Candidates, _random: &mut Random) {
        candidates.adjust(&self.by_token, |logit, bias| logit + bias);
    }

    fn boxed_clone(&self) -> Box<dyn Sampler> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::check::{build, check};

    #[test]
    fn text_form() {
        let cases = [
            ("1+2", Some("1+2")),
            (" 15043+1.5, 29-inf ,3+1e2,", Some("15043+1.5,29-inf,3+100")),
            ("", Some("")),
            ("1", None),
            ("x+1", None),
            ("-1+1", None),
            ("1+nan", None),
            ("99999999999+1", None),
        ];
        for (text, shown) in cases {
            assert_eq!(LogitBiases::read(text).ok().map(|biases| biases.show()), shown.map(str::to_owned), "`{text}`");
        }
    }

    #[test]
    fn biases_are_added() {
        let Role::First(make) = REGISTRATION.role else { panic!("not first") };
        let even = [0.25; 4];
        // ln 2 doubles the odds.
        let doubled = build(make, &[("logit-bias", "1+0.6931472,9+5")]);
        check(doubled, &[], &even, &[(0, 0.2), (1, 0.4), (2, 0.2), (3, 0.2)]);
        check(build(make, &[("logit-bias", "0-inf,3-inf")]), &[], &even, &[(1, 0.5), (2, 0.5)]);
        check(build(make, &[("logit-bias", "2+inf")]), &[], &even, &[(2, 1.0)]);
        // Opposed infinities: the token is impossible.
        check(build(make, &[("logit-bias", "2+inf,2-inf,1-inf")]), &[], &even, &[(0, 0.5), (3, 0.5)]);
    }
}
