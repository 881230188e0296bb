//! What holds of the chunks of every stream, whatever it is made of: streams of groups that are open or closed, reordered,
//! with hidden pictures and pictures that nobody wants, with key frames asked for, pauses and too little memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Cuts, FrameTime, MOST_REORDERED, Mode, Nanos, Piece, Ranges, Start, Unit};

/// A group of pictures, in the numbers of its frames.
#[derive(Debug, Clone)]
struct Group {
    frames: usize,
    /// Frames that are shown before its first picture and need what came before.
    leading: usize,
    /// So many are decoded after the one that is shown behind them.
    reorder: usize,
    /// Every so many units there is one that shows nothing.
    hidden: usize,
    start: Option<Start>,
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let start = prop_oneof![Just(Some(Start::Clean)), Just(Some(Start::Recovers)), Just(None)];
    let group = (1usize..30, 0usize..5, 0usize..4, 0usize..6, start)
        .prop_map(|(frames, leading, reorder, hidden, start)| Group { frames, leading, reorder, hidden, start });
    proptest::collection::vec(group, 1..8)
}

/// A unit and the units before it without which it cannot be decoded.
#[derive(Debug)]
struct Coded {
    unit: Unit,
    needs: BTreeSet<usize>,
}

const STEP: Nanos = 10;

fn coded(groups: &[Group], wanted: impl Fn(Nanos) -> bool) -> Vec<Coded> {
    let mut all: Vec<Coded> = Vec::new();
    // Where the pictures begin that those to come may refer to, and those that leading pictures may refer to.
    let (mut reach, mut time) = (0, 0);
    // Leading pictures are needed by those of their own group alone.
    let mut leads = BTreeSet::new();
    for group in groups {
        let leading = group.leading.min(time as usize);
        let before = reach;
        let first = all.len();
        if group.start.is_some() {
            reach = first;
        }
        let key = time + leading as Nanos;
        let mut order = vec![key];
        order.extend(time..key);
        let mut rest: Vec<Nanos> = (key + 1..key + group.frames as Nanos).collect();
        for part in rest.chunks_mut(group.reorder + 1) {
            part.rotate_right(1);
        }
        order.extend(rest);
        for (i, number) in order.into_iter().enumerate() {
            let start = group.start.filter(|_| i == 0);
            let is_leading = group.start.is_some() && number < key;
            let from = if is_leading { before } else { reach };
            let others = |n: &usize| !leads.contains(n) || (is_leading && *n >= first);
            let needs = if start.is_some() { BTreeSet::new() } else { (from..all.len()).filter(others).collect() };
            if is_leading {
                leads.insert(all.len());
            }
            let pts = number * STEP;
            let scene = pts / STEP % 11 == 5;
            let unit = Unit { start, wanted: wanted(pts), scene, ..Unit::new(Some(pts), None, None) };
            all.push(Coded { unit, needs });
            if group.hidden > 0 && i % group.hidden == 0 && i > leading {
                let needs = (reach..all.len()).filter(|n| !leads.contains(n)).collect();
                let unit = Unit { pts: None, start: None, shown: 0, ..unit };
                all.push(Coded { unit, needs });
            }
        }
        time = key + group.frames as Nanos;
    }
    all
}

/// What happens besides the units.
#[derive(Debug, Clone, Default)]
struct Told {
    /// Behind so many units, the frame of this number or the first one after it has to begin a chunk.
    forced: BTreeMap<usize, Nanos>,
    /// Behind so many units nothing is shown for long: all that came is out.
    pauses: BTreeSet<usize>,
    /// The most units that are held before a chunk is cut for lack of memory.
    most: usize,
}

#[derive(Debug)]
struct Cut {
    pieces: Vec<Piece<usize>>,
    /// The times that were forced, as they count.
    forced: Vec<Nanos>,
    most_held: usize,
}

fn cut(units: &[Coded], target: u64, mode: Mode, told: &Told) -> Cut {
    let mut ranges = Ranges::new(target, mode);
    let mut cut = Cut { pieces: Vec::new(), forced: Vec::new(), most_held: 0 };
    for (i, coded) in units.iter().enumerate() {
        if let Some(number) = told.forced.get(&i) {
            cut.forced.push(ranges.force(number * STEP));
        }
        cut.pieces.extend(ranges.push(i, coded.unit).unwrap());
        while ranges.held() > told.most {
            let Some(piece) = ranges.relieve() else { break };
            cut.pieces.push(piece);
        }
        cut.most_held = cut.most_held.max(ranges.held());
        if told.pauses.contains(&i) {
            cut.pieces.extend(ranges.pause().into_iter().flatten());
        }
    }
    cut.pieces.extend(ranges.finish());
    cut
}

fn frames(cut: &Cut) -> Vec<Nanos> {
    cut.pieces.iter().flat_map(|piece| &piece.frames).map(|frame: &FrameTime| frame.pts).collect()
}

