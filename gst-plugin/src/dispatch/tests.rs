//! Runs of chunks and lanes, without either.

use proptest::prelude::*;

use super::*;

mod pace;

#[test]
fn chunks_start_in_order_on_whichever_lane_is_free() {
    let mut d = Dispatch::new(4, 2, 3);
    assert!(d.handle(Event::Opened(ChunkId(0), 9)).is_empty());
    assert_eq!(d.handle(Event::LaneIdle(LaneId(1), Site::HERE)), [Action::Start(ChunkId(0), LaneId(1))]);
    assert!(d.handle(Event::LaneIdle(LaneId(0), Site::HERE)).is_empty());
    assert_eq!(d.handle(Event::Opened(ChunkId(1), 9)), [Action::Start(ChunkId(1), LaneId(0))]);
}

#[test]
fn a_result_waits_for_those_before_it() {
    let mut d = Dispatch::new(4, 2, 3);
    for n in 0..2 {
        d.handle(Event::LaneIdle(LaneId(n), Site::HERE));
        d.handle(Event::Opened(ChunkId(n.into()), 9));
    }
    d.handle(Event::Done(ChunkId(1), LaneId(1)));
    assert_eq!(d.due(), None);
    d.handle(Event::Done(ChunkId(0), LaneId(0)));
    assert_eq!(d.due(), Some(ChunkId(0)));
    d.handle(Event::Delivered(ChunkId(0)));
    assert_eq!(d.due(), Some(ChunkId(1)));
}

#[test]
fn the_window_bounds_what_is_open() {
    let mut d = Dispatch::new(2, 2, 3);
    d.handle(Event::Opened(ChunkId(0), 9));
    assert!(d.has_room());
    d.handle(Event::Opened(ChunkId(1), 9));
    assert!(!d.has_room());
    d.handle(Event::LaneIdle(LaneId(0), Site::HERE));
    d.handle(Event::Done(ChunkId(0), LaneId(0)));
    assert!(!d.has_room());
    d.handle(Event::Delivered(ChunkId(0)));
    assert!(d.has_room());
}

#[test]
fn the_last_chunks_start_together_and_none_before() {
    let mut d = Dispatch::new(8, 2, 3);
    for lane in 0..Dispatch::lanes(2) {
        d.handle(Event::LaneIdle(LaneId(lane), Site::HERE));
    }
    let started = |actions: Vec<Action>| starts(&actions).into_iter().map(|(c, _)| c.0).collect::<Vec<_>>();
    let opened: Vec<_> = (0..5).flat_map(|n| started(d.handle(Event::Opened(ChunkId(n), 9)))).collect();
    assert_eq!(opened, [0, 1]);
    assert!(d.handle(Event::Ended).is_empty());
    // Nothing is lost yet if two of four wait.
    assert_eq!(started(d.handle(Event::Done(ChunkId(0), LaneId(0)))), [2]);
    assert!(d.handle(Event::LaneIdle(LaneId(0), Site::HERE)).is_empty());
    assert_eq!(started(d.handle(Event::Done(ChunkId(1), LaneId(1)))), [3, 4]);
}

#[test]
fn a_short_last_chunk_keeps_no_long_one_waiting() {
    let mut d = Dispatch::new(8, 2, 3);
    (0..Dispatch::lanes(2)).for_each(|lane| drop(d.handle(Event::LaneIdle(LaneId(lane), Site::HERE))));
    for (n, frames) in [(0, 250), (1, 250), (2, 250), (3, 250), (4, 70)] {
        d.handle(Event::Opened(ChunkId(n), frames));
    }
    d.handle(Event::Ended);
    assert_eq!(d.handle(Event::Done(ChunkId(0), LaneId(0))).len(), 2);
    assert_eq!(d.handle(Event::LaneIdle(LaneId(0), Site::HERE)).len(), 1);
}

#[test]
fn what_goes_on_after_an_end_goes_on_as_before() {
    let mut d = Dispatch::new(8, 1, 3);
    (0..2).for_each(|lane| drop(d.handle(Event::LaneIdle(LaneId(lane), Site::HERE))));
    d.handle(Event::Ended);
    assert_eq!(d.handle(Event::Opened(ChunkId(0), 9)).len(), 1);
    assert!(d.handle(Event::Opened(ChunkId(1), 9)).is_empty());
}

