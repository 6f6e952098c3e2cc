//! The constructor calls of kvpress, read as Python reads them: positional arguments in the order of the fields, then named
//! ones, then defaults. An unknown press or argument is refused by name.

use std::collections::BTreeMap;

use obcache_scores::field::kvpress::Press;
use obcache_scores::field::{CurKind, ExpectedAttention};

/// A literal, or the call of another constructor.
#[derive(Debug, Clone, PartialEq)]
enum Argument {
    Number(f64),
    Truth(bool),
    Text(String),
    Call(Call),
}

#[derive(Debug, Clone, PartialEq)]
struct Call {
    name: String,
    positional: Vec<Argument>,
    named: Vec<(String, Argument)>,
}

/// Text that is still to be read.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.0 = self.0.trim_start();
    }

    /// Takes `symbol` where it comes next.
    fn take(&mut self, symbol: char) -> bool {
        self.skip();
        let rest = self.0.strip_prefix(symbol);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, symbol: char) -> Result<(), String> {
        if self.take(symbol) {
            return Ok(());
        }
        Err(format!("expected {symbol:?} before {:?}", self.0))
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        self.skip();
        let end = self.0.find(|c| !belongs(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn call(&mut self) -> Result<Call, String> {
        let path = self.word(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let name = path.rsplit('.').next().unwrap_or(path).to_owned();
        self.arguments(name)
    }

    fn arguments(&mut self, name: String) -> Result<Call, String> {
        self.expect('(')?;
        let mut call = Call {
            name,
            positional: Vec::new(),
            named: Vec::new(),
        };
        while !self.take(')') {
            let before = self.0;
            let keyword = self.word(|c| c.is_alphanumeric() || c == '_');
            if self.take('=') {
                let argument = self.argument()?;
                call.named.push((keyword.to_owned(), argument));
            } else {
                self.0 = before;
                call.positional.push(self.argument()?);
            }
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(call)
    }

    fn argument(&mut self) -> Result<Argument, String> {
        self.skip();
        if let Some(quote) = self.0.chars().next().filter(|c| "'\"".contains(*c)) {
            self.expect(quote)?;
            let text = self.word(|c| c != quote).to_owned();
            self.expect(quote)?;
            return Ok(Argument::Text(text));
        }
        let word = self.word(|c| c.is_alphanumeric() || "._+-".contains(c));
        match word {
            "True" => Ok(Argument::Truth(true)),
            "False" => Ok(Argument::Truth(false)),
            _ if self.0.trim_start().starts_with('(') => {
                let name = word.rsplit('.').next().unwrap_or(word).to_owned();
                Ok(Argument::Call(self.arguments(name)?))
            }
            _ => word
                .parse()
                .map(Argument::Number)
                .map_err(|_| format!("{word:?} is no argument")),
        }
    }
}

/// The arguments of a call by name, taken one by one; what is left over is unknown.
struct Fields {
    press: String,
    given: BTreeMap<String, Argument>,
}

impl Fields {
    /// Names the positional arguments of `call` after `order`.
    fn new(call: Call, order: &[&str]) -> Result<Self, String> {
        let press = call.name;
        if call.positional.len() > order.len() {
            return Err(format!(
                "{press}: {} positional arguments, expected at most {}",
                call.positional.len(),
                order.len()
            ));
        }
        let positional = order.iter().map(|name| (*name).to_owned()).zip(call.positional);
        let mut given = BTreeMap::new();
        for (name, argument) in positional.chain(call.named) {
            if !order.contains(&name.as_str()) {
                return Err(format!("{press}: unknown argument {name}"));
            }
            if given.insert(name.clone(), argument).is_some() {
                return Err(format!("{press}: argument {name} is given twice"));
            }
        }
        Ok(Self { press, given })
    }

    fn wrong<T>(&self, name: &str, argument: &Argument, expected: &str) -> Result<T, String> {
        Err(format!("{}: {name} is {argument:?}, expected {expected}", self.press))
    }

    fn number(&self, name: &str, default: f64) -> Result<f64, String> {
        match self.given.get(name) {
            None => Ok(default),
            Some(Argument::Number(number)) => Ok(*number),
            Some(other) => self.wrong(name, other, "a number"),
        }
    }

    fn count(&self, name: &str, default: usize) -> Result<usize, String> {
        let number = self.number(name, default as f64)?;
        if number >= 0.0 && number.fract() == 0.0 {
            return Ok(number as usize);
        }
        self.wrong(name, &Argument::Number(number), "a whole number of at least 0")
    }

    fn truth(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.given.get(name) {
            None => Ok(default),
            Some(Argument::Truth(truth)) => Ok(*truth),
            Some(other) => self.wrong(name, other, "True or False"),
        }
    }

    fn text(&self, name: &str, default: &str) -> Result<String, String> {
        match self.given.get(name) {
            None => Ok(default.to_owned()),
            Some(Argument::Text(text)) => Ok(text.clone()),
            Some(other) => self.wrong(name, other, "a text"),
        }
    }

    fn ratio(&self) -> Result<f64, String> {
        self.number("compression_ratio", 0.0)
    }
}

/// The press of a constructor call, such as `kp.SnapKVPress(0.5, window_size=16),`.
pub fn press(text: &str) -> Result<Press, String> {
    let mut reader = Reader(text);
    let call = reader.call().map_err(|error| format!("{text}: {error}"))?;
    reader.take(',');
    reader.skip();
    if !reader.0.is_empty() {
        return Err(format!("{text}: {:?} follows the call", reader.0));
    }
    Ok(built(call)?.0)
}

/// The press and its compression ratio.
fn built(call: Call) -> Result<(Press, f64), String> {
    let fields = |call: Call, order: &[&str]| Fields::new(call, &[&["compression_ratio"], order].concat());
    let name = call.name.clone();
    Ok(match name.as_str() {
        "ObservedAttentionPress" => (Press::ObservedAttention, fields(call, &[])?.ratio()?),
        "TOVAPress" => (Press::Tova, fields(call, &[])?.ratio()?),
        "KnormPress" => (Press::Knorm, fields(call, &[])?.ratio()?),
        "KeyDiffPress" => (Press::KeyDiff, fields(call, &[])?.ratio()?),
        "SnapKVPress" | "PyramidKVPress" => {
            let order = ["window_size", "kernel_size", "beta"];
            let fields = fields(call, if name == "SnapKVPress" { &order[..2] } else { &order })?;
            fields.count("beta", 20)?;
            let press = Press::SnapKv {
                window_size: fields.count("window_size", 64)?,
                kernel_size: fields.count("kernel_size", 5)?,
            };
            (press, fields.ratio()?)
        }
        "StreamingLLMPress" => {
            let fields = fields(call, &["n_sink"])?;
            let press = Press::StreamingLlm {
                compression_ratio: fields.ratio()?,
                n_sink: fields.count("n_sink", 4)?,
            };
            (press, fields.ratio()?)
        }
        "LagKVPress" => {
            let fields = fields(call, &["n_sink", "lag_size", "cross_scoring"])?;
            let press = Press::LagKv {
                n_sink: fields.count("n_sink", 4)?,
                lag_size: fields.count("lag_size", 128)?,
                cross_scoring: fields.truth("cross_scoring", false)?,
            };
            (press, fields.ratio()?)
        }
        "CURPress" => cur(fields(
            call,
            &[
                "num_sinks",
                "leverage_type",
                "use_random_leverage",
                "use_local_approximation",
                "local_window_size",
            ],
        )?)?,
        "ExpectedAttentionPress" => {
            let order = ["n_future_positions", "n_sink", "use_covariance", "use_vnorm", "epsilon"];
            let fields = fields(call, &order)?;
            let epsilon = fields.number("epsilon", 0.0)?;
            let press = Press::ExpectedAttention(ExpectedAttention {
                sinks: fields.count("n_sink", 4)?,
                future_positions: fields.count("n_future_positions", 512)?,
                covariance: fields.truth("use_covariance", true)?,
                value_norm: fields.truth("use_vnorm", true)?.then_some(epsilon),
            });
            (press, fields.ratio()?)
        }
        "NonCausalAttnPress" => {
            let fields = fields(call, &["chunk_size"])?;
            let chunk_size = fields.count("chunk_size", 256)?;
            (Press::NonCausalAttn { chunk_size }, fields.ratio()?)
        }
        "CriticalKVPress" => critical(Fields::new(call, &["press", "epsilon", "first_stage_ratio"])?)?,
        _ => return Err(format!("unknown press {name}")),
    })
}

fn cur(fields: Fields) -> Result<(Press, f64), String> {
    if fields.truth("use_random_leverage", false)? {
        return Err("CURPress: use_random_leverage=True draws at random, no number to agree with".to_owned());
    }
    let leverage_type = match fields.text("leverage_type", "kv_product")?.as_str() {
        "key" => CurKind::Key,
        "value" => CurKind::Value,
        "kv_avg" => CurKind::Average,
        "kv_product" => CurKind::Product,
        other => return Err(format!("CURPress: unknown leverage_type {other}")),
    };
    let window = fields.count("local_window_size", 16)?;
    let press = Press::Cur {
        num_sinks: fields.count("num_sinks", 4)?,
        leverage_type,
        local_window_size: fields.truth("use_local_approximation", true)?.then_some(window),
    };
    Ok((press, fields.ratio()?))
}

fn critical(mut fields: Fields) -> Result<(Press, f64), String> {
    let Some(Argument::Call(base)) = fields.given.remove("press") else {
        return Err("CriticalKVPress: needs a press".to_owned());
    };
    let (press, compression_ratio) = built(base)?;
    let press = Press::CriticalKv {
        press: Box::new(press),
        compression_ratio,
        epsilon: fields.number("epsilon", 1e-4)?,
        first_stage_ratio: fields.number("first_stage_ratio", 0.5)?,
    };
    Ok((press, compression_ratio))
}

#[test]
fn arguments_are_read_by_place_and_by_name() {
    let snap = press("kp.SnapKVPress(0.25, 16, kernel_size = 3,),").unwrap();
    let expected = Press::SnapKv {
        window_size: 16,
        kernel_size: 3,
    };
    assert_eq!(snap, expected);
    let critical = press("kvpress.CriticalKVPress(press=SnapKVPress(0.25,16,3), epsilon=1e-3)").unwrap();
    let expected = Press::CriticalKv {
        press: Box::new(expected),
        compression_ratio: 0.25,
        epsilon: 1e-3,
        first_stage_ratio: 0.5,
    };
    assert_eq!(critical, expected);
    let cur = press("kp.CURPress(leverage_type='kv_avg', use_local_approximation=False)").unwrap();
    let expected = Press::Cur {
        num_sinks: 4,
        leverage_type: CurKind::Average,
        local_window_size: None,
    };
    assert_eq!(cur, expected);
}

#[test]
fn what_is_not_understood_is_named() {
    for (call, complaint) in [
        ("kp.MagicPress(0.5)", "unknown press MagicPress"),
        ("kp.TOVAPress(0.5, window=3)", "TOVAPress: unknown argument window"),
        (
            "kp.KnormPress(0.5, 3)",
            "KnormPress: 2 positional arguments, expected at most 1",
        ),
        (
            "kp.SnapKVPress(0.5, compression_ratio=0.5)",
            "SnapKVPress: argument compression_ratio is given twice",
        ),
        (
            "kp.SnapKVPress(window_size=1.5)",
            "SnapKVPress: window_size is Number(1.5), expected a whole number of at least 0",
        ),
        (
            "kp.LagKVPress(cross_scoring=1)",
            "LagKVPress: cross_scoring is Number(1.0), expected True or False",
        ),
        (
            "kp.CURPress(leverage_type='keys')",
            "CURPress: unknown leverage_type keys",
        ),
        (
            "kp.TOVAPress(0.5) + 1",
            "kp.TOVAPress(0.5) + 1: \"+ 1\" follows the call",
        ),
        ("kp.TOVAPress(0.5", "kp.TOVAPress(0.5: expected ')' before \"\""),
        ("kp.TOVAPress(half)", "kp.TOVAPress(half): \"half\" is no argument"),
        ("kp.CriticalKVPress(0.5)", "CriticalKVPress: needs a press"),
        ("kp.CriticalKVPress(kp.MagicPress())", "unknown press MagicPress"),
    ] {
        assert_eq!(press(call), Err(complaint.to_owned()), "{call}");
    }
}
