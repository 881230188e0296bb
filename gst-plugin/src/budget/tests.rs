use proptest::prelude::*;

use super::*;

const SCALE: Scale = Scale { best: 1.0, worst: 51.0, step: 0.12, analysis: 0.85 };

/// A stream whose chunks answer to quality each in its own way.
#[derive(Debug, Clone)]
struct Film {
    /// Bytes at quality 23, by how much they fall, and how much larger the analysis is.
    chunks: Vec<(f64, f64, f64)>,
    bend: f64,
    /// Sizes fall by leaps only.
    leaps: bool,
}

impl Film {
    fn size(&self, trial: &Trial) -> u64 {
        let (bytes, falls, analysis) = self.chunks[trial.chunk];
        let factor = if trial.setting == Setting::Analysis { analysis } else { 1.0 };
        let quality = trial.quality.value();
        let steps = 23.0 - if self.leaps { (quality * 2.0 + trial.chunk as f64 / 7.0).round() / 2.0 } else { quality };
        // Far from there it falls faster, or slower.
        (bytes * factor * (falls * steps * (1.0 + self.bend * steps)).exp()) as u64
    }

    fn at(&self, quality: f64) -> f64 {
        let trial = |chunk| Trial { chunk, setting: Setting::Wanted, quality: Quality::of(quality) };
        (0..self.chunks.len()).map(|chunk| self.size(&trial(chunk)) as f64).sum()
    }
}

/// How the search goes: the planner, and the trials with the setting that is wanted.
fn search(film: &Film, bytes: f64, tolerance: f64, guess: f64) -> (Planner, usize) {
    let target = Target { bits_per_second: (bytes * 8.0) as u64, tolerance, guess, scale: SCALE };
    let mut planner = Planner::new(target, 1_000_000_000, film.chunks.len());
    let mut tried = 0;
    for _ in 0..20 {
        let trials = planner.next_trials();
        if trials.is_empty() {
            assert!(planner.next_trials().is_empty());
            return (planner, tried);
        }
        tried += trials.iter().filter(|trial| trial.setting == Setting::Wanted).count();
        trials.iter().for_each(|trial| planner.learn(*trial, film.size(trial)));
    }
    panic!("it does not end");
}

fn films() -> impl Strategy<Value = Film> {
    let chunk = (20_000f64..2_000_000.0, 0.08f64..0.25, 0.4f64..1.5);
    (proptest::collection::vec(chunk, 1..60), -0.008f64..0.008).prop_map(|(chunks, bend)| Film {
        chunks,
        bend,
        leaps: false,
    })
}

proptest! {
    #[test]
    fn every_film_has_the_bytes_that_are_wanted(
        film in films(), quality in 15f64..35.0, off in -8f64..8.0, is_exact in any::<bool>(),
    ) {
        let tolerance = if is_exact { 0.005 } else { 0.01 };
        let bytes = film.at(quality);
        let (planner, tried) = search(&film, bytes, tolerance, quality + off);
        prop_assert!(planner.off().abs() <= tolerance, "{} off", planner.off());
        let chosen = planner.chosen();
        prop_assert_eq!(chosen.iter().map(|trial| trial.chunk).collect::<Vec<_>>(), (0..film.chunks.len()).collect::<Vec<_>>());
        // One quality for all, but for a few that make up for the rest.
        let mean = chosen.iter().map(|t| t.quality.value()).sum::<f64>() / chosen.len() as f64;
        prop_assert!(chosen.iter().all(|trial| (trial.quality.value() - mean).abs() <= 3.0), "{:?}", chosen);
        prop_assert!(tried <= 4 * film.chunks.len() + 8, "{} of {}", tried, film.chunks.len());
    }
}

#[test]
fn sizes_that_fall_by_leaps_are_put_together() {
    let chunk = |n: usize| (300_000.0 + (n * 7919 % 101) as f64 * 1_000.0, 0.14, 0.8);
    let film = Film { chunks: (0..12).map(chunk).collect(), bend: 0.0, leaps: true };
    for tenth in 0..40 {
        let bytes = 3_000_000.0 * (1.0 + f64::from(tenth) / 37.0);
        let (planner, _) = search(&film, bytes, 0.005, 26.0);
        assert!(planner.off().abs() <= 0.005, "{bytes}: {}", planner.off());
    }
}

#[test]
fn a_film_of_many_chunks_takes_little_more_than_once() {
    let chunk = |n: usize| (50_000.0 + (n * 7919 % 101) as f64 * 9_000.0, 0.10 + (n % 7) as f64 * 0.006, 1.15);
    let film = Film { chunks: (0..200).map(chunk).collect(), bend: 0.002, leaps: false };
    let (planner, tried) = search(&film, film.at(24.0), 0.01, 21.0);
    assert!(planner.off().abs() <= 0.01);
    assert!(tried <= 270, "{tried} of 200");
}

#[test]
fn what_cannot_be_had_is_told() {
    let film = Film { chunks: vec![(100_000.0, 0.12, 1.2); 5], bend: 0.0, leaps: false };
    for (quality, end) in [(60.0, 51.0), (-20.0, 1.0)] {
        let (planner, _) = search(&film, film.at(quality), 0.01, 23.0);
        assert!(planner.is_at_the_end() && planner.off().abs() > 0.01);
        assert!(planner.chosen().iter().all(|trial| trial.quality == Quality::of(end)));
    }
    assert_eq!(search(&Film { chunks: Vec::new(), bend: 0.0, leaps: false }, 1000.0, 0.01, 23.0).1, 0);
}