/// Two lanes of a worker elsewhere with one slot.
fn worker(d: &mut Dispatch, site: u32) -> Vec<Action> {
    let mut actions = d.handle(Event::Slots(Site(site), 1));
    for lane in 0..2 {
        actions.extend(d.handle(Event::LaneIdle(LaneId(site * 10 + lane), Site(site))));
    }
    actions
}

fn open(d: &mut Dispatch, chunks: std::ops::Range<u64>) -> Vec<Action> {
    chunks.flat_map(|n| d.handle(Event::Opened(ChunkId(n), 9))).collect()
}

fn starts(actions: &[Action]) -> Vec<(ChunkId, LaneId)> {
    let start = |action: &Action| match *action {
        Action::Start(chunk, lane) => Some((chunk, lane)),
        _ => None,
    };
    actions.iter().filter_map(start).collect()
}

#[test]
fn what_a_lost_worker_had_goes_to_others_first_of_all() {
    let mut d = Dispatch::new(9, 0, 3);
    worker(&mut d, 1);
    worker(&mut d, 2);
    open(&mut d, 0..6);
    d.handle(Event::LaneGone(LaneId(10)));
    d.handle(Event::LaneGone(LaneId(11)));
    d.handle(Event::Done(ChunkId(2), LaneId(20)));
    assert_eq!(d.handle(Event::LaneIdle(LaneId(20), Site(2))), [Action::Start(ChunkId(0), LaneId(20))]);
    d.handle(Event::Done(ChunkId(3), LaneId(21)));
    assert_eq!(d.handle(Event::LaneIdle(LaneId(21), Site(2))), [Action::Start(ChunkId(1), LaneId(21))]);
}

#[test]
fn a_failed_chunk_goes_to_another_site_and_is_given_up_after_so_many() {
    let mut d = Dispatch::new(9, 0, 3);
    for site in 1..=3 {
        worker(&mut d, site);
    }
    let [(chunk, mut lane)] = starts(&open(&mut d, 0..1))[..] else { panic!("not started") };
    let mut sites = vec![lane.0 / 10];
    for _ in 0..2 {
        let actions = d.handle(Event::Failed(chunk, lane));
        let [(again, next)] = starts(&actions)[..] else { panic!("{actions:?}") };
        assert_eq!(again, chunk);
        lane = next;
        sites.push(lane.0 / 10);
    }
    sites.sort_unstable();
    assert_eq!(sites, [1, 2, 3]);
    assert!(d.handle(Event::Failed(chunk, lane)).contains(&Action::GiveUp(chunk)));
}

#[test]
fn a_site_that_fails_whatever_it_gets_is_put_aside() {
    let mut d = Dispatch::new(9, 0, 3);
    worker(&mut d, 1);
    let mut next = starts(&open(&mut d, 0..4));
    let mut aside = Vec::new();
    for _ in 0..3 {
        let (chunk, lane) = next.remove(0);
        aside.extend(d.handle(Event::Failed(chunk, lane)).into_iter().filter(|a| matches!(a, Action::PutAside(_))));
        next.extend(starts(&d.handle(Event::LaneIdle(lane, Site(1)))));
    }
    assert_eq!(aside, [Action::PutAside(Site(1))]);
    let (chunk, lane) = next[0];
    d.handle(Event::Lost(chunk, lane));
    assert!(d.handle(Event::LaneIdle(lane, Site(1))).is_empty());
    // Another one does what is left.
    assert_eq!(starts(&worker(&mut d, 2)).len(), 2);
}

