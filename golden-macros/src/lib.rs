//! The macro `golden::conformance!`: a `#[test]` for every case of the committed suite.
//!
//! ```
//! // A kernel crate names its own kernel, from a `golden::Case` and a `golden::OutputSpec` to `Option<golden::check::Values>`.
//! golden_macros::conformance! { kernel = crate::attention, accumulate = F32, families = ["plain", "grouped"] }
//! ```
//!
//! | item | what it holds |
//! |---|---|
//! | [`conformance!`](macro@conformance) | the tests, which call `golden::check`; use it as `golden::conformance!` |

use std::collections::BTreeMap;
use std::fmt::Write;

use proc_macro::{Delimiter, TokenStream, TokenTree};
use serde_json::Value;

/// The manifest of the suite that is committed beside this crate.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/manifest.json");

/// Turns every case of the golden suite into a `#[test]` named `golden_conformance::FAMILY::CASE`.
///
/// `kernel` is a path to a `fn(&golden::Case, &golden::OutputSpec) -> Option<golden::check::Values>` that gives an output,
/// or `None` for one that it does not compute. `accumulate` is the format it accumulates in, a variant of
/// `golden::Precision`; F32 without. `exp_ulps` is by how many units in the last place its exp, log and tanh may be off; 1
/// without. `decode` is a path to a `fn(&golden::DecodeTrace) -> Option<golden::check::DecodeValues>`; with it the decode
/// traces are tests as well, as a family `decode`. `families` and `flags` keep the cases that are of one of the families, and that
/// catch one of the bugs; all of them without.
///
/// ```ignore
/// golden::conformance! { kernel = joint_score, families = ["plain", "grouped"], flags = ["group-mapping"] }
/// ```
#[proc_macro]
pub fn conformance(input: TokenStream) -> TokenStream {
    match Arguments::parse(input).and_then(|arguments| tests(&arguments)) {
        Ok(code) => code.parse().expect("the generated tests are Rust"),
        Err(reason) => format!("compile_error!({reason:?});")
            .parse()
            .expect("a string is an error's text"),
    }
}

#[derive(Default)]
struct Arguments {
    kernel: String,
    decode: Option<String>,
    accumulate: String,
    exp_ulps: String,
    families: Vec<String>,
    flags: Vec<String>,
}

impl Arguments {
    fn parse(input: TokenStream) -> Result<Self, String> {
        let mut arguments = Self {
            accumulate: "F32".to_owned(),
            exp_ulps: "1.0".to_owned(),
            ..Self::default()
        };
        let tokens: Vec<TokenTree> = input.into_iter().collect();
        for argument in tokens
            .split(|token| is(token, ','))
            .filter(|argument| !argument.is_empty())
        {
            let [name, equals, value @ ..] = argument else {
                return Err("expected `name = value`".to_owned());
            };
            if !is(equals, '=') || value.is_empty() {
                return Err(format!("expected `{name} = value`"));
            }
            match name.to_string().as_str() {
                "kernel" => arguments.kernel = value.iter().cloned().collect::<TokenStream>().to_string(),
                "decode" => arguments.decode = Some(value.iter().cloned().collect::<TokenStream>().to_string()),
                "accumulate" => arguments.accumulate = value[0].to_string(),
                "exp_ulps" => arguments.exp_ulps = value[0].to_string(),
                "families" => arguments.families = strings(&value[0])?,
                "flags" => arguments.flags = strings(&value[0])?,
                other => {
                    return Err(format!(
                        "{other}: expected kernel, decode, accumulate, exp_ulps, families or flags"
                    ));
                }
            }
        }
        if arguments.kernel.is_empty() {
            return Err("expected `kernel = path::to::function`".to_owned());
        }
        Ok(arguments)
    }

    fn wants(&self, family: &str, flags: &[&str]) -> bool {
        (self.families.is_empty() || self.families.iter().any(|wanted| wanted == family))
            && (self.flags.is_empty() || self.flags.iter().any(|wanted| flags.contains(&wanted.as_str())))
    }
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// The strings of `["a", "b"]`.
fn strings(list: &TokenTree) -> Result<Vec<String>, String> {
    match list {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => Ok(group
            .stream()
            .into_iter()
            .filter(|token| !is(token, ','))
            .map(|token| token.to_string().trim_matches('"').to_owned())
            .collect()),
        other => Err(format!("{other}: expected a list of strings")),
    }
}

/// Names of cases by family.
type Families = BTreeMap<String, Vec<String>>;

/// The tests of one kind: of cases or of decode traces.
struct Tests<'a> {
    families: Families,
    /// The function of `golden::check` that judges one of them.
    judge: &'static str,
    /// The path to the kernel, or to its decode loop.
    function: &'a str,
}

fn tests(arguments: &Arguments) -> Result<String, String> {
    let text = std::fs::read_to_string(MANIFEST).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let manifest: Value = serde_json::from_str(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let cases = Tests {
        families: wanted(arguments, &manifest, "cases")?,
        judge: "assert_committed_case",
        function: &arguments.kernel,
    };
    let mut tests = vec![cases];
    if let Some(decode) = &arguments.decode {
        tests.push(Tests {
            families: wanted(arguments, &manifest, "decode_traces")?,
            judge: "assert_committed_trace",
            function: decode,
        });
    }
    if tests.iter().all(|tests| tests.families.is_empty()) {
        return Err("no case of the golden suite is of these families and flags".to_owned());
    }
    Ok(module(arguments, &tests))
}

/// The entries of a list of the manifest that are of the families and flags asked for. An identifier is `FAMILY/NAME`.
fn wanted(arguments: &Arguments, manifest: &Value, list: &str) -> Result<Families, String> {
    let damaged = |what: &str| format!("{MANIFEST}: {list}: {what}");
    let entries = manifest[list].as_array().ok_or_else(|| damaged("expected a list"))?;
    let mut families = Families::new();
    for entry in entries {
        let id = entry["id"].as_str().and_then(|id| id.split_once('/'));
        let (family, name) = id.ok_or_else(|| damaged("expected an id FAMILY/NAME"))?;
        let flags = entry["flags"].as_array().ok_or_else(|| damaged("expected flags"))?;
        let flags: Vec<&str> = flags.iter().filter_map(Value::as_str).collect();
        if arguments.wants(family, &flags) {
            families.entry(family.to_owned()).or_default().push(name.to_owned());
        }
    }
    Ok(families)
}

fn module(arguments: &Arguments, tests: &[Tests<'_>]) -> String {
    // The manifest is named so that a change of it compiles the tests again.
    let mut code =
        format!("#[cfg(test)] mod golden_conformance {{ use super::*; const _: &str = include_str!({MANIFEST:?});");
    let arithmetic = format!(
        "::golden::Arithmetic::uniform(::golden::Precision::{}).with_exp_ulps({} as f64)",
        arguments.accumulate, arguments.exp_ulps
    );
    for Tests {
        families,
        judge,
        function,
    } in tests
    {
        for (family, names) in families {
            let _ = write!(code, "mod {} {{ use super::*;", identifier(family));
            for name in names {
                let (test, id) = (identifier(name), format!("{family}/{name}"));
                let _ = write!(
                    code,
                    "#[test] fn {test}() {{ ::golden::check::{judge}({id:?}, {arithmetic}, {function}); }}"
                );
            }
            code.push('}');
        }
    }
    code.push('}');
    code
}

/// A name that Rust takes.
fn identifier(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    format!(
        "{}{plain}",
        if plain.starts_with(|c: char| c.is_ascii_digit()) {
            "of_"
        } else {
            ""
        }
    )
}
