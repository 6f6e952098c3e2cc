//! Spends a budget of bits where they buy most: reverse water-filling over whole numbers of bits.
//!
//! Every item (a token) has choices (0, 1, 2, ... bits), each with a cost and a distortion. A price θ on cost makes the items
//! independent: each takes the choice of least `distortion + θ · cost`. Lowering θ moves them, one after the other, along the
//! lower convex hulls of their choices, the steepest fall first; the walk ends at the first step that the budget does not pay.
//! What it returns is the best of all allocations that cost no more than it does, whatever the curves (Everett,
//! 1963), and less than one step of the budget is left over. On curves `w σ² 4^-b` it is reverse water-filling in whole bits.

use std::cmp::Ordering;

/// One number of bits that an item may be stored in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BitChoice {
    /// Bits that it takes of the budget.
    pub cost: f64,
    /// What it does to the output.
    pub distortion: f64,
}

/// The bits that each item gets.
#[derive(Debug, Clone, PartialEq)]
pub struct BitAllocation {
    /// Place of the choice of every item among its choices.
    pub chosen: Vec<usize>,
    /// The price θ that every choice is the best at; 0 where the budget pays for all that helps.
    pub price: f64,
    /// Sum of the costs.
    pub cost: f64,
    /// Sum of the distortions.
    pub distortion: f64,
}

/// A step of one item along its hull.
struct HullStep {
    item: usize,
    to: usize,
    cost: f64,
    /// Distortion saved per unit of cost.
    slope: f64,
}

/// The allocation of least distortion that a walk from the cheapest choices reaches within `budget`. Claim C21.
///
/// Of equal falls the earlier item's comes first. `None` where even the cheapest choices cost more than the budget, an item
/// has no choice, or a number is NaN.
pub fn allocate_bits(items: &[Vec<BitChoice>], budget: f64) -> Option<BitAllocation> {
    let hulls: Vec<Vec<usize>> = items.iter().map(|choices| hull(choices)).collect::<Option<_>>()?;
    let mut chosen: Vec<usize> = hulls.iter().map(|hull| hull[0]).collect();
    let mut cost: f64 = items.iter().zip(&chosen).map(|(choices, &at)| choices[at].cost).sum();
    if cost.is_nan() || budget.is_nan() || cost > budget {
        return None;
    }
    let mut price = 0.0;
    for step in steps(items, &hulls) {
        if cost + step.cost > budget {
            price = step.slope;
            break;
        }
        chosen[step.item] = step.to;
        cost += step.cost;
    }
    let taken = || items.iter().zip(&chosen).map(|(choices, &at)| choices[at]);
    Some(BitAllocation {
        price,
        cost: taken().map(|choice| choice.cost).sum(),
        distortion: taken().map(|choice| choice.distortion).sum(),
        chosen,
    })
}

/// The steps of all items, the steepest first; those of one item stay in their order, for a hull is convex.
fn steps(items: &[Vec<BitChoice>], hulls: &[Vec<usize>]) -> Vec<HullStep> {
    let mut steps = Vec::new();
    for (item, (choices, hull)) in items.iter().zip(hulls).enumerate() {
        let mut steepest = f64::INFINITY;
        for pair in hull.windows(2) {
            let (from, to) = (choices[pair[0]], choices[pair[1]]);
            // Rounding may lift a slope above the one before it, by a last digit.
            steepest = slope(from, to).min(steepest);
            steps.push(HullStep {
                item,
                to: pair[1],
                cost: to.cost - from.cost,
                slope: steepest,
            });
        }
    }
    steps.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    steps
}

fn slope(from: BitChoice, to: BitChoice) -> f64 {
    (from.distortion - to.distortion) / (to.cost - from.cost)
}

/// Places of the choices on the lower convex hull, from the cheapest to the least distorted; `None` without a choice, or
/// with a NaN.
fn hull(choices: &[BitChoice]) -> Option<Vec<usize>> {
    if choices
        .iter()
        .any(|choice| choice.cost.is_nan() || choice.distortion.is_nan())
    {
        return None;
    }
    let cheaper = |&a: &usize, &b: &usize| -> Ordering {
        let (a, b) = (choices[a], choices[b]);
        a.cost.total_cmp(&b.cost).then(a.distortion.total_cmp(&b.distortion))
    };
    let mut at = (0..choices.len()).min_by(cheaper)?;
    let mut hull = vec![at];
    while let Some(next) = steepest_from(choices, at) {
        hull.push(next);
        at = next;
    }
    Some(hull)
}