#[test]
fn a_site_that_says_it_is_its_own_fault_is_put_aside_and_its_chunk_is_for_others() {
    let mut d = Dispatch::new(9, 0, 3);
    worker(&mut d, 1);
    let mut next = starts(&open(&mut d, 0..1));
    for time in 1..=3 {
        let (chunk, lane) = next.remove(0);
        let actions = d.handle(Event::Unable(chunk, lane));
        assert!(!actions.contains(&Action::GiveUp(chunk)), "{time}");
        assert_eq!(actions.contains(&Action::PutAside(Site(1))), time == 3);
        next.extend(starts(&actions));
        next.extend(starts(&d.handle(Event::LaneIdle(lane, Site(1)))));
    }
    assert!(next.is_empty(), "{next:?}");
    assert_eq!(starts(&worker(&mut d, 2)).len(), 1);
}

#[test]
fn a_site_that_is_put_aside_gets_no_more_though_what_it_still_brings_is_taken() {
    let mut d = Dispatch::new(9, 0, 3);
    worker(&mut d, 1);
    (12..14).for_each(|lane| drop(d.handle(Event::LaneIdle(LaneId(lane), Site(1)))));
    let all = starts(&open(&mut d, 0..6));
    for &(chunk, lane) in &all[1..] {
        d.handle(Event::Failed(chunk, lane));
    }
    let (chunk, lane) = all[0];
    d.handle(Event::Done(chunk, lane));
    assert_eq!(d.due(), Some(chunk));
    assert!(d.handle(Event::LaneIdle(lane, Site(1))).is_empty());
}

#[test]
fn the_window_grows_with_the_slots_that_there_are() {
    let mut d = Dispatch::new(2, 1, 3);
    open(&mut d, 0..2);
    assert!(!d.has_room());
    worker(&mut d, 1);
    open(&mut d, 2..4);
    assert!(!d.has_room());
    assert_eq!(d.slots_in_all(), 2);
    d.handle(Event::Slots(Site(1), 0));
    assert_eq!(d.slots_in_all(), 1);
}

#[test]
fn an_idle_site_takes_what_another_has_not_begun() {
    let mut d = Dispatch::new(2, 0, 3);
    worker(&mut d, 1);
    open(&mut d, 0..2);
    d.handle(Event::Begun(ChunkId(0), LaneId(10)));
    d.handle(Event::Ended);
    assert_eq!(worker(&mut d, 2), [Action::CallOff(ChunkId(1), LaneId(11)), Action::Start(ChunkId(1), LaneId(20))]);
    // It comes to rest there.
    assert!(d.handle(Event::LaneIdle(LaneId(11), Site(1))).is_empty());
}

#[test]
fn the_oldest_chunk_of_a_slow_site_is_done_elsewhere_as_well_and_the_first_result_counts() {
    let mut d = Dispatch::new(2, 1, 3);
    worker(&mut d, 1);
    open(&mut d, 0..1);
    d.handle(Event::Begun(ChunkId(0), LaneId(10)));
    assert!(d.handle(Event::LaneIdle(LaneId(0), Site::HERE)).is_empty(), "the window is not full");
    assert_eq!(d.handle(Event::Ended), [Action::Start(ChunkId(0), LaneId(0))]);
    assert_eq!(d.handle(Event::Done(ChunkId(0), LaneId(0))), [Action::CallOff(ChunkId(0), LaneId(10))]);
    // What comes too late is of no more use.
    assert!(d.handle(Event::Done(ChunkId(0), LaneId(10))).is_empty());
    assert_eq!(d.due(), Some(ChunkId(0)));
}

#[test]
fn one_machine_alone_does_nothing_twice() {
    let mut d = Dispatch::new(1, 3, 3);
    (0..6).for_each(|lane| drop(d.handle(Event::LaneIdle(LaneId(lane), Site::HERE))));
    assert_eq!(open(&mut d, 0..1).len(), 1);
    assert!(d.handle(Event::Ended).is_empty());
}

/// A run in which lanes do what chance tells them.
struct Run {
    dispatch: Dispatch,
    /// What each lane has, and whether it was called off.
    lanes: BTreeMap<LaneId, Option<(ChunkId, bool)>>,
    failed: BTreeMap<ChunkId, usize>,
    aside: BTreeSet<Site>,
    out: Vec<u64>,
}

impl Run {
    fn site(lane: LaneId) -> Site {
        Site(lane.0 / 10)
    }

