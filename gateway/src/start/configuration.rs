//! Configuration: what the command line, the environment and a file say together. The file may say
//! whatever a flag can, by the flag's name; an argument counts more than the environment, and that more
//! than the file.

use super::options::ServeOptions;
use anyhow::{Context, anyhow, bail};
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// What each option says, by its flag.
type Said = BTreeMap<String, Vec<OsString>>;

/// The options of `serve`, and where they came from.
#[derive(Debug)]
pub struct Configuration {
    /// What they say.
    pub options: ServeOptions,
    args: Vec<OsString>,
    said: Said,
}

impl Configuration {
    /// Reads the arguments behind `serve`, the environment, and the file that they name.
    ///
    /// # Errors
    /// One sentence that names the file, the line and what is wrong with it.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Self> {
        let args: Vec<_> = args.into_iter().collect();
        let (options, said) = read(&args)?;
        Ok(Self { options, args, said })
    }

    /// Reads all of it again. Returns the options whose values changed, by flag, each with a word on
    /// how.
    pub(super) fn read_again(&mut self) -> anyhow::Result<Vec<(String, String)>> {
        let (options, said) = read(&self.args)?;
        let changed = said.iter().filter(|(flag, now)| self.said.get(*flag) != Some(now));
        let word = |flag: &String| {
            let shown = |said: &Said| match said.get(flag).map(Vec::as_slice) {
                None | Some([]) => "not given".to_owned(),
                Some(values) => {
                    values.iter().map(|v| v.to_string_lossy()).collect::<Vec<_>>().join(",")
                }
            };
            // The values of these may have a password in them.
            let is_secret = flag.starts_with("redis") || flag == "token-jwks";
            let how = format!("{} -> {}", shown(&self.said), shown(&said));
            (flag.clone(), if is_secret { "changed".to_owned() } else { how })
        };
        let mut words: Vec<_> = changed.map(|(flag, _)| word(flag)).collect();
        words.extend(self.said.keys().filter(|flag| !said.contains_key(*flag)).map(word));
        (self.options, self.said) = (options, said);
        Ok(words)
    }
}

fn command() -> Command {
    ServeOptions::augment_args(Command::new("serve").no_binary_name(true))
}

fn read(args: &[OsString]) -> anyhow::Result<(ServeOptions, Said)> {
    let matches = |command: Command| {
        command.try_get_matches_from(args).map_err(|error| anyhow!(first_line(&error.to_string())))
    };
    let mut command = command();
    let named = matches(command.clone())?;
    if let Some(file) = ServeOptions::from_arg_matches(&named)?.config {
        command = with_file(command, &file)?;
    }
    let matched = matches(command.clone())?;
    let said = command.get_arguments().filter_map(|arg| {
        let values = matched.get_raw(arg.get_id().as_str())?.map(OsStr::to_owned).collect();
        Some((arg.get_long()?.to_owned(), values))
    });
    let said = said.collect();
    Ok((ServeOptions::from_arg_matches(&matched)?, said))
}

/// Makes what the file says the defaults.
fn with_file(mut command: Command, file: &Path) -> anyhow::Result<Command> {
    let shown = file.display();
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read the configuration {shown}"))?;
    let at = |start: usize| {
        let line = text[..start].matches('\n').count() + 1;
        format!("the configuration {shown}, line {line}")
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        anyhow!("{}: {}", at(start), error.message())
    })?;
    for (key, value) in table.get_ref() {
        let line = at(key.span().start);
        let flag = key.get_ref().as_ref();
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(flag));
        let Some(arg) = arg.filter(|_| flag != "config") else {
            bail!("{line}: there is no option `{flag}`; `flashlane serve --help` lists them");
        };
        let values = values(value.get_ref(), arg).with_context(|| format!("{line}: {flag}"))?;
        let alone = Command::new("serve").no_binary_name(true).arg(arg);
        let as_typed = values.iter().map(|value| format!("--{flag}={value}"));
        let checked = alone.try_get_matches_from(as_typed);
        checked.map_err(|error| anyhow!("{line}: {}", first_line(&error.to_string())))?;
        let id = arg.get_id().clone();
        command = command.mut_arg(id, |arg| arg.default_values(values));
    }
    Ok(command)
}

/// The values that stand in the file, as they would on the command line.
fn values(value: &DeValue<'_>, arg: &Arg) -> anyhow::Result<Vec<String>> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            bail!("a text or a number is needed")
        }
    };
    let takes_many = matches!(arg.get_action(), ArgAction::Append);
    match value {
        DeValue::Array(values) if takes_many => {
            values.iter().map(|value| one(value.get_ref())).collect()
        }
        value => Ok(vec![one(value)?]),
    }
}

/// What clap says first; the rest is for people who type.
fn first_line(said: &str) -> String {
    let said = said.strip_prefix("error: ").unwrap_or(said);
    said.lines().next().unwrap_or_default().to_owned()
}
