//! A bit rate for a whole stream: which quality each of its chunks gets, so that all of them together have the bytes that
//! are wanted. Pure: sizes in, trials out.
//!
//! Bits go where the picture needs them when all chunks have the same quality, which is what the second pass of x264 comes
//! to as well (its rate control of two passes looks for one rate factor for all frames). What is not known is which quality
//! that is. It is found in steps, each of which is done by all encoders at once:
//!
//! 1. *analysis*: every chunk by a fast setting of the encoder, which tells how the chunks compare;
//! 2. *samples*: some chunks by the setting that is wanted, which tells how much smaller than the analysis it is;
//! 3. all other chunks, with the quality that follows from both;
//! 4. what is still missing or too much is made up for by some chunks, spread over the stream, which get one step of
//!    quality more or less.
//!
//! How much smaller a chunk gets with each step of quality is taken from the trials themselves as soon as there are two
//! of it; between two, sizes are taken to fall evenly, so that each trial makes the next guess better. What comes next depends on the sizes of what was tried and on nothing else.

use std::collections::BTreeMap;

/// What quality means to an encoder: steps of which each makes a stream smaller by about the same part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The best, by its number.
    pub best: f64,
    /// The worst, which has the greater number.
    pub worst: f64,
    /// By how much a stream's size usually falls with one step: its natural logarithm.
    pub step: f64,
    /// How many times as large a stream usually is as its analysis with the same quality.
    pub analysis: f64,
}

/// What is wanted of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Bits for each second that it is shown.
    pub bits_per_second: u64,
    /// It may be so far off: 0.01 is a hundredth.
    pub tolerance: f64,
    /// The quality with which the search begins.
    pub guess: f64,
    /// What quality is.
    pub scale: Scale,
}

/// Which setting of the encoder a chunk is tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// A fast one.
    Analysis,
    /// The one that is wanted.
    Wanted,
}

/// One chunk, encoded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trial {
    /// Which chunk.
    pub chunk: usize,
    /// How it is encoded.
    pub setting: Setting,
    /// With which quality.
    pub quality: Quality,
}

/// A quality as encoders get it: in hundredths, so that equal ones are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quality(i32);

impl Quality {
    fn of(value: f64) -> Self {
        Self((value * 100.0).round() as i32)
    }

    /// Its number.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// So many chunks are sampled for each sample, and no fewer than that.
const EACH_SAMPLE: usize = 8;
const LEAST_SAMPLES: usize = 2;
/// An analysis this far from the quality that it leads to is made of the samples once more, with that one.
const VERY_FAR: f64 = 3.0;
/// A sample this far from the quality that it leads to says too little; so many are taken at most.
const FAR: f64 = 1.5;
const MOST_SAMPLINGS: usize = 3;
/// A chunk whose quality is this near to the others' need not be encoded again.
const NEAR: f64 = 1.1;
/// The steps of quality that a chunk gets more or less than others, to make up for what is missing.
const MAKES_UP: f64 = 1.0;
/// How often that is tried.
const MOST_CORRECTIONS: usize = 8;
/// It is stopped a little before the tolerance.
const WITHIN: f64 = 0.8;
/// Two trials of a chunk tell by how much its size falls when they are so far apart.
const APART: f64 = 0.3;
/// What falls are taken for at least and at most, as parts of the usual one.
const FALLS: (f64, f64) = (0.2, 4.0);
/// Steps by which a quality is searched: to less than a hundredth, whatever the scale.
const SEARCH: usize = 20;

/// Finds the quality of each chunk.
#[derive(Debug)]
pub struct Planner {
    target: Target,
    /// What all chunks together should have.
    bytes: f64,
    chunks: usize,
    /// The sizes of what was tried, of each chunk by quality.
    analysed: Vec<Sizes>,
    tried: Vec<Sizes>,
    /// The quality that each chunk has, once it has one.
    chosen: Vec<Option<Quality>>,
    /// The nearest so far, and how far off it is.
    best: Option<(f64, Vec<Option<Quality>>)>,
    stage: Stage,
    corrections: usize,
}

type Sizes = BTreeMap<Quality, u64>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Begin,
    Analysed,
    AnalysedAgain,
    Sampled(usize, Quality),
    All,
    Over,
}

