//! The strip engine, on every instruction set that this processor has, against the trace-based scores in 64 bits, within
//! the forward error bound of a kernel (C20).

mod group;
mod truths;

use golden::Precision;
use obd_core::QueryWindow;
use proptest::prelude::*;
use verify::law::for_all;

use group::{Family, Group, group, tensors};
use truths::fault;

#[test]
fn c20_strips_in_32_bits_err_no_more_than_a_good_kernel() {
    for_all(group(), |group| {
        prop_assert_eq!(fault(&group, Precision::F32, &group.run::<f32>(), 1.0), None);
        Ok(())
    });
}

// The trace-based scores are in 64 bits themselves, so both err.
#[test]
fn c20_strips_in_64_bits_err_no_more_than_a_good_kernel() {
    for_all(group(), |group| {
        prop_assert_eq!(fault(&group, Precision::F64, &group.run::<f64>(), 2.0), None);
        Ok(())
    });
}

#[test]
fn c20_a_decode_step_in_32_bits_errs_no_more_than_a_good_kernel() {
    for_all(group(), |group| {
        let group = group.last_query();
        prop_assert_eq!(fault(&group, Precision::F32, &group.step::<f32>(), 1.0), None);
        Ok(())
    });
}

#[test]
fn c20_a_decode_step_in_64_bits_errs_no_more_than_a_good_kernel() {
    for_all(group(), |group| {
        let group = group.last_query();
        prop_assert_eq!(fault(&group, Precision::F64, &group.step::<f64>(), 2.0), None);
        Ok(())
    });
}

#[test]
fn c20_a_strip_of_other_values_is_caught() {
    let (query, key, value) = tensors(Family::Plain, (1, (30, 30), 8, 8), 1);
    let group = Group {
        query,
        key,
        value,
        causal: true,
        sliding_window: None,
        sink: None,
        window: QueryWindow::All,
    };
    let mut other = group.clone();
    other.value[[3, 3]] *= 1.0 + 1e-4;
    assert_eq!(fault(&group, Precision::F32, &group.run::<f32>(), 1.0), None);
    assert!(fault(&group, Precision::F32, &other.run::<f32>(), 1.0).is_some());
    let (group, other) = (group.last_query(), other.last_query());
    assert_eq!(fault(&group, Precision::F32, &group.step::<f32>(), 1.0), None);
    assert!(fault(&group, Precision::F32, &other.step::<f32>(), 1.0).is_some());
}
