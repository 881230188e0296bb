//! Where scenes begin in compressed video, known before it is cut.
//!
//! The units are cut into *stretches* at places where decoding may start. Each is decoded and looked through by itself, and the
//! next one's first frames with it, so that it is known of every frame whether a scene begins with it. Several are looked
//! through at once, some way ahead of the encoders; what comes of one depends on its units alone.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::coded::{Held, coded_units};
use crate::chunk::{Mode, Nanos, Needs, Piece, Ranges, Uncuttable, Unit};
use crate::lane::{CodedUnit, LaneError, Wanted, WantedFrame};
use crate::scenes::AHEAD;

/// Frames of a stretch, about: what is decoded of the next one is a small part of it, and several are soon there.
pub(super) const STRETCH: u64 = 120;

/// What is found out about a stretch.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The times of frames with which scenes begin.
    outcome: Mutex<Option<Result<Vec<Nanos>, LaneError>>>,
    done: Condvar,
}

impl Survey {
    /// Says what came of it, once.
    pub(super) fn conclude(&self, outcome: Result<Vec<Nanos>, LaneError>) {
        self.outcome().get_or_insert(outcome);
        self.done.notify_all();
    }

    /// Waits until it is over.
    pub(super) fn wait(&self) {
        let _over = self.done.wait_while(self.outcome(), |outcome| outcome.is_none());
    }

    fn take(&self) -> Option<Result<Vec<Nanos>, LaneError>> {
        self.outcome().take()
    }

    fn outcome(&self) -> MutexGuard<'_, Option<Result<Vec<Nanos>, LaneError>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a stretch looked through: the frames that its units are to make, and the units.
pub(super) type Look<'a> = &'a dyn Fn(Wanted, Vec<CodedUnit>) -> Arc<Survey>;

/// How far a survey tells of frames: those after the first time, up to the last.
#[derive(Debug)]
struct Ahead {
    survey: Arc<Survey>,
    after: Nanos,
    until: Nanos,
}

/// Holds units back until it is known whether scenes begin with their frames.
#[derive(Debug)]
pub(super) struct Scout {
    stretches: Ranges<Held>,
    waiting: VecDeque<(Held, Unit)>,
    surveys: VecDeque<Ahead>,
    scenes: BTreeSet<Nanos>,
    /// It is known of all frames up to this one.
    known: Option<Nanos>,
    /// Bytes of the units that wait.
    bytes: u64,
    /// So many surveys may be on their way.
    most: usize,
}

impl Scout {
    /// With so many surveys at once.
    pub(super) fn new(most: usize) -> Self {
        Self {
            stretches: Ranges::new(STRETCH, Mode::Keyframe).needing(Needs { after: AHEAD, ..Needs::default() }),
            waiting: VecDeque::new(),
            surveys: VecDeque::new(),
            scenes: BTreeSet::new(),
            known: None,
            bytes: 0,
            most,
        }
    }

    /// One for what comes after a flush.
    pub(super) fn after_flush(&self) -> Self {
        Self::new(self.most)
    }

    /// None waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next unit.
    pub(super) fn push(&mut self, held: Held, unit: Unit, look: Look<'_>) -> Result<(), Uncuttable> {
        let pieces = self.stretches.push(held.clone(), unit)?;
        self.bytes += held.size();
        self.waiting.push_back((held, unit));
        pieces.into_iter().for_each(|piece| self.begin(piece, look));
        Ok(())
    }

    /// Nothing follows that shares a chunk with it; what does may `need` it to be decoded.
    pub(super) fn end(&mut self, needs: bool, look: Look<'_>) {
        let pieces = if needs { self.stretches.split() } else { self.stretches.finish() };
        pieces.into_iter().for_each(|piece| self.begin(piece, look));
    }

    fn begin(&mut self, piece: Piece<Held>, look: Look<'_>) {
        let Piece { units, start, sources, context, .. } = piece;
        let times: Vec<Nanos> = sources.iter().map(|own| own.pts).chain(context.iter().copied()).collect();
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return };
        let (after, until) = (first.pts, context.first().copied().unwrap_or(last.pts));
        let frame = |(number, pts): (u64, &Nanos)| WantedFrame { pts: *pts, shown: *pts, length: None, number };
        let wanted = Wanted::new(start, (0..).zip(&times).map(frame).collect(), Vec::new());
        let survey = look(wanted, coded_units(units, start));
        self.surveys.push_back(Ahead { survey, after, until });
    }