impl Planner {
    /// For a stream that is shown for so many nanoseconds and has so many chunks.
    #[must_use]
    pub fn new(target: Target, duration: u64, chunks: usize) -> Self {
        let bytes = (target.bits_per_second as f64 / 8.0 * duration as f64 / 1e9).max(1.0);
        let stage = if chunks == 0 { Stage::Over } else { Stage::Begin };
        let (analysed, tried) = (vec![Sizes::new(); chunks], vec![Sizes::new(); chunks]);
        Self { target, bytes, chunks, analysed, tried, chosen: vec![None; chunks], best: None, stage, corrections: 0 }
    }

    /// The bytes that are wanted.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        self.bytes.round() as u64
    }

    /// A trial's size.
    pub fn learn(&mut self, trial: Trial, bytes: u64) {
        let sizes = match trial.setting {
            Setting::Analysis => &mut self.analysed,
            Setting::Wanted => &mut self.tried,
        };
        if let Some(sizes) = sizes.get_mut(trial.chunk) {
            sizes.insert(trial.quality, bytes.max(1));
        }
    }

    /// What is to be tried next, once all sizes of what was tried before are known; nothing where each chunk has a quality.
    pub fn next_trials(&mut self) -> Vec<Trial> {
        loop {
            let trials = self.advance();
            let is_over = self.stage == Stage::Over;
            let unknown: Vec<Trial> = trials.into_iter().filter(|trial| self.size(trial).is_none()).collect();
            if is_over || !unknown.is_empty() {
                return unknown;
            }
        }
    }

    /// The trial of each chunk that goes into the stream.
    #[must_use]
    pub fn chosen(&self) -> Vec<Trial> {
        let wanted = |chunk, quality: &Option<Quality>| quality.map(|quality| wanted(chunk, quality));
        self.chosen.iter().enumerate().filter_map(|(chunk, quality)| wanted(chunk, quality)).collect()
    }

    /// How far off the stream is from what is wanted: 0.01 is a hundredth too much.
    #[must_use]
    pub fn off(&self) -> f64 {
        self.total() / self.bytes - 1.0
    }

    /// No chunk can have a quality that would bring the stream nearer to what is wanted.
    #[must_use]
    pub fn is_at_the_end(&self) -> bool {
        let Scale { best, worst, .. } = self.target.scale;
        let end = if self.off() > 0.0 { worst } else { best };
        self.chosen.iter().flatten().all(|quality| *quality == Quality::of(end))
    }

    fn advance(&mut self) -> Vec<Trial> {
        let guess = self.quality(self.target.guess);
        match self.stage {
            Stage::Begin => {
                self.stage = Stage::Analysed;
                let trial = |chunk| Trial { chunk, setting: Setting::Analysis, quality: guess };
                (0..self.chunks).map(trial).collect()
            }
            Stage::Analysed => {
                let quality = self.solve();
                if (quality.value() - guess.value()).abs() <= VERY_FAR {
                    return self.sample(0, quality);
                }
                self.stage = Stage::AnalysedAgain;
                let trial = |chunk| Trial { chunk, setting: Setting::Analysis, quality };
                self.samples().into_iter().map(trial).collect()
            }
            Stage::AnalysedAgain => self.sample(0, self.solve()),
            Stage::Sampled(times, quality) => {
                let next = self.solve();
                if (next.value() - quality.value()).abs() > FAR && times < MOST_SAMPLINGS {
                    return self.sample(times, next);
                }
                self.stage = Stage::All;
                let keeps = (next.value() - quality.value()).abs() <= NEAR;
                let samples = self.samples();
                for (chunk, chosen) in self.chosen.iter_mut().enumerate() {
                    *chosen = Some(if keeps && samples.contains(&chunk) { quality } else { next });
                }
                self.chosen()
            }
            Stage::All => {
                self.corrections += 1;
                let is_there = |planner: &Self| planner.off().abs() <= planner.target.tolerance * WITHIN;
                let before = self.chosen.clone();
                if !is_there(self) {
                    self.choose_among_known();
                }
                let off = self.off().abs();
                if self.best.as_ref().is_none_or(|(least, _)| off < *least) {
                    self.best = Some((off, self.chosen.clone()));
                }
                if is_there(self) || self.corrections > MOST_CORRECTIONS || self.is_at_the_end() {
                    self.stage = Stage::Over;
                    if let Some((_, chosen)) = self.best.take() {
                        self.chosen = chosen;
                    }
                    return Vec::new();
                }
                self.chosen = before;
                self.correct();
                self.chosen()
            }
            Stage::Over => Vec::new(),
        }
    }

    /// Some chunks with this quality.
    fn sample(&mut self, times: usize, quality: Quality) -> Vec<Trial> {
        self.stage = Stage::Sampled(times + 1, quality);
        self.samples().into_iter().map(|chunk| wanted(chunk, quality)).collect()
    }

    fn samples(&self) -> Vec<usize> {
        let count = (self.chunks / EACH_SAMPLE).max(LEAST_SAMPLES).min(self.chunks);
        (0..count).map(|n| (2 * n + 1) * self.chunks / (2 * count)).collect()
    }

    fn size(&self, trial: &Trial) -> Option<f64> {
        let sizes = if trial.setting == Setting::Analysis { &self.analysed } else { &self.tried };
        sizes.get(trial.chunk)?.get(&trial.quality).map(|bytes| *bytes as f64)
    }

    /// The bytes of the chunks as they are.
    fn total(&self) -> f64 {
        self.chosen().iter().filter_map(|trial| self.size(trial)).sum()
    }

    /// The quality with which all chunks together have the bytes that are wanted, as far as can be told by now.
    fn solve(&self) -> Quality {
        let model = Model::of(self);
        self.quality(self.search(self.bytes, |quality| model.total(quality)))
    }

    /// The quality with which something has so many bytes.
    fn search(&self, bytes: f64, size: impl Fn(f64) -> f64) -> f64 {
        let Scale { best: mut low, worst: mut high, .. } = self.target.scale;
        for _ in 0..SEARCH {
            let middle = f64::midpoint(low, high);
            if size(middle) > bytes { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }

    /// Sizes may fall by leaps, so that no quality of one chunk makes up for what is missing; several that were tried may.
    fn choose_among_known(&mut self) {
        let near = self.solve().value();
        for _ in 0..self.chunks {
            let missing = self.bytes - self.total();
            let mut best: Option<(f64, usize, Quality)> = None;
            for trial in self.chosen() {
                let (Some(own), Some(known)) = (self.size(&trial), self.tried.get(trial.chunk)) else { continue };
                for (quality, bytes) in known.iter().filter(|(q, _)| (q.value() - near).abs() <= 2.0 * MAKES_UP) {
                    let left = (missing + own - *bytes as f64).abs();
                    if left < best.map_or(missing.abs(), |(least, ..)| least) {
                        best = Some((left, trial.chunk, *quality));
                    }
                }
            }
            let Some((_, chunk, quality)) = best else { return };
            if let Some(chosen) = self.chosen.get_mut(chunk) {
                *chosen = Some(quality);
            }
        }
    }

    /// Some chunks, or all of them, get more or less than they have.
    fn correct(&mut self) {
        let model = Model::of(self);
        let missing = self.bytes - self.total();
        // A smaller number is a better quality.
        let step = if missing > 0.0 { -MAKES_UP } else { MAKES_UP };
        let change = |chunk: usize, from: Quality, to: f64| model.size(chunk, to) - model.size(chunk, from.value());
        let (mut left, mut chosen) = (missing, self.chosen.clone());
        for chunk in self.spread() {
            let Some(quality) = self.chosen.get(chunk).copied().flatten() else { continue };
            let to = self.quality(quality.value() + step).value();
            let whole = change(chunk, quality, to);
            // The last of them gets what is left.
            let is_last = whole.abs() >= left.abs();
            let to = if is_last {
                self.search(model.size(chunk, quality.value()) + left, |quality| model.size(chunk, quality))
            } else {
                to
            };
            if let Some(chosen) = chosen.get_mut(chunk) {
                *chosen = Some(self.quality(to));
            }
            left -= change(chunk, quality, to);
            if is_last {
                self.chosen = chosen;
                return;
            }
        }
        // All of them together are not enough.
        let all = self.solve();
        self.chosen.iter_mut().for_each(|chosen| *chosen = Some(all));
    }

    /// The chunks in an order in which each part of them is spread over the stream, another one each time.
    fn spread(&self) -> Vec<usize> {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let place = |n: usize| ((n + self.corrections) as f64 * GOLDEN).fract();
        let mut order: Vec<usize> = (0..self.chunks).collect();
        order.sort_by(|a, b| place(*a).total_cmp(&place(*b)));
        order
    }

    fn quality(&self, value: f64) -> Quality {
        Quality::of(value.clamp(self.target.scale.best, self.target.scale.worst))
    }
}

/// What sizes chunks will have, by those that were tried.
struct Model<'a> {
    planner: &'a Planner,
    /// How sizes fall where a chunk itself does not tell.
    analysis_falls: f64,
    falls: f64,
    /// The chunks that tell how large the stream is against its analysis.
    samples: Vec<usize>,
}

