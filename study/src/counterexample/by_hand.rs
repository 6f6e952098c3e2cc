//! An attention problem in numbers that can be checked by hand.

use std::fmt::{self, Formatter};

use ndarray::ArrayView1;
use obd_core::{AttentionTrace, Head, QueryWindow};
use reference_attention::oracle;

/// Where the problem was found, and its attention.
pub(super) fn problem(f: &mut Formatter<'_>, head: &Head, trace: &AttentionTrace, problems: usize) -> fmt::Result {
    writeln!(
        f,
        "Found in problem {problems} and shrunk. Scale 1; every query sees every token.\n"
    )?;
    for i in 0..head.query_len() {
        attention(f, head, trace, i)?;
    }
    Ok(())
}

/// One query: logits, weights and output.
fn attention(f: &mut Formatter<'_>, head: &Head, trace: &AttentionTrace, i: usize) -> fmt::Result {
    writeln!(f, "query {i}: q = {}", vector(head.query().row(i)))?;
    writeln!(
        f,
        "  {:<6} {:<10} {:<10} {:>8} {:>10} {:>10}",
        "token", "key k", "value v", "z = q.k", "exp z", "weight a"
    )?;
    for j in 0..head.kv_len() {
        let (key, value) = (vector(head.key().row(j)), vector(head.value().row(j)));
        let [z, exp, a] = [trace.logits[[i, j]], trace.logits[[i, j]].exp(), trace.weights[[i, j]]].map(number);
        writeln!(f, "  {j:<6} {key:<10} {value:<10} {z:>8} {exp:>10} {a:>10}")?;
    }
    let sum: f64 = trace.logits.row(i).iter().map(|z| z.exp()).sum();
    writeln!(
        f,
        "  a = exp z / {}; output o = sum of a v = {}\n",
        number(sum),
        vector(trace.output.row(i))
    )
}

/// What each of `sets` costs, attention run again without it.
pub(super) fn errors_without(
    f: &mut Formatter<'_>,
    head: &Head,
    trace: &AttentionTrace,
    sets: &[&[usize]],
) -> fmt::Result {
    writeln!(f, "error = ‖o without the tokens - o‖², attention run again")?;
    for set in sets {
        let change = oracle::set_removal(head, set);
        let rows = change.outer_iter().zip(trace.output.outer_iter());
        let words: Vec<String> = rows
            .map(|(change, output)| format!("‖{} - {}‖²", vector((&output + &change).view()), vector(output)))
            .collect();
        let names: Vec<String> = set.iter().map(usize::to_string).collect();
        writeln!(
            f,
            "  without {}: {} = {}",
            names.join(" and "),
            words.join(" + "),
            number(oracle::error(&change, QueryWindow::All))
        )?;
    }
    Ok(())
}

pub(super) fn vector(numbers: ArrayView1<f64>) -> String {
    let words: Vec<String> = numbers.iter().map(|&x| number(x)).collect();
    format!("[{}]", words.join(", "))
}

/// Whole numbers as they are, others to five significant digits.
pub(super) fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if x.fract() == 0.0 && x.abs() < 1e5 {
        return format!("{x}");
    }
    let digits = 4 - x.abs().log10().floor() as i32;
    match usize::try_from(digits) {
        Ok(digits) if digits < 9 => format!("{x:.digits$}"),
        _ => format!("{x:.4e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_digits_are_printed() {
        for (x, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-3.0, "-3"),
            (0.268_941_4, "0.26894"),
            (12.345_67, "12.346"),
            (1.234_567e-3, "0.0012346"),
            (1.234_567e-7, "1.2346e-7"),
            (2_981_000.5, "2.9810e6"),
        ] {
            assert_eq!(number(x), text);
        }
    }
}
