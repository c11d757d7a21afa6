//! The order in which samplers run, and how many candidates they must leave.

use crate::parameter::{ParameterKind, ParameterValue, Range, parameters, same_name};
use crate::samplers::{REGISTRY, Registration, Role};

parameters! {
    /// The shape of the chain.
    pub struct Settings {
        /// Samplers to run, in order, names separated by `;`; empty draws from the plain distribution.
        order: SamplerOrder = SamplerOrder::default(), "samplers" | "sampler-order", Range::ANY;
        /// Samplers that drop candidates leave at least this many.
        min_keep: i32 = 0, "min-keep", Range::at_least(0.0);
    }
}

pub(crate) const REGISTRATION: Registration = Registration { names: &[], role: Role::Settings };

impl Settings {
    /// The number of candidates to leave at least.
    pub(crate) fn least(&self) -> usize {
        usize::try_from(self.min_keep).unwrap_or(0).max(1)
    }
}

/// Names of samplers in the order they run; only names of the registry, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplerOrder(Vec<&'static str>);

impl SamplerOrder {
    /// The names.
    pub fn names(&self) -> &[&'static str] {
        &self.0
    }
}

impl Default for SamplerOrder {
    fn default() -> Self {
        Self(orderable().map(|registration| registration.names[0]).collect())
    }
}

/// The samplers that `--samplers` can name.
pub(crate) fn orderable() -> impl Iterator<Item = &'static Registration> {
    REGISTRY.iter().filter(|registration| matches!(registration.role, Role::Reweighs(_) | Role::KeepsBest(_)))
}

impl ParameterValue for SamplerOrder {
    const KIND: ParameterKind = ParameterKind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let mut order = Vec::new();
        for name in text.split(';').map(str::trim).filter(|name| !name.is_empty()) {
            let known = orderable().find(|registration| registration.names.iter().any(|known| same_name(known, name)));
            match known.map(|registration| registration.names[0]) {
                Some(known) if !order.contains(&known) => order.push(known),
                _ => {
                    let names = Self::default().0.join(", ");
                    return Err(format!("names separated by `;`, each at most once, from: {names}"));
                }
            }
        }
        Ok(Self(order))
    }

    fn show(&self) -> String {
        self.0.join(";")
    }

    fn number(&self) -> Option<f64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_order_is_llama_cpps() {
        let default = "penalties;dry;top_n_sigma;top_k;typical_p;top_p;min_p;xtc;temperature";
        assert_eq!(SamplerOrder::default().show(), default);
        for (text, order) in [
            ("top-k; TEMP", Some("top_k;temperature")),
            ("typ_p;nucleus;minp", Some("typical_p;top_p;min_p")),
            ("", Some("")),
            (";;", Some("")),
            ("top_k;topk", None),
            ("mirostat", None),
            ("logit_bias", None),
        ] {
            assert_eq!(SamplerOrder::read(text).ok().map(|order| order.show()), order.map(str::to_owned), "`{text}`");
        }
    }
}