impl<'a> Model<'a> {
    fn of(planner: &'a Planner) -> Self {
        let usual = planner.target.scale.step;
        let falls = |all: &[Sizes], otherwise| {
            let measured = all.iter().filter_map(|sizes| {
                let ((low, more), (high, less)) = (sizes.first_key_value()?, sizes.last_key_value()?);
                let steps = high.value() - low.value();
                (steps >= APART).then_some((*more as f64, *less as f64, *more as f64 * steps))
            });
            // The large ones tell more.
            let (more, less, steps) = measured.fold((0.0, 0.0, 0.0), |(a, b, c), (d, e, f)| (a + d, b + e, c + f));
            if more > 0.0 { within((more / less).ln() * more / steps, usual) } else { otherwise }
        };
        let analysis_falls = falls(&planner.analysed, usual);
        let samples = (0..planner.chunks).filter(|chunk| planner.tried.get(*chunk).is_some_and(|s| !s.is_empty()));
        Self { planner, analysis_falls, falls: falls(&planner.tried, analysis_falls), samples: samples.collect() }
    }

    /// All chunks.
    fn total(&self, quality: f64) -> f64 {
        let ratio = self.ratio(quality);
        let size = |chunk| self.tried(chunk, quality).unwrap_or_else(|| self.analysed(chunk, quality) * ratio);
        (0..self.planner.chunks).map(size).sum()
    }

