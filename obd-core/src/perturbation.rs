//! Four things that can happen to a cached token.

use std::fmt;
use std::str::FromStr;

use crate::UnknownName;

/// What is done to one cached token; each is its own perturbation of the attention output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Perturbation {
    /// The slot is gone and the weights are renormalised: what eviction does.
    Removal,
    /// The key becomes 0, so the token's logit becomes 0; the value stays.
    KeyZeroing,
    /// The value becomes 0; the key stays.
    ValueZeroing,
    /// Key and value become 0; the slot stays.
    JointZeroing,
}

impl Perturbation {
    /// All four, in the order of the theory's table.
    pub const ALL: [Self; 4] = [Self::Removal, Self::KeyZeroing, Self::ValueZeroing, Self::JointZeroing];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Removal => "removal",
            Self::KeyZeroing => "key-zeroing",
            Self::ValueZeroing => "value-zeroing",
            Self::JointZeroing => "joint-zeroing",
        }
    }
}

impl fmt::Display for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Perturbation {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|what| what.name() == name);
        known.ok_or_else(|| UnknownName {
            kind: "perturbation",
            name: name.to_owned(),
            expected: "removal, key-zeroing, value-zeroing or joint-zeroing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_perturbation_has_its_own_name() {
        let names = Perturbation::ALL.map(Perturbation::name);
        assert_eq!(names, ["removal", "key-zeroing", "value-zeroing", "joint-zeroing"]);
        for what in Perturbation::ALL {
            assert_eq!(what.to_string().parse(), Ok(what));
        }
        assert_eq!(
            "eviction".parse::<Perturbation>().unwrap_err().to_string(),
            "there is no perturbation named \"eviction\", expected removal, key-zeroing, value-zeroing or joint-zeroing"
        );
    }
}
