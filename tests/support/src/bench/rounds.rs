//! A contest, run in rounds.

use super::check::{Checker, Quality};
use super::contest::Contest;
use super::measure::{Usage, measured};
use super::record::{Measured, Run};
use super::way::{AV1AN_METHODS, Av1an, Way, Workshop, av1an_settings, busy, version};

/// Runs every way once a round and checks what it wrote.
pub(super) fn run(
    workshop: &Workshop,
    contest: &Contest,
    workers: &[u32],
    rounds: usize,
    machine: &str,
) -> Result<Measured, String> {
    let mut checker = Checker::new(&contest.clip);
    let mut ways = Way::of(contest, workers);
    match version(workshop.av1an, "--version") {
        None => eprintln!("{}: {} does not run and is left out", contest.id, workshop.av1an.display()),
        Some(_) => ways.push(best_av1an(workshop, contest, &mut checker)?),
    }
    let mut runs = Vec::new();
    for round in 0..rounds {
        for index in order(ways.len(), round) {
            let way = ways[index];
            let (usage, quality, said) = once(workshop, contest, way, &mut checker)?;
            eprintln!("{}: round {} of {rounds}: {}: {:.2} s", contest.id, round + 1, way.name(), usage.seconds);
            runs.push((index, Run { round, way: way.name(), usage, quality, busy: busy(&said) }));
        }
    }
    // In the report all contests' ways stand in the same order.
    runs.sort_by_key(|(index, run)| (*index, run.round));
    let runs = runs.into_iter().map(|(_, run)| run).collect();
    let (id, title) = (contest.id.clone(), contest.title.clone());
    Ok(Measured { id, title, machine: machine.to_owned(), cores: workshop.cores, runs })
}

fn once(
    workshop: &Workshop,
    contest: &Contest,
    way: Way,
    checker: &mut Checker,
) -> Result<(Usage, Option<Quality>, String), String> {
    let (usage, said) = measured(&mut workshop.command(way, contest))?;
    let output = workshop.output(way, contest);
    let quality = output.map(|output| {
        let quality = checker.check(&way.name(), &output);
        // What is looked at next must not be what was written before.
        std::fs::remove_file(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        quality
    });
    Ok((usage, quality.transpose()?, said))
}

/// Of its settings the one that was fastest in a run each.
fn best_av1an(workshop: &Workshop, contest: &Contest, checker: &mut Checker) -> Result<Way, String> {
    let mut best: Option<(f64, Av1an)> = None;
    let mut try_out = |settings: Av1an| {
        let (usage, ..) = once(workshop, contest, Way::Av1an(settings), checker)?;
        eprintln!("{}: {settings:?}: {:.2} s", contest.id, usage.seconds);
        if best.is_none_or(|(least, _)| usage.seconds < least) {
            best = Some((usage.seconds, settings));
        }
        Ok::<_, String>(best)
    };
    let (mut first, mut why) = (None, String::new());
    for method in AV1AN_METHODS {
        let [settings, ..] = av1an_settings(method, workshop.cores);
        match try_out(settings) {
            Ok(best) => first = best,
            // Each needs a program or a library of its own.
            Err(error) => {
                eprintln!("{}: av1an without {method}, which fails here", contest.id);
                why = error;
            }
        }
    }
    let (_, first) = first.ok_or(why)?;
    let [_, others @ ..] = av1an_settings(first.method, workshop.cores);
    for settings in others {
        try_out(settings)?;
    }
    best.map(|(_, settings)| Way::Av1an(settings)).ok_or_else(|| "av1an has no settings".into())
}

/// Who runs when in a round. Each comes behind each of the others equally often in as many rounds as there are, of an
/// odd number in twice as many (Williams' Latin squares).
fn order(count: usize, round: usize) -> Vec<usize> {
    let zigzag = (0..count).map(|place| if place % 2 == 1 { place.div_ceil(2) } else { (count - place / 2) % count });
    let mut order: Vec<_> = zigzag.map(|index| (index + round / (1 + count % 2)) % count).collect();
    if count % 2 == 1 && round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn everyone_runs_once_a_round_and_follows_everyone_else_equally_often() {
        for count in 2..9 {
            let rounds = count * (1 + count % 2);
            let mut neighbours = BTreeMap::<(usize, usize), usize>::new();
            for round in 0..rounds {
                let order = order(count, round);
                let mut all = order.clone();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>(), "{order:?}");
                for pair in order.windows(2) {
                    *neighbours.entry((pair[0], pair[1])).or_default() += 1;
                }
            }
            assert_eq!(neighbours.len(), count * (count - 1), "{count}: {neighbours:?}");
            assert!(neighbours.values().all(|times| *times == 1 + count % 2), "{count}: {neighbours:?}");
        }
    }
}
