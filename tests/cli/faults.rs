//! Workers to which something happens while they work: cases of `make soak`, each of them as its seed makes it.

use std::time::Duration;

use divien_testbed::faults::{Case, Fault, Faults, Member, Step, Way};
use divien_testbed::{gst, place};

/// An attempt that stands still for so long in a test has been left.
const PATIENCE: Duration = Duration::from_secs(20);
/// A case whose workers all go.
const ALL_GO: u64 = 26;

#[track_caller]
fn changes_no_byte(seed: u64, happens: impl Fn(&Member, Option<Fault>) -> bool) {
    assert!(!Case::of(seed).all_go);
    ends_as_it_should(seed, happens);
}

/// Nothing is wrong with how the case of this seed ends, in which this happens to a worker.
#[track_caller]
fn ends_as_it_should(seed: u64, happens: impl Fn(&Member, Option<Fault>) -> bool) {
    let case = Case::of(seed);
    // A worker that has no core to itself may stand still for some seconds.
    let case = Case { lane_timeout: case.lane_timeout.map(|timeout| timeout.max(PATIENCE)), ..case };
    let befalls = |n| case.steps.iter().filter(move |step: &&Step| step.member == n).map(|step| Some(step.fault));
    let happens = |(n, member)| befalls(n).chain([None]).any(|fault| happens(member, fault));
    assert!(case.members.iter().enumerate().any(happens), "{case}");
    let folder = place::temporary();
    let faults = Faults::new(env!("CARGO_BIN_EXE_divien").into(), folder.path().to_owned(), gst::surround);
    let verdict = faults.run(&case).unwrap();
    if verdict.fault.is_some() {
        // The message names it.
        let _ = folder.keep();
    }
    assert!(verdict.fault.is_none() && verdict.taken == case.steps.len(), "{case} -> {verdict}");
    let is_meddled = case.members.iter().any(|member| matches!(member.way, Way::Meddled(_)));
    assert!(!is_meddled || verdict.spoiled > 0, "{case} -> {verdict}");
}

#[test]
fn a_worker_that_is_killed_changes_no_byte() {
    changes_no_byte(247, |_, fault| fault == Some(Fault::Kill));
}

#[test]
fn a_worker_that_stands_still_changes_no_byte() {
    changes_no_byte(933, |_, fault| matches!(fault, Some(Fault::Stop(_))));
}

#[test]
fn a_worker_that_is_cut_off_changes_no_byte() {
    changes_no_byte(2016, |_, fault| matches!(fault, Some(Fault::Cut(_))));
}

#[test]
fn a_worker_that_comes_again_at_another_port_changes_no_byte() {
    changes_no_byte(1478, |member, fault| {
        matches!(fault, Some(Fault::Restart { .. })) && matches!(member.way, Way::Relayed(_))
    });
}

#[test]
fn a_worker_whose_results_are_spoiled_changes_no_byte() {
    changes_no_byte(345, |member, _| matches!(member.way, Way::Meddled(_)));
}

#[test]
fn a_run_that_loses_all_its_workers_ends_and_another_goes_on() {
    assert!(Case::of(ALL_GO).all_go);
    ends_as_it_should(ALL_GO, |_, fault| fault == Some(Fault::Kill));
}