    /// What has to be waited for: the first survey, where there are too many of them, units that wait have more than so
    /// many bytes, or `all` are wanted.
    pub(super) fn awaited(&self, all: bool, most_bytes: u64) -> Option<Arc<Survey>> {
        let is_much = self.surveys.len() > self.most || self.bytes > most_bytes;
        let first = self.surveys.front().filter(|_| all || is_much);
        first.map(|ahead| ahead.survey.clone())
    }

    /// The units whose frames are known by now; all of them, where nothing is to come and all surveys are over.
    pub(super) fn settled(&mut self, has_ended: bool) -> Result<Vec<(Held, Unit)>, LaneError> {
        while let Some(outcome) = self.surveys.front().and_then(|ahead| ahead.survey.take()) {
            let Some(Ahead { after, until, .. }) = self.surveys.pop_front() else { break };
            self.scenes.extend(outcome?.into_iter().filter(|pts| (after + 1..=until).contains(pts)));
            self.known = self.known.max(Some(until));
        }
        let all = has_ended && self.surveys.is_empty();
        let mut ready = Vec::new();
        while let Some((_, unit)) = self.waiting.front() {
            let is_looked_at = unit.wanted && unit.shown > 0;
            let is_known = unit.pts.is_none_or(|pts| self.known.is_some_and(|known| pts <= known));
            let is_ready = all || !is_looked_at || is_known;
            let Some((held, unit)) = self.waiting.pop_front_if(|_| is_ready) else { break };
            self.bytes -= held.size();
            let scene = unit.pts.is_some_and(|pts| self.scenes.remove(&pts));
            ready.push((held, Unit { scene, ..unit }));
        }
        if all {
            (self.known, self.scenes) = (None, BTreeSet::new());
        }
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::chunk::Start;
    use crate::store::Kept;

    /// A stretch that somebody looks at: its survey, and the times of its frames.
    type Looked = (Arc<Survey>, Vec<Nanos>);

    fn unit(pts: Nanos) -> (Held, Unit) {
        let start = pts.is_multiple_of(50).then_some(Start::Clean);
        (Held::from(Kept::whole(gst::Buffer::new())), Unit { start, ..Unit::new(Some(pts), None, None) })
    }

    /// Those of so many frames, of which the surveys are concluded in this order once all are pushed.
    fn scouted(frames: u64, scenes: &[Nanos], order: fn(&mut Vec<Looked>)) -> Vec<(Nanos, bool)> {
        gst::init().unwrap();
        let looked = RefCell::<Vec<Looked>>::default();
        let look = |wanted: Wanted, units: Vec<CodedUnit>| {
            assert!(!units.is_empty());
            let survey = Arc::<Survey>::default();
            looked.borrow_mut().push((survey.clone(), wanted.times().collect()));
            survey
        };
        let (mut scout, mut came) = (Scout::new(2), Vec::new());
        for pts in 0..frames {
            let (held, unit) = unit(pts);
            scout.push(held, unit, &look).unwrap();
            came.extend(scout.settled(false).unwrap());
        }
        scout.end(true, &look);
        assert!(came.is_empty(), "nothing is known yet");
        assert_eq!(scout.awaited(true, 0).is_some(), frames > 0);
        let mut looked = looked.take();
        order(&mut looked);
        for (survey, times) in looked {
            survey.conclude(Ok(times.into_iter().filter(|pts| scenes.contains(pts)).collect()));
            survey.wait();
            came.extend(scout.settled(false).unwrap());
        }
        came.extend(scout.settled(true).unwrap());
        assert!(scout.is_empty() && scout.awaited(true, 0).is_none());
        came.into_iter().map(|(_, unit)| (unit.pts.unwrap(), unit.scene)).collect()
    }

    #[test]
    fn every_frame_is_known_whoever_is_done_first() {
        let scenes = [0, 3, 99, 100, 150, 299];
        let expected: Vec<_> = (0..300).map(|pts| (pts, pts > 0 && scenes.contains(&pts))).collect();
        assert_eq!(scouted(300, &scenes, |_| {}), expected);
        assert_eq!(scouted(300, &scenes, |looked| looked.reverse()), expected);
        assert_eq!(scouted(0, &[], |_| {}), []);
        assert_eq!(scouted(1, &[0], |_| {}), [(0, false)]);
    }

    #[test]
    fn a_survey_that_failed_is_told() {
        gst::init().unwrap();
        let mut scout = Scout::new(2);
        let look = |_, _| {
            let survey = Arc::<Survey>::default();
            survey.conclude(Err(LaneError::Nothing));
            survey
        };
        let (held, unit) = unit(0);
        scout.push(held, unit, &look).unwrap();
        scout.end(false, &look);
        assert!(matches!(scout.settled(true), Err(LaneError::Nothing)));
    }
}
