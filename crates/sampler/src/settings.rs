//! [`SamplerSettings`]: every parameter of every sampler, and the table of them all.
//!
//! The struct is composed from the registry in `samplers/`: each sampler brings its own group, so this file does not
//! change when a sampler is added. Values set by name are checked at once; values written to the public fields are
//! checked by [`SamplerSettings::validate`], which the chain calls.

use crate::parameter::{Parameter, ParameterGroup, SettingError, edit_distance};
use crate::samplers::for_each_sampler;

macro_rules! define_settings {
    ($($(#[doc = $doc:literal])+ $module:ident,)*) => {
        /// All parameters of sampling, by sampler; the defaults are llama.cpp's.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct SamplerSettings {
            $($(#[doc = $doc])+ pub $module: crate::samplers::$module::Settings,)*
        }

        const GROUPS: &[&[Parameter]] = &[$(<crate::samplers::$module::Settings as ParameterGroup>::PARAMETERS,)*];

        impl SamplerSettings {
            /// Checks every value against its parameter's range.
            pub fn validate(&self) -> Result<(), SettingError> {
                $(self.$module.validate()?;)*
                Ok(())
            }

            /// Reads `value` into the parameter called `name` (`top-k`, `top_k` and aliases are the same).
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
                let canonical = find(name)?.name;
                $(if self.$module.set(canonical, value)? {
                    return Ok(());
                })*
                Ok(())
            }

            /// The value of the parameter called `name`, in the form that [`SamplerSettings::set`] reads.
            pub fn get(&self, name: &str) -> Result<String, SettingError> {
                let canonical = find(name)?.name;
                let groups: &[&dyn Fn() -> Option<String>] = &[$(&|| self.$module.get(canonical),)*];
                Ok(groups.iter().find_map(|get| get()).unwrap_or_default())
            }
        }
    };
}

for_each_sampler!(define_settings);

/// Every parameter of every sampler, in the order the samplers run.
pub const PARAMETERS: &[Parameter] = &joined::<{ total(GROUPS) }>(GROUPS);

impl SamplerSettings {
    /// The settings that always take the most likely token.
    pub fn greedy() -> Self {
        let mut settings = Self::default();
        settings.temperature.value = 0.0;
        settings
    }
}

fn find(name: &str) -> Result<&'static Parameter, SettingError> {
    PARAMETERS.iter().find(|parameter| parameter.is_called(name)).ok_or_else(|| {
        // A name of absurd length is not worth comparing in full.
        let start: String = name.chars().take(64).collect::<String>().to_ascii_lowercase();
        let nearest = PARAMETERS.iter().min_by_key(|parameter| edit_distance(parameter.name, &start));
        SettingError::Unknown { name: start, nearest: nearest.map_or("", |parameter| parameter.name) }
    })
}

const fn total(groups: &[&[Parameter]]) -> usize {
    let mut count = 0;
    let mut group = 0;
    while group < groups.len() {
        count += groups[group].len();
        group += 1;
    }
    count
}

const fn joined<const COUNT: usize>(groups: &[&[Parameter]]) -> [Parameter; COUNT] {
    let mut all = [groups[0][0]; COUNT];
    let (mut filled, mut group) = (0, 0);
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            all[filled] = groups[group][index];
            filled += 1;
            index += 1;
        }
        group += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_read_back() {
        for (i, parameter) in PARAMETERS.iter().enumerate() {
            for name in parameter.aliases.iter().chain([&parameter.name]) {
                let owners: Vec<_> = PARAMETERS.iter().filter(|other| other.is_called(name)).map(|p| p.name).collect();
                assert_eq!(owners, [parameter.name], "entry {i}: name `{name}` has several owners");
            }
            let mut settings = SamplerSettings::default();
            settings.set(parameter.name, &parameter.default_text()).unwrap();
            assert_eq!(settings, SamplerSettings::default(), "`{}`: default does not read back", parameter.name);
            assert_eq!(settings.get(parameter.name).unwrap(), parameter.default_text());
            assert!(parameter.doc.ends_with('.') && !parameter.doc.starts_with(' '), "`{}`: doc", parameter.name);
        }
    }

    #[test]
    fn errors_name_parameter_value_and_range() {
        let cases = [
            ("top_p", "1.5", "sampling parameter `top-p` is 1.5, but must be from 0 to 1"),
            ("top-p", "NaN", "sampling parameter `top-p` is NaN, but must be from 0 to 1"),
            ("temperature", "warm", "sampling parameter `temp` is `warm`, but must be a number"),
            ("temp", "inf", "sampling parameter `temp` is inf, but must be a finite number"),
            ("top-k", "4.5", "sampling parameter `top-k` is `4.5`, but must be a whole number"),
            ("top-k", "99999999999", "sampling parameter `top-k` is `99999999999`, but must be a whole number"),
            ("repeat-penalty", "0", "sampling parameter `repeat-penalty` is 0, but must be from 0.001 to 1000"),
            ("mirostat", "3", "sampling parameter `mirostat` is 3, but must be from 0 to 2"),
            ("topk", "4", "there is no sampling parameter `topk`; the nearest is `top-k`"),
            ("temparature", "4", "there is no sampling parameter `temparature`; the nearest is `temp`"),
            (
                "samplers",
                "top_k;tpo_p",
                "sampling parameter `samplers` is `top_k;tpo_p`, but must be names separated by `;`, each at most once, \
                 from: penalties, dry, top_n_sigma, top_k, typical_p, top_p, min_p, xtc, temperature",
            ),
        ];
        for (name, value, message) in cases {
            let mut settings = SamplerSettings::default();
            assert_eq!(settings.set(name, value).unwrap_err().to_string(), message);
            assert_eq!(settings, SamplerSettings::default());
        }
    }

    #[test]
    fn fields_written_directly_are_checked_too() {
        let mut settings = SamplerSettings::default();
        settings.min_p.p = f32::NAN;
        assert_eq!(
            settings.validate().unwrap_err().to_string(),
            "sampling parameter `min-p` is NaN, but must be from 0 to 1"
        );
    }
}
