//! How long runs take with machines of which one is slow, in time that is only counted.

use std::collections::VecDeque;

use super::*;

/// What a chunk takes most machines, on average.
const USUAL: u64 = 1000;

/// Machines of one slot each, and a source that is never late.
struct Fleet {
    dispatch: Dispatch,
    machines: Vec<Machine>,
    /// Chunks are alike with seed 0; with any other the longest takes three times as long as the shortest.
    seed: u64,
    now: u64,
    /// So many results fill the memory for them.
    most: usize,
    done: usize,
}

#[derive(Default)]
struct Machine {
    /// What a usual chunk takes it.
    time: u64,
    /// What it encodes, and when that is done.
    at_work: Option<(ChunkId, LaneId, u64)>,
    waiting: VecDeque<(ChunkId, LaneId)>,
}

impl Fleet {
    /// When the last of so many chunks is done.
    fn time(times: &[u64], chunks: u64, seed: u64) -> u64 {
        Self::time_with(times, chunks, seed, usize::MAX)
    }

    fn time_with(times: &[u64], chunks: u64, seed: u64, most: usize) -> u64 {
        let machines = times.iter().map(|time| Machine { time: *time, ..Machine::default() }).collect();
        let mut fleet = Self { dispatch: Dispatch::new(2, 0, 3), machines, seed, now: 0, most, done: 0 };
        for site in (1..).map(Site).take(times.len()) {
            fleet.tell(Event::Slots(site, 1));
            (0..2).for_each(|lane| fleet.tell(Event::LaneIdle(LaneId(site.0 * 10 + lane), site)));
        }
        let mut opened = 0;
        while fleet.dispatch.delivered() < chunks {
            while opened < chunks && fleet.reads_on() {
                fleet.tell(Event::Opened(ChunkId(opened), 9));
                opened += 1;
                if opened == chunks {
                    fleet.tell(Event::Ended);
                }
            }
            let at_work = fleet.machines.iter().filter_map(|machine| machine.at_work);
            let (chunk, lane, until) = at_work.min_by_key(|(.., until)| *until).expect("somebody works");
            fleet.now = until;
            fleet.hold(fleet.done + 1);
            fleet.tell(Event::Done(chunk, lane));
            fleet.over(chunk, lane);
            while let Some(due) = fleet.dispatch.due() {
                fleet.hold(fleet.done - 1);
                fleet.tell(Event::Delivered(due));
            }
        }
        fleet.now
    }

    /// No more chunks wait than are of use.
    fn reads_on(&self) -> bool {
        self.done < self.most && self.dispatch.has_room() && self.dispatch.waiting().count() <= self.machines.len()
    }

    fn hold(&mut self, done: usize) {
        let was_full = self.done >= self.most;
        self.done = done;
        if was_full != (done >= self.most) {
            self.tell(Event::Full(!was_full));
        }
    }

    fn tell(&mut self, event: Event) {
        for action in self.dispatch.handle(event) {
            match action {
                Action::Start(chunk, lane) => {
                    self.machine(lane).waiting.push_back((chunk, lane));
                    self.begin(lane);
                }
                Action::CallOff(chunk, lane) => self.over(chunk, lane),
                Action::GiveUp(_) | Action::PutAside(_) => panic!("{action:?}"),
            }
        }
    }

    fn machine(&mut self, lane: LaneId) -> &mut Machine {
        &mut self.machines[lane.0 as usize / 10 - 1]
    }

    fn begin(&mut self, lane: LaneId) {
        let (now, seed) = (self.now, self.seed);
        let machine = self.machine(lane);
        if machine.at_work.is_some() {
            return;
        }
        let Some((chunk, lane)) = machine.waiting.pop_front() else { return };
        machine.at_work = Some((chunk, lane, now + machine.time * length(chunk, seed) / USUAL));
        self.tell(Event::Begun(chunk, lane));
    }

    /// The lane has this chunk no more.
    fn over(&mut self, chunk: ChunkId, lane: LaneId) {
        let machine = self.machine(lane);
        machine.at_work.take_if(|(at, ..)| *at == chunk);
        machine.waiting.retain(|(at, _)| *at != chunk);
        self.begin(lane);
        self.tell(Event::LaneIdle(lane, Site(lane.0 / 10)));
    }
}

fn length(chunk: ChunkId, seed: u64) -> u64 {
    let mixed = (chunk.0 + 1).wrapping_mul(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    if seed == 0 { USUAL } else { USUAL / 2 + mixed % (USUAL + 1) }
}

const SEEDS: std::ops::Range<u64> = 0..10;

#[test]
fn with_one_machine_of_four_ten_times_slower_a_run_takes_as_long_as_with_the_other_three() {
    for (chunks, seed) in [20, 40, 100, 400].into_iter().flat_map(|chunks| SEEDS.map(move |seed| (chunks, seed))) {
        let three = Fleet::time(&[USUAL; 3], chunks, seed);
        // Whichever it is, it is asked as often as any other.
        for slow in 0..4 {
            let mut times = [USUAL; 4];
            times[slow] *= 10;
            let four = Fleet::time(&times, chunks, seed);
            assert!(four * 100 <= three * 115, "{chunks} chunks, seed {seed}: {four} with it, {three} without");
        }
    }
}

#[test]
fn machines_that_are_less_slow_are_of_use() {
    for (slow, most) in [(2, 92), (3, 95), (5, 100)] {
        for seed in SEEDS {
            let three = Fleet::time(&[USUAL; 3], 100, seed);
            let four = Fleet::time(&[USUAL, USUAL * slow, USUAL, USUAL], 100, seed);
            assert!(four * 100 <= three * most, "{slow} times slower, seed {seed}: {four} with it, {three} without");
        }
    }
}

#[test]
fn two_slow_machines_keep_nobody_waiting_either() {
    for seed in SEEDS {
        let two = Fleet::time(&[USUAL; 2], 100, seed);
        let four = Fleet::time(&[USUAL * 10, USUAL * 30, USUAL, USUAL], 100, seed);
        assert!(four * 100 <= two * 115, "seed {seed}: {four} with them, {two} without");
    }
}

#[test]
fn a_slow_machine_makes_nobody_wait_where_results_have_little_room() {
    for seed in SEEDS {
        let three = Fleet::time_with(&[USUAL; 3], 100, seed, 2);
        let four = Fleet::time_with(&[USUAL * 10, USUAL, USUAL, USUAL], 100, seed, 2);
        assert!(four * 100 <= three * 150, "seed {seed}: {four} with it, {three} without");
    }
}
