//! Tokens, and workers that have none.

use std::fs;

use divien_testbed::{Outcome, divien, place, run};
use gstdivien::net::Token;

/// What `divien token new` prints.
#[track_caller]
fn made() -> String {
    let outcome = run(&mut divien!("token", "new")).success();
    assert_eq!(outcome.stderr, "", "{outcome}");
    String::from_utf8(outcome.stdout).unwrap()
}

/// Runs `divien worker` in surroundings without a token; it must fail with this code.
#[track_caller]
fn worker(arguments: &[&str], code: i32) -> Outcome {
    let mut command = divien!("worker");
    command.args(arguments).env_remove("DIVIEN_TOKEN");
    let outcome = run(&mut command).failure();
    assert_eq!(outcome.status.code(), Some(code), "{outcome}");
    outcome
}

#[test]
fn a_new_token_is_one_line_that_is_read_back() {
    let (one, two) = (made(), made());
    assert_ne!(one, two);
    for text in [one, two] {
        let line = text.strip_suffix('\n').unwrap();
        assert!(line.starts_with("divien1-") && line.len() == 56, "{line}");
        let token: Token = line.parse().unwrap();
        assert_eq!(*token.text(), line);
    }
}

#[test]
fn a_token_is_only_made_when_asked_for() {
    for arguments in [&["token"][..], &["token", "old"]] {
        let mut command = divien!();
        let outcome = run(command.args(arguments)).failure().says(&["divien token new"]);
        assert_eq!((outcome.status.code(), outcome.stdout.len()), (Some(64), 0), "{outcome}");
    }
}

#[test]
fn a_worker_without_a_token_says_how_to_make_one() {
    let how = ["divien token new > FILE", "chmod 600 FILE", "--token-file"];
    worker(&[], 78).says(&how).says(&["DIVIEN_TOKEN is not set"]);
    let folder = place::temporary();
    let file = folder.path().join("token");
    let arguments = ["--token-file", file.to_str().unwrap()];
    worker(&arguments, 78).says(&how).says(&["cannot be read"]);
    fs::write(&file, "divien1-").unwrap();
    worker(&arguments, 78).says(&how).says(&["is no token"]);
    // Standard input is empty.
    worker(&["--token-file", "-"], 78).says(&how);
}

#[test]
fn a_program_reads_how_a_worker_ended() {
    let outcome = worker(&["--log-format", "json"], 78);
    let line = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(line.starts_with(r#"{"time":"2"#) && line.contains(r#""event":"ended","code":78,"#), "{outcome}");
    assert!(line.ends_with("}\n") && line.lines().count() == 1, "{outcome}");
}

#[test]
fn a_token_among_the_arguments_is_refused_and_not_repeated() {
    let outcome = worker(&["--token", "divien1-secret"], 64).says(&["seen in `ps`", "DIVIEN_TOKEN"]);
    assert!(!outcome.said().contains("secret"), "{outcome}");
    let outcome = run(&mut divien!("-i", "a", "-workers", "b:1", "-token", "divien1-secret", "o.mp4")).failure();
    assert!(!outcome.said().contains("secret"), "{outcome}");
    assert_eq!(outcome.says(&["seen in `ps`"]).status.code(), Some(64));
}

#[test]
fn an_encode_with_workers_needs_a_token_before_anything_else() {
    let folder = place::temporary();
    let output = folder.path().join("out.mp4");
    let mut command = divien!("-i", folder.path().join("none.mp4"), "-workers", "127.0.0.1:9", &output);
    let outcome = run(command.env_remove("DIVIEN_TOKEN")).failure().says(&["divien token new", "-token-file"]);
    assert_eq!(outcome.status.code(), Some(78), "{outcome}");
}

#[test]
fn the_help_of_a_worker_tells_its_options_and_exit_codes() {
    for arguments in [["worker", "-h"], ["client", "--help"]] {
        let outcome = run(&mut divien!(arguments[0], arguments[1])).success();
        outcome.says(&["--join", "--drain-timeout", "[default: [::]:7171]", "exit codes", "75  drained"]);
    }
    run(&mut divien!("-h")).success().says(&["divien worker -h", "-workers"]);
}