    fn tell(&mut self, event: Event) {
        for action in self.dispatch.handle(event) {
            match action {
                Action::Start(chunk, lane) => {
                    let at = self.lanes.get_mut(&lane).unwrap();
                    assert_eq!(*at, None, "{lane:?} has a chunk");
                    *at = Some((chunk, false));
                    assert!(!self.aside.contains(&Self::site(lane)));
                    let with = self.lanes.values().flatten().filter(|(c, off)| *c == chunk && !off).count();
                    assert!(with <= 3, "{chunk} is with {with} lanes");
                }
                Action::CallOff(chunk, lane) => {
                    assert_eq!(self.lanes[&lane], Some((chunk, false)));
                    self.lanes.insert(lane, Some((chunk, true)));
                }
                Action::GiveUp(chunk) => panic!("{chunk} is given up"),
                Action::PutAside(site) => assert!(self.aside.insert(site)),
            }
        }
    }

    fn idle(&mut self, lane: LaneId) {
        self.lanes.insert(lane, None);
        self.tell(Event::LaneIdle(lane, Self::site(lane)));
    }

    /// The lane's attempt ends somehow.
    fn end(&mut self, lane: LaneId, how: u8) {
        let Some((chunk, is_off)) = self.lanes[&lane] else { return };
        if how == 3 && !is_off {
            return self.tell(Event::Begun(chunk, lane));
        }
        self.lanes.insert(lane, Some((chunk, true)));
        let failures = self.failed.entry(chunk).or_default();
        match how {
            _ if is_off => self.tell(Event::Lost(chunk, lane)),
            0 => self.tell(Event::Lost(chunk, lane)),
            1 if *failures < 2 => {
                *failures += 1;
                self.tell(Event::Failed(chunk, lane));
            }
            2 => {
                self.tell(Event::LaneGone(lane));
                self.lanes.remove(&lane);
            }
            _ => self.tell(Event::Done(chunk, lane)),
        }
        while let Some(due) = self.dispatch.due() {
            self.out.push(due.0);
            self.tell(Event::Delivered(due));
        }
        self.idle(lane);
    }
}

proptest! {
    #[test]
    fn every_chunk_is_delivered_once_and_in_order_whatever_becomes_of_lanes(
        workers in 1u32..4, sites in 0u32..4, slots in 1u32..3, window in 1u64..8, chunks in 0u64..30,
        picks in proptest::collection::vec((0usize..16, 0u8..12), 200)
    ) {
        let dispatch = Dispatch::new(window, workers, 3);
        let mut run =
            Run { dispatch, lanes: BTreeMap::new(), failed: BTreeMap::new(), aside: BTreeSet::new(), out: Vec::new() };
        (0..Dispatch::lanes(workers)).for_each(|lane| run.idle(LaneId(lane)));
        for site in 1..=sites {
            run.tell(Event::Slots(Site(site), slots));
            (0..=slots).for_each(|lane| run.idle(LaneId(site * 10 + lane)));
        }
        let mut opened = 0;
        // Chance ends, so that a run does.
        let mut picks = picks.into_iter().chain((0..).map(|n| (n, 9)));
        while (run.out.len() as u64) < chunks {
            while opened < chunks && run.dispatch.has_room() {
                run.tell(Event::Opened(ChunkId(opened), 9));
                opened += 1;
                if opened == chunks {
                    run.tell(Event::Ended);
                }
            }
            let busy: Vec<_> = run.lanes.iter().filter(|(_, at)| at.is_some()).map(|(lane, _)| *lane).collect();
            prop_assert!(!busy.is_empty(), "nothing runs and nothing is due");
            let (pick, how) = picks.next().unwrap();
            run.end(busy[pick % busy.len()], how);
            let here = run.lanes.iter().filter(|(lane, at)| lane.0 < 10 && at.is_some_and(|(_, off)| !off)).count();
            prop_assert!(here <= Dispatch::lanes(workers) as usize);
        }
        prop_assert_eq!(run.out, (0..chunks).collect::<Vec<_>>());
        prop_assert_eq!(run.dispatch.in_flight(), 0);
    }
}