/// Units behind which no picture is missing that is shown before one of theirs.
fn quiet(units: &[Coded]) -> Vec<usize> {
    let earliest = |from: usize| units[from..].iter().filter_map(|c| c.unit.pts).min();
    let latest = |to: usize| units[..to].iter().filter_map(|c| c.unit.pts).max();
    let is_quiet = |n: &usize| earliest(n + 1).is_none_or(|next| latest(n + 1).is_none_or(|last| last < next));
    (0..units.len()).filter(is_quiet).collect()
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Fixed), Just(Mode::Keyframe), Just(Mode::Scene)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_wanted_frame_is_in_one_chunk_in_order_with_all_it_needs(
        groups in groups(), target in 1u64..60, mode in modes(), from in 0u64..40, to in 20u64..400,
        forced in proptest::collection::btree_map(0usize..150, 0u64..150, 0..4),
        pauses in proptest::collection::vec(any::<prop::sample::Index>(), 0..3), most in 1usize..400,
    ) {
        let wanted = |pts: Nanos| (from * STEP..to * STEP).contains(&pts);
        let units = coded(&groups, wanted);
        let quiet = quiet(&units);
        let pauses = pauses.iter().map(|index| *index.get(&quiet)).collect();
        let cut = cut(&units, target, mode, &Told { forced, pauses, most });
        let mut expected: Vec<Nanos> = units.iter().filter(|c| c.unit.wanted && c.unit.shown > 0).filter_map(|c| c.unit.pts).collect();
        expected.sort_unstable();
        prop_assert_eq!(frames(&cut), expected);
        for piece in &cut.pieces {
            let taken: BTreeSet<usize> = piece.units.iter().copied().collect();
            prop_assert!(piece.units.is_sorted(), "decode order is kept");
            prop_assert_eq!(taken.len(), piece.units.len());
            prop_assert_eq!(piece.start, units[piece.units[0]].unit.start.filter(|_| piece.start.is_some()));
            if piece.start.is_none() {
                prop_assert_eq!(piece.units[0], 0, "only the begin is no start");
            }
            let mut asked: Vec<usize> = (0..units.len())
                .filter(|n| units[*n].unit.pts.is_some_and(|pts| piece.frames.iter().any(|f| f.pts == pts)))
                .collect();
            prop_assert_eq!(asked.len(), piece.frames.len());
            while let Some(n) = asked.pop() {
                prop_assert!(taken.contains(&n), "unit {} is needed in {:?}", n, piece);
                asked.extend(units[n].needs.iter().filter(|need| !taken.contains(need)));
            }
        }
    }

    #[test]
    fn a_chunk_begins_wherever_one_was_asked_for(
        groups in groups(), target in 1u64..60, mode in modes(),
        forced in proptest::collection::btree_map(0usize..150, 0u64..150, 0..6),
    ) {
        let units = coded(&groups, |_| true);
        let cut = cut(&units, target, mode, &Told { forced, most: usize::MAX, ..Told::default() });
        let all = frames(&cut);
        let begins: BTreeSet<Nanos> = cut.pieces.iter().filter_map(|p| Some(p.frames.first()?.pts)).collect();
        for time in &cut.forced {
            let first = all.iter().find(|pts| *pts >= time);
            prop_assert!(first.is_none_or(|pts| begins.contains(pts)), "{time} of {begins:?}");
        }
    }

    /// Cuts are made while the stream runs, and hindsight would make the same.
    #[test]
    fn no_start_is_nearer_than_the_one_at_which_a_chunk_ends(groups in groups(), target in 1u64..40) {
        let units = coded(&groups, |_| true);
        let cut = cut(&units, target, Mode::Keyframe, &Told { most: usize::MAX, ..Told::default() });
        let all = frames(&cut);
        let rank = |pts: Nanos| all.partition_point(|other| *other < pts);
        let mut latest = None;
        let mut starts = BTreeSet::new();
        for unit in units.iter().map(|c| c.unit).filter(|unit| unit.shown > 0) {
            if unit.start.is_some() && latest < unit.pts {
                starts.extend(unit.pts.map(rank));
            }
            latest = latest.max(unit.pts);
        }
        let target = target as usize;
        let mut from = 0;
        for piece in &cut.pieces {
            let to = from + piece.frames.len();
            let off = |rank: usize| (rank - from).abs_diff(target);
            let nearer = starts.range(from + 1..all.len()).find(|rank| off(**rank) < off(to) && off(**rank) <= target / 2);
            // Only a tail goes with the chunk before it.
            prop_assert!(nearer.is_none() || to == all.len(), "{from} to {to}, not {nearer:?}");
            from = to;
        }
    }

    #[test]
    fn chunks_begin_with_the_listed_frames_and_no_others(
        groups in groups(), mode in modes(), listed in proptest::collection::btree_set(0u64..200, 0..12),
    ) {
        let units = coded(&groups, |_| true);
        let mut ranges = Ranges::new(10, mode).at(Some(Cuts::new(listed.iter().copied())));
        let mut pieces = Vec::new();
        for (i, coded) in units.iter().enumerate() {
            pieces.extend(ranges.push(i, coded.unit).unwrap());
            prop_assert!(ranges.relieve().is_none());
        }
        pieces.extend(ranges.finish());
        let mut from = 0;
        let begin = |piece: &Piece<usize>| {
            from += piece.frames.len() as u64;
            from - piece.frames.len() as u64
        };
        let begins: BTreeSet<u64> = pieces.iter().map(begin).collect();
        prop_assert_eq!(begins, listed.into_iter().chain([0]).filter(|number| *number < from).collect());
    }

    #[test]
    fn what_is_held_is_bounded_by_chunks_and_groups(groups in groups(), target in 1u64..40, mode in modes()) {
        let groups: Vec<Group> = groups.into_iter().map(|g| Group { start: Some(Start::Clean), ..g }).collect();
        let units = coded(&groups, |_| true);
        let cut = cut(&units, target, mode, &Told { most: usize::MAX, ..Told::default() });
        // A group has 30 units and 5 leading ones at most, and as many hidden ones.
        let most = 2 * (2 * target as usize + 2 * 35 + MOST_REORDERED);
        prop_assert!(cut.most_held <= most, "{} of {most}", cut.most_held);
        let longest = cut.pieces.iter().map(|p| p.frames.len()).max().unwrap_or(0);
        let limit = target as usize + target as usize / 4 + 35 + target as usize / 2 + 2;
        prop_assert!(longest <= limit, "{longest} of {limit}");
    }
}
