//! Fractions on the command line.

/// A number above 0 and below 1.
pub(super) fn parse(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fraction) if fraction > 0.0 && fraction < 1.0 => Ok(fraction),
        _ => Err("expected a number above 0 and below 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_lies_between_its_ends() {
        assert_eq!(parse("0.75"), Ok(0.75));
        for refused in ["0", "1", "-1", "NaN", "inf", "half"] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