    /// One of them.
    fn size(&self, chunk: usize, quality: f64) -> f64 {
        self.tried(chunk, quality).unwrap_or_else(|| self.analysed(chunk, quality) * self.ratio(quality))
    }

    /// How large the stream is against its analysis.
    fn ratio(&self, quality: f64) -> f64 {
        if self.samples.is_empty() {
            return self.planner.target.scale.analysis;
        }
        let here: f64 = self.samples.iter().filter_map(|chunk| self.tried(*chunk, quality)).sum();
        let there: f64 = self.samples.iter().map(|chunk| self.analysed(*chunk, quality)).sum();
        here / there
    }

    fn tried(&self, chunk: usize, quality: f64) -> Option<f64> {
        let sizes = self.planner.tried.get(chunk)?;
        between(sizes, quality, self.falls, self.planner.target.scale.step)
    }

    fn analysed(&self, chunk: usize, quality: f64) -> f64 {
        let sizes = self.planner.analysed.get(chunk);
        let size = sizes.and_then(|s| between(s, quality, self.analysis_falls, self.planner.target.scale.step));
        size.unwrap_or(1.0)
    }
}

/// A size between those that are known, or beyond them, where it falls so by a step of quality if two that are near do not
/// tell.
fn between(sizes: &Sizes, quality: f64, falls: f64, usual: f64) -> Option<f64> {
    let known: Vec<(f64, f64)> = sizes.iter().map(|(quality, bytes)| (quality.value(), (*bytes as f64).ln())).collect();
    let at = known.partition_point(|(known, _)| *known <= quality);
    let by = |(from, more): (f64, f64), (to, less): (f64, f64)| {
        if to - from >= APART { within((more - less) / (to - from), usual) } else { falls }
    };
    let beyond = |(from, size): (f64, f64), falls: f64| size - falls * (quality - from);
    let logarithm = match (at.checked_sub(1).and_then(|before| known.get(before)), known.get(at)) {
        (Some((from, more)), Some((to, less))) => more + (less - more) * (quality - from) / (to - from),
        (None, Some(first)) => beyond(*first, known.get(1).map_or(falls, |second| by(*first, *second))),
        (Some(last), None) => {
            let before = known.len().checked_sub(2).and_then(|before| known.get(before));
            beyond(*last, before.map_or(falls, |before| by(*before, *last)))
        }
        (None, None) => return None,
    };
    Some(logarithm.exp())
}

fn within(falls: f64, usual: f64) -> f64 {
    falls.clamp(usual * FALLS.0, usual * FALLS.1)
}

fn wanted(chunk: usize, quality: Quality) -> Trial {
    Trial { chunk, setting: Setting::Wanted, quality }
}

#[cfg(test)]
mod tests;
