use proptest::prelude::*;

use super::*;

/// Units from text: each an I (starts), a D (starts and drops), a P, a B or a hidden one (h), with the time of its
/// frame; small letters are not wanted.
fn stream(text: &str) -> Vec<Unit> {
    let unit = |word: &str| {
        let (kind, time) = word.split_at(1);
        Unit {
            pts: time.parse().ok(),
            duration: None,
            start: ["I", "i", "D"].contains(&kind).then_some(Start::Clean),
            shown: u8::from(kind != "h"),
            drops: kind == "D",
            is_field: kind == "F",
            wanted: kind != kind.to_lowercase(),
            scene: false,
        }
    };
    text.split_whitespace().map(unit).collect()
}

fn closed(frames: usize, gop: usize) -> Vec<Unit> {
    let start = |i: usize| i.is_multiple_of(gop).then_some(Start::Clean);
    let unit = |i| Unit { start: start(i), ..Unit::new(Some(i as u64), None, None) };
    (0..frames).map(unit).collect()
}

fn lengths(units: &[Unit], target: u64, mode: Mode) -> Vec<usize> {
    cut(units, target, mode).unwrap().iter().map(|p| p.frames.len()).collect()
}

fn times(units: &[Unit], piece: &Piece<usize>) -> Vec<u64> {
    piece.units.iter().filter_map(|i| units[*i].pts).collect()
}

#[test]
fn chunks_begin_at_key_frames_near_by_and_nothing_is_decoded_twice() {
    assert_eq!(lengths(&closed(1000, 30), 100, Mode::Keyframe), [90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 100]);
    assert_eq!(lengths(&closed(1000, 30), 100, Mode::Fixed), [100; 10]);
    assert_eq!(lengths(&closed(300, 1), 100, Mode::Keyframe), [100; 3]);
    assert_eq!(lengths(&closed(310, 100), 100, Mode::Keyframe), [100, 100, 110]);
    assert_eq!(lengths(&closed(150, 10), 40, Mode::Keyframe), [40, 40, 40, 30]);
    assert_eq!(lengths(&closed(1, 1), 250, Mode::Keyframe), [1]);
    let pieces = cut(&closed(200, 50), 60, Mode::Keyframe).unwrap();
    assert!(pieces.iter().all(|p| p.units.len() == p.frames.len()), "{pieces:?}");
}

#[test]
fn listed_cuts_are_where_chunks_begin_whatever_their_lengths() {
    let listed = |units: &[Unit], cuts: &[u64]| {
        let ranges = Ranges::new(10, Mode::Keyframe).at(Some(Cuts::new(cuts.iter().copied())));
        cut_as(ranges, units).map(|pieces| pieces.iter().map(|piece| piece.frames.len()).collect::<Vec<_>>())
    };
    assert_eq!(listed(&closed(300, 10), &[7, 10, 11, 299]), Ok(vec![7, 3, 1, 288, 1]));
    assert_eq!(listed(&closed(300, 1), &[]), Ok(vec![300]));
    assert_eq!(listed(&closed(300, 100), &[190]), Err(Uncuttable::Twice(90, 300)));
    // By the order in which frames are shown, of those that are wanted.
    assert_eq!(listed(&stream("i0 I4 B2 P6 B5 I8 B7"), &[2]), Ok(vec![2, 4]));
}

#[test]
fn chunks_begin_where_scenes_do() {
    let with = |scenes: &[usize], frames, gop| {
        let mut units = closed(frames, gop);
        scenes.iter().for_each(|scene| units[*scene].scene = true);
        units
    };
    // The nearest within half a chunk, else a key frame there, else exactly so many frames.
    assert_eq!(lengths(&with(&[70, 95, 130, 290], 300, 8), 100, Mode::Scene), [95, 97, 108]);
    assert_eq!(lengths(&with(&[40, 160, 290], 300, 100), 100, Mode::Scene), [100, 60, 140]);
    assert_eq!(lengths(&with(&[49, 151], 250, 7), 100, Mode::Scene), [98, 53, 99]);
    assert_eq!(lengths(&with(&[50, 150], 230, 7), 100, Mode::Scene), [50, 100, 80]);
    // A tail goes with the chunk before it.
    assert_eq!(lengths(&with(&[100, 190], 200, 10), 100, Mode::Scene), [100, 100]);
    // What is decoded twice is what lies between a key frame and the scene.
    let pieces = cut(&with(&[107], 200, 20), 100, Mode::Scene).unwrap();
    assert_eq!(pieces[1].units, (100..200).collect::<Vec<_>>());
    // Cuts are those of hindsight, though they are made while units come.
    let units = with(&[120, 101], 400, 30);
    assert_eq!(lengths(&units, 100, Mode::Scene)[0], 101);
    assert_eq!(lengths(&with(&[120, 101], 400, 30), 100, Mode::Keyframe)[0], 90);
}