/// The choice that saves most distortion per cost from here; of equals the one farthest along. `None` where nothing saves.
fn steepest_from(choices: &[BitChoice], at: usize) -> Option<usize> {
    let here = choices[at];
    let saves = |place: &usize| choices[*place].cost > here.cost && choices[*place].distortion < here.distortion;
    (0..choices.len()).filter(saves).max_by(|&a, &b| {
        let slopes = slope(here, choices[a]).total_cmp(&slope(here, choices[b]));
        slopes.then(choices[a].cost.total_cmp(&choices[b].cost))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(pairs: &[(f64, f64)]) -> Vec<BitChoice> {
        pairs
            .iter()
            .map(|&(cost, distortion)| BitChoice { cost, distortion })
            .collect()
    }

    #[test]
    fn by_hand() {
        // Falls 8, 3, 1 and 5, 4: the budget of 4 takes 8, 5, 4, 3.
        let items = [
            choices(&[(0.0, 12.0), (1.0, 4.0), (2.0, 1.0), (3.0, 0.0)]),
            choices(&[(0.0, 9.0), (1.0, 4.0), (2.0, 0.0)]),
        ];
        let found = allocate_bits(&items, 4.0).unwrap();
        assert_eq!(found.chosen, [2, 2]);
        assert_eq!((found.price, found.cost, found.distortion), (1.0, 4.0, 1.0));
        let all = allocate_bits(&items, 9.0).unwrap();
        assert_eq!((all.chosen, all.price), (vec![3, 2], 0.0));
        assert_eq!(allocate_bits(&items, 0.0).unwrap().price, 8.0);
    }

    #[test]
    fn what_lies_above_the_hull_is_never_chosen() {
        // One bit makes it worse than none; two bits save 3 apiece.
        let items = [choices(&[(0.0, 6.0), (1.0, 7.0), (2.0, 0.0)])];
        assert_eq!(allocate_bits(&items, 1.5).unwrap().chosen, [0]);
        assert_eq!(allocate_bits(&items, 2.0).unwrap().chosen, [2]);
        // In line with its neighbours a choice is passed over.
        assert_eq!(hull(&choices(&[(0.0, 2.0), (1.0, 1.0), (2.0, 0.0)])), Some(vec![0, 2]));
    }

    #[test]
    fn what_costs_more_and_saves_nothing_is_never_chosen() {
        let found = allocate_bits(&[choices(&[(0.0, 1.0), (1.0, 0.0), (2.0, 0.0)])], 9.0).unwrap();
        assert_eq!((found.chosen, found.cost), (vec![1], 1.0));
    }

    #[test]
    fn the_walk_ends_at_the_first_step_that_is_too_dear() {
        let items = [choices(&[(0.0, 90.0), (9.0, 0.0)]), choices(&[(0.0, 1.0), (1.0, 0.0)])];
        let found = allocate_bits(&items, 8.0).unwrap();
        assert_eq!((found.chosen, found.price), (vec![0, 0], 10.0));
    }

    #[test]
    fn of_equals_the_earlier_item_and_the_better_choice_come_first() {
        let even = choices(&[(0.0, 1.0), (1.0, 0.0)]);
        assert_eq!(allocate_bits(&[even.clone(), even], 1.0).unwrap().chosen, [1, 0]);
        assert_eq!(
            allocate_bits(&[choices(&[(0.0, 2.0), (0.0, 1.0)])], 0.0)
                .unwrap()
                .chosen,
            [1]
        );
    }

    #[test]
    fn what_cannot_be_paid_or_compared_is_refused() {
        assert_eq!(allocate_bits(&[choices(&[(2.0, 0.0)])], 1.0), None);
        assert_eq!(allocate_bits(&[Vec::new()], 1.0), None);
        assert_eq!(allocate_bits(&[choices(&[(0.0, f64::NAN)])], 1.0), None);
        assert_eq!(allocate_bits(&[choices(&[(f64::NAN, 0.0)])], 1.0), None);
        assert_eq!(allocate_bits(&[choices(&[(0.0, 0.0)])], f64::NAN), None);
        assert_eq!(allocate_bits(&[], 0.0).unwrap().chosen, Vec::<usize>::new());
    }
}
