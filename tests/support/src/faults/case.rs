//! A run and what befalls it, made of a seed alone.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::film::{RECIPES, Recipe};
use crate::meddler::Mischief;
use crate::relay::{Line, Rate};

/// A worker that stands still or is cut off comes back within so many seconds, or never.
const LONGEST: u64 = 20;
/// How long a run may wait for workers that come back: a dead connection is seen after 20 s, a dial takes 5, and there are
/// up to 10 between two.
const PATIENT: u64 = 60;
/// Workers of a run.
const MOST_MEMBERS: usize = 4;

/// A run with workers.
#[derive(Debug)]
pub struct Case {
    /// What it was made of.
    pub seed: u64,
    /// What is encoded.
    pub recipe: &'static Recipe,
    /// `-w`.
    pub here: u32,
    /// `-worker-timeout`.
    pub worker_timeout: Duration,
    /// `-lane-timeout`, where it is not what it is by default.
    pub lane_timeout: Option<Duration>,
    /// The workers.
    pub members: Vec<Member>,
    /// What befalls them.
    pub steps: Vec<Step>,
    /// They all go, and none comes back.
    pub all_go: bool,
}

/// A worker.
#[derive(Debug)]
pub struct Member {
    /// How the coordinator and it meet.
    pub way: Way,
    /// It is started when so many chunks are done.
    pub comes: u32,
}

/// How the coordinator and a worker meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// It listens.
    Listens,
    /// It listens at the other end of a relay.
    Relayed(Line),
    /// It joins.
    Joins,
    /// It joins through a relay.
    JoinsRelayed(Line),
    /// It listens, and somebody spoils its results.
    Meddled(Mischief),
}

/// What befalls a worker when so many chunks are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// So many chunks of the workers.
    pub after: u32,
    /// Which worker.
    pub member: usize,
    /// What befalls it.
    pub fault: Fault,
}

/// What befalls a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGTERM: it drains.
    Leave,
    /// SIGSTOP, and SIGCONT so much later.
    Stop(Duration),
    /// Its relay lets nothing through for so long, or for good.
    Cut(Option<Duration>),
    /// It is ended by SIGKILL or asked by SIGTERM, and started anew at another port if it has a relay.
    Restart {
        /// By SIGKILL.
        kill: bool,
    },
}

impl Way {
    fn has_relay(self) -> bool {
        matches!(self, Self::Relayed(_) | Self::JoinsRelayed(_))
    }

    /// It dials the coordinator.
    pub(super) fn joins(self) -> bool {
        matches!(self, Self::Joins | Self::JoinsRelayed(_))
    }
}

impl Case {
    /// The case of this seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let recipe = &RECIPES[if random.bool() { random.usize(..2) } else { random.usize(..RECIPES.len()) }];
        let mut case = Self {
            seed,
            recipe,
            here: 0,
            worker_timeout: Duration::from_secs(PATIENT),
            lane_timeout: None,
            members: Vec::new(),
            steps: Vec::new(),
            all_go: false,
        };
        match random.u8(..10) {
            0..2 => case.all_go(&mut random),
            2 => case.all_come_back(&mut random),
            _ => case.some_go(&mut random),
        }
        case.steps.sort_by_key(|step| step.after);
        case
    }

    /// All go at the same time, and nobody comes.
    fn all_go(&mut self, random: &mut Rng) {
        self.all_go = true;
        self.worker_timeout = Duration::from_secs(random.u64(4..=6));
        let after = random.u32(1..=3);
        for member in 0..random.usize(2..=3) {
            let way = way(random, self.recipe.is_raw);
            self.members.push(Member { way, comes: 0 });
            let fault = match random.u8(..3) {
                0 if way.has_relay() => Fault::Cut(None),
                1 => Fault::Leave,
                _ => Fault::Kill,
            };
            self.steps.push(Step { after, member, fault });
        }
    }

    /// Nobody is spared, but they all come back.
    fn all_come_back(&mut self, random: &mut Rng) {
        for member in 0..2 {
            let way = way(random, self.recipe.is_raw);
            self.members.push(Member { way, comes: 0 });
            self.steps.push(Step { after: random.u32(1..=3), member, fault: passing(random, way) });
        }
    }

    /// One is spared, a worker or this machine.
    ///
    /// A small `-lane-timeout` takes a machine that does not answer for one that fails, and a chunk that fails on three ends
    /// the run: no more than two are not spared then.
    fn some_go(&mut self, random: &mut Rng) {
        self.here = u32::from(random.u8(..3) == 0);
        let mischief = random.bool().then(|| Mischief::ALL[random.usize(..Mischief::ALL.len())]);
        if mischief == Some(Mischief::Silent) || random.bool() {
            self.lane_timeout = Some(Duration::from_secs(random.u64(5..=9)));
        }
        let most = if self.lane_timeout.is_some() { 2 } else { 3 };
        let unsound = random.usize(1..=most);
        let least = usize::from(self.here == 0 || unsound == 1);
        for _ in 0..random.usize(least..=MOST_MEMBERS - most) {
            let way = way(random, self.recipe.is_raw);
            self.members.push(Member { way, comes: if self.here > 0 { late(random, way) } else { 0 } });
        }
        for n in 0..unsound {
            let member = self.members.len();
            if let Some(mischief) = mischief.filter(|_| n == 0) {
                self.members.push(Member { way: Way::Meddled(mischief), comes: 0 });
                continue;
            }
            let way = way(random, self.recipe.is_raw);
            let comes = late(random, way);
            self.members.push(Member { way, comes });
            let fault = match random.u8(..6) {
                0 | 1 => Fault::Kill,
                2 if way.has_relay() => Fault::Cut(None),
                2 => Fault::Leave,
                _ => passing(random, way),
            };
            self.steps.push(Step { after: comes + random.u32(0..=4), member, fault });
        }
    }
}