#[test]
fn where_key_frames_are_rare_chunks_are_longer_but_not_by_far() {
    // 20 frames of 100 twice is cheap.
    assert_eq!(lengths(&closed(560, 80), 160, Mode::Keyframe), [160, 160, 160, 80]);
    assert_eq!(lengths(&closed(400, 380), 200, Mode::Keyframe), [400]);
    assert_eq!(lengths(&closed(8000, 1000), 400, Mode::Keyframe), [1000; 8]);
    assert_eq!(cut(&closed(7000, 1000), 400, Mode::Keyframe), Err(Uncuttable::TooLong(1000)));
    assert_eq!(cut(&closed(2000, 1000), 200, Mode::Keyframe), Err(Uncuttable::TooLong(1000)));
    assert_eq!(cut(&closed(2000, 1000), 400, Mode::Fixed), Err(Uncuttable::Twice(400 + 800 + 200 + 600, 2000)));
    let mut units = closed(300, 1000);
    units[95].start = Some(Start::Clean);
    units[30].start = Some(Start::Clean);
    assert_eq!(lengths(&units, 120, Mode::Keyframe), [95, 205]);
    units[95].start = None;
    assert_eq!(lengths(&units, 150, Mode::Keyframe), [300]);
}

#[test]
fn leading_pictures_belong_to_the_chunk_before_and_are_not_decoded_in_their_own() {
    let units = stream("I0 P3 B1 B2 I6 B4 B5 P9 B7 B8");
    let pieces = cut(&units, 6, Mode::Keyframe).unwrap();
    assert_eq!(times(&units, &pieces[0]), [0, 3, 1, 2, 6, 4, 5]);
    assert_eq!(times(&units, &pieces[1]), [6, 9, 7, 8]);
    assert_eq!(pieces.iter().map(|p| p.frames.len()).collect::<Vec<_>>(), [6, 4]);
}

#[test]
fn what_drops_frames_that_are_not_shown_yet_does_so_to_every_chunk_before_it() {
    let units = stream("I0 P3 B1 B2 D4 P5 P6");
    let taken = |target, mode| cut(&units, target, mode).map(|p| p.iter().map(|p| times(&units, p)).collect());
    assert_eq!(taken(4, Mode::Keyframe), Ok(vec![vec![0, 3, 1, 2, 4], vec![4, 5, 6]]));
}

