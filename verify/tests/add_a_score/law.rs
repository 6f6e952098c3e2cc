#[test]
fn toy_is_never_below_the_value_score() {
    for_all(strategies::head(), |head| {
        let trace = attend(&head);
        let [toy, value] = [Score::Toy, Score::Value].map(|score| score.contributions(&head, &trace));
        for (toy, value) in toy.iter().zip(&value) {
            prop_assert!(*toy >= value * (1.0 - 4.0 * f64::EPSILON));
        }
        Ok(())
    });
}

