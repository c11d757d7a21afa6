//! A flag for every parameter of the sampler, made from the sampler's own table: name, aliases, default and range are
//! declared there and nowhere else.

use ascua::sampler::{PARAMETERS, Parameter, ParameterKind, SamplerSettings};
use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches};

/// The sampling parameters given on the command line.
#[derive(Clone, Debug, Default)]
pub struct SamplerFlags {
    /// The settings, defaults included.
    pub settings: SamplerSettings,
}

impl clap::Args for SamplerFlags {
    fn augment_args(command: Command) -> Command {
        PARAMETERS.iter().fold(command, |command, parameter| command.arg(argument(parameter)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SamplerFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = SamplerFlags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for parameter in PARAMETERS {
            if let Some(value) = matches.get_one::<String>(parameter.name) {
                let set = self.settings.set(parameter.name, value);
                set.map_err(|error| Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n")))?;
            }
        }
        Ok(())
    }
}

fn argument(parameter: &'static Parameter) -> Arg {
    let default = parameter.default_text();
    let shown = match default.as_str() {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let doc = parameter.doc.strip_suffix('.').unwrap_or(parameter.doc);
    let check = move |value: &str| match SamplerSettings::default().set(parameter.name, value) {
        Ok(()) => Ok(value.to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let mut argument = Arg::new(parameter.name)
        .long(parameter.name)
        .visible_aliases(parameter.aliases.iter().copied())
        .value_name(match parameter.kind {
            ParameterKind::Integer => "N",
            ParameterKind::Float => "X",
            ParameterKind::Text => "TEXT",
        })
        .help(format!("{doc}{shown}"))
        .help_heading("Sampling")
        .action(ArgAction::Set)
        .allow_negative_numbers(true)
        .value_parser(check);
    if parameter.name == "seed" {
        argument = argument.short('s');
    }
    argument
}