#[test]
fn frames_that_are_not_wanted_are_decoded_where_others_need_them() {
    let units = stream("i0 p1 p2 i3 p4 P5 P6 I7 P8 p9 i10");
    let pieces = cut(&units, 2, Mode::Fixed).unwrap();
    assert_eq!(pieces.iter().map(|p| times(&units, p)).collect::<Vec<_>>(), [vec![3, 4, 5, 6], vec![7, 8]]);
    assert_eq!(pieces[0].frames.iter().map(|f| f.pts).collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn what_cannot_be_cut_is_told() {
    let reason = |text: &str, target| cut(&stream(text), target, Mode::Fixed).unwrap_err();
    assert_eq!(reason("I0 P P2", 1), Uncuttable::NoTime(1));
    assert_eq!(reason("I0 P1 P1", 1), Uncuttable::SameTime(2));
    assert_eq!(reason("I0 P1 F2", 1), Uncuttable::Field(2));
    assert_eq!(reason("P0 P1", 1), Uncuttable::NoStart);
    assert_eq!(reason("I0 P1 P2 P3 P4 P5 P6 P7", 2), Uncuttable::Twice(2 + 4 + 6, 8));
    assert_eq!(cut(&[], 1, Mode::Fixed), Err(Uncuttable::NoStart));
    let mut late = closed(40, 10);
    late[39].pts = Some(0);
    assert_eq!(cut(&late, 1, Mode::Fixed), Err(Uncuttable::Late(39)));
}

#[test]
fn a_start_that_something_before_it_is_shown_after_is_none() {
    let mut ranges = Ranges::new(100, Mode::Fixed);
    for unit in stream("I0 P5 I3 P7 h9 I8") {
        ranges.push((), unit).unwrap();
    }
    assert_eq!(ranges.starts.iter().map(|s| (s.pts, s.unit)).collect::<Vec<_>>(), [(0, 0), (8, 5)]);
}

#[test]
fn a_forced_start_begins_a_chunk_and_the_tail_before_it_joins() {
    let lengths = |forced: &[u64]| {
        let mut ranges = Ranges::new(100, Mode::Keyframe);
        let mut pieces = Vec::new();
        forced.iter().for_each(|time| assert_eq!(ranges.force(*time), *time));
        for (i, unit) in closed(300, 10).into_iter().enumerate() {
            pieces.extend(ranges.push(i, unit).unwrap());
        }
        pieces.extend(ranges.finish());
        pieces.iter().map(|p| p.frames.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&[]), [100, 100, 100]);
    assert_eq!(lengths(&[115]), [115, 95, 90]);
    assert_eq!(lengths(&[50, 150]), [50, 100, 100, 50]);
    assert_eq!(lengths(&[1, 2]), [1, 1, 98, 100, 100]);
}

#[test]
fn a_split_in_the_middle_of_a_group_leaves_what_follows_its_start() {
    let split = |text: &str, then: &str| {
        let mut ranges = Ranges::new(100, Mode::Keyframe);
        let mut number = 0;
        let mut push = |ranges: &mut Ranges<usize>, text: &str| {
            for unit in stream(text) {
                assert_eq!(ranges.push(number, unit), Ok(vec![]));
                number += 1;
            }
        };
        push(&mut ranges, text);
        let mut pieces = ranges.split();
        push(&mut ranges, then);
        pieces.extend(ranges.finish());
        let of = |p: Piece<usize>| (p.units, p.frames.iter().map(|f| f.pts).collect::<Vec<_>>());
        pieces.into_iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(split("I0 P1", "P2 P3"), [(vec![0, 1], vec![0, 1]), (vec![0, 1, 2, 3], vec![2, 3])]);
    assert_eq!(split("I0 P1", "I2 P3"), [(vec![0, 1], vec![0, 1]), (vec![2, 3], vec![2, 3])]);
    // Leading pictures of the last start.
    assert_eq!(split("I0 P1 I4", "B2 B3"), [(vec![0, 1, 2], vec![0, 1, 4]), (vec![0, 1, 2, 3, 4], vec![2, 3])]);
    // Times that start over.
    assert_eq!(split("I5 P6 P7", "P6 P7"), [(vec![0, 1, 2], vec![5, 6, 7]), (vec![3, 4], vec![6, 7])]);
    assert_eq!(split("I5 P6", "P0 P1"), [(vec![0, 1], vec![5, 6]), (vec![2, 3], vec![0, 1])]);
}

#[test]
fn what_comes_long_before_the_first_wanted_frame_is_not_kept() {
    let mut ranges = Ranges::new(100, Mode::Keyframe);
    for (i, unit) in closed(1000, 10).into_iter().enumerate() {
        ranges.push(i, Unit { wanted: i >= 905, ..unit }).unwrap();
        assert!(ranges.units.len() <= 30 || i >= 905, "{} at {i}", ranges.units.len());
    }
    let pieces = ranges.finish();
    assert_eq!((pieces[0].units.first(), pieces[0].frames.len()), (Some(&900), 95));
}

#[test]
fn a_chunk_has_the_frames_before_and_behind_it_that_its_filters_need() {
    let needs = Needs { before: 1, after: 1, fps: None };
    let pieces = cut_for(&closed(90, 3), 30, Mode::Fixed, needs).unwrap();
    assert_eq!(pieces.iter().map(|p| p.context.clone()).collect::<Vec<_>>(), [vec![30], vec![29, 60], vec![59]]);
    let units: Vec<_> = pieces.iter().map(|p| (p.units[0], p.units[p.units.len() - 1])).collect();
    assert_eq!(units, [(0, 30), (27, 60), (57, 89)]);
    assert_eq!(cut_for(&closed(90, 15), 30, Mode::Fixed, needs), Err(Uncuttable::Twice(32, 90)));
}

#[test]
fn chunks_are_as_long_as_asked_for_in_the_frames_that_come_out() {
    let second = 1_000_000_000;
    let units: Vec<Unit> = closed(100, 10)
        .into_iter()
        .map(|u| Unit { pts: u.pts.map(|n| n * second / 25), duration: Some(second / 25), ..u })
        .collect();
    let lengths = |n, d, target, mode| {
        let needs = Needs { before: 0, after: 0, fps: Fps::new(n, d) };
        let pieces = cut_for(&units, target, mode, needs).unwrap();
        let times: Vec<u64> = pieces.iter().flat_map(|p| p.frames.iter().map(|f| f.pts)).collect();
        let tick = u64::from(d) * second / u64::from(n);
        assert_eq!(times, (0..times.len() as u64).map(|i| i * tick).collect::<Vec<_>>());
        pieces.iter().map(|p| (p.frames.len(), p.sources[0].number)).collect::<Vec<_>>()
    };
    assert_eq!(lengths(50, 1, 75, Mode::Fixed), [(75, 0), (75, 37), (50, 75)]);
    assert_eq!(lengths(50, 1, 75, Mode::Keyframe), [(80, 0), (80, 40), (40, 80)]);
    assert_eq!(lengths(5, 1, 10, Mode::Fixed), [(10, 2), (10, 52)]);
    assert_eq!(lengths(5, 1, 9, Mode::Keyframe), [(8, 2), (8, 42), (4, 82)]);
}

#[test]
fn a_pause_that_is_told_between_pictures_that_change_places_ends_nothing() {
    let taken = |text: &str, at: usize, duration| {
        let units: Vec<Unit> = stream(text).into_iter().map(|unit| Unit { duration, ..unit }).collect();
        let mut ranges = Ranges::new(9, Mode::Keyframe);
        let mut pieces = Vec::new();
        for (i, unit) in units.iter().enumerate() {
            if i == at {
                pieces.extend(ranges.pause().into_iter().flatten());
            }
            pieces.extend(ranges.push(i, *unit).unwrap());
        }
        pieces.extend(ranges.finish());
        pieces.iter().map(|p| p.frames.len()).collect::<Vec<_>>()
    };
    assert_eq!(taken("I0 P1 P2 P3", 2, None), [2, 2]);
    // 4 has been decoded, and 3 is shown before it.
    assert_eq!(taken("I0 P2 B1 P4 B3", 4, Some(1)), [5]);
    assert_eq!(taken("I0 P2 B1 P4 B3", 3, Some(1)), [3, 2]);
    assert_eq!(taken("I0 P2 B1 P4 B3", 3, None), [5]);
}

#[test]
fn frames_that_are_left_out_are_still_there_for_the_filters() {
    let second = 1_000_000_000;
    let times = |n: u64| n * second / 20;
    let units: Vec<Unit> =
        closed(40, 10).into_iter().map(|u| Unit { pts: u.pts.map(times), duration: Some(second / 20), ..u }).collect();
    let needs = Needs { before: 1, after: 1, fps: Fps::new(10, 1) };
    let pieces = cut_for(&units, 10, Mode::Fixed, needs).unwrap();
    assert_eq!(pieces.iter().map(|p| p.frames.len()).collect::<Vec<_>>(), [10, 10]);
    assert_eq!(pieces[0].sources.iter().map(|s| s.number).collect::<Vec<_>>(), (0..20).step_by(2).collect::<Vec<_>>());
    let between = |n: u64| (0..n).filter(|i| i % 2 == 1).map(times).collect::<Vec<_>>();
    assert_eq!(pieces[0].context, between(20));
    assert_eq!(pieces[1].context[0], times(19));
}

proptest! {
    #[test]
    fn every_frame_is_in_one_chunk_and_its_unit_is_decoded_there(
        gop in 1usize..40, frames in 1usize..300, target in 1u64..80, reorder in 0u64..4, fixed: bool
    ) {
        let mut units = closed(frames, gop);
        // B pictures: every so many are decoded after the one that is shown behind them.
        for i in (1..units.len()).step_by(reorder as usize + 2) {
            if units[i].start.is_none() && units[i - 1].start.is_none() {
                units.swap(i - 1, i);
            }
        }
        let mode = if fixed { Mode::Fixed } else { Mode::Keyframe };
        let mut ranges = Ranges::new(target, mode);
        let mut pieces = Vec::new();
        for (i, unit) in units.iter().enumerate() {
            pieces.extend(ranges.push(i, *unit).unwrap());
            // What a chunk to come may need, and no more.
            let most = 2 * target as usize + 2 * gop + MOST_REORDERED;
            prop_assert!(ranges.units.len() <= most, "{} of {most}", ranges.units.len());
        }
        pieces.extend(ranges.finish());
        let all: Vec<u64> = pieces.iter().flat_map(|p| p.frames.iter().map(|f| f.pts)).collect();
        prop_assert_eq!(all, (0..frames as u64).collect::<Vec<_>>());
        for piece in &pieces {
            let taken = times(&units, piece);
            prop_assert!(piece.frames.iter().all(|f| taken.contains(&f.pts)));
            prop_assert!(units[piece.units[0]].start.is_some());
        }
        let all: Vec<usize> = pieces.iter().flat_map(|p| p.units.clone()).collect();
        let twice = all.len() - all.iter().collect::<BTreeSet<_>>().len();
        prop_assert!(fixed || twice * 4 <= frames, "{twice} of {frames}");
    }
}