fn way(random: &mut Rng, is_raw: bool) -> Way {
    match random.u8(..6) {
        0 | 1 => Way::Listens,
        2 | 3 => Way::Relayed(line(random, is_raw)),
        4 => Way::Joins,
        _ => Way::JoinsRelayed(line(random, is_raw)),
    }
}

/// When a worker comes: at once, or later. One whose address has to be known before must be there.
fn late(random: &mut Rng, way: Way) -> u32 {
    if way != Way::Listens && random.u8(..3) == 0 { random.u32(1..=3) } else { 0 }
}

/// A good line, or one that is not. Raw pictures are so many bytes that a bad one would take minutes.
fn line(random: &mut Rng, is_raw: bool) -> Line {
    if random.bool() {
        return Line::default();
    }
    let (delay, loss, mbits) = if is_raw { (10, 0.002, 100..=400) } else { (80, 0.03, 4..=40) };
    let mbits = random.u64(mbits);
    Line {
        delay: Duration::from_millis(random.u64(1..=delay)),
        late: 0.02 * random.f64(),
        loss: loss * random.f64(),
        rate: random.bool().then_some(Rate { bits: mbits * 1_000_000, queue: mbits * 25_000 }),
    }
}

/// Something after which the worker is there again.
fn passing(random: &mut Rng, way: Way) -> Fault {
    let time = Duration::from_secs(random.u64(1..=LONGEST));
    match random.u8(..3) {
        0 => Fault::Stop(time),
        1 if way.has_relay() => Fault::Cut(Some(time)),
        _ => Fault::Restart { kill: random.bool() },
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}, -w {}", self.seed, self.recipe.name, self.here)?;
        if let Some(timeout) = self.lane_timeout {
            write!(f, ", -lane-timeout {}", timeout.as_secs())?;
        }
        for (n, Member { way, comes }) in self.members.iter().enumerate() {
            write!(f, "; {n} {way}")?;
            if *comes > 0 {
                write!(f, ", comes after {comes}")?;
            }
            for step in self.steps.iter().filter(|step| step.member == n) {
                write!(f, ", {} after {}", step.fault, step.after)?;
            }
        }
        if self.all_go { write!(f, "; -worker-timeout {}", self.worker_timeout.as_secs()) } else { Ok(()) }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listens => write!(f, "listens"),
            Self::Relayed(line) if *line == Line::default() => write!(f, "listens behind a relay"),
            Self::Relayed(line) => write!(f, "listens behind a relay ({line})"),
            Self::Joins => write!(f, "joins"),
            Self::JoinsRelayed(line) if *line == Line::default() => write!(f, "joins by a relay"),
            Self::JoinsRelayed(line) => write!(f, "joins by a relay ({line})"),
            Self::Meddled(mischief) => write!(f, "meddled with ({mischief:?})"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => write!(f, "killed"),
            Self::Leave => write!(f, "told to go"),
            Self::Stop(time) => write!(f, "stopped for {} s", time.as_secs()),
            Self::Cut(Some(time)) => write!(f, "cut off for {} s", time.as_secs()),
            Self::Cut(None) => write!(f, "cut off"),
            Self::Restart { kill: true } => write!(f, "killed and restarted"),
            Self::Restart { kill: false } => write!(f, "told to go and restarted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn someone_is_left_unless_all_go() {
        for case in (0..2000).map(Case::of) {
            assert!((2..=MOST_MEMBERS).contains(&case.members.len()), "{case}");
            assert_eq!(case.to_string(), Case::of(case.seed).to_string());
            let for_good = |n: usize| {
                let is_meddled = matches!(case.members[n].way, Way::Meddled(_));
                let goes = |fault| matches!(fault, Fault::Kill | Fault::Leave | Fault::Cut(None));
                is_meddled || case.steps.iter().any(|step| step.member == n && goes(step.fault))
            };
            let left = (0..case.members.len()).filter(|n| !for_good(*n)).count();
            assert_eq!(case.all_go, left == 0 && case.here == 0, "{case}");
            let relays = |step: &Step| case.members[step.member].way.has_relay();
            assert!(case.steps.iter().all(|step| !matches!(step.fault, Fault::Cut(_)) || relays(step)), "{case}");
        }
    }
}
