//! From runs to figures.

use super::record::{Measured, Run};
use super::way::{BASELINE, FFMPEG};

/// Least, median, greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) greatest: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Some(Self { least, median, greatest })
    }
}

/// What the rounds say of one way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    pub(super) way: String,
    /// Wall time, s.
    pub(super) seconds: f64,
    /// Wall time against ffmpeg's of the same round.
    pub(super) ratio: Spread,
    /// The share of the cores' time that the work itself would have taken.
    pub(super) efficiency: Spread,
    /// The share of the cores' time in which they did nothing for it.
    pub(super) idle: f64,
    /// CPU time, s.
    pub(super) cpu: f64,
    /// The most that any round took, bytes.
    pub(super) peak: u64,
    /// Bytes, and dB.
    pub(super) size: f64,
    pub(super) psnr: f64,
    /// Of the round with the median wall time: that time, and the seconds each encoder had a chunk.
    pub(super) busy: Option<(f64, Vec<f64>)>,
}

/// The one in the middle, with the least and the greatest, of figures of which there is one at least.
#[must_use]
pub fn spread(mut figures: Vec<f64>, digits: usize) -> String {
    figures.sort_by(f64::total_cmp);
    let (least, median, most) = (figures[0], figures[figures.len() / 2], figures[figures.len() - 1]);
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

impl Measured {
    /// Each way's figures.
    pub(super) fn figures(&self) -> Vec<Figures> {
        self.ways().into_iter().filter(|way| *way != BASELINE).filter_map(|way| self.figures_of(way)).collect()
    }

    /// A way's wall time against another's in the same round.
    pub(super) fn ratio(&self, way: &str, other: &str) -> Option<Spread> {
        let pairs = self.pairs(way, other);
        Spread::of(pairs.into_iter().map(|(own, other)| own.usage.seconds / other.usage.seconds))
    }

    /// The CPU time of the bare work, s.
    pub(super) fn baseline(&self) -> Option<f64> {
        self.median(BASELINE, |run| Some(run.usage.cpu))
    }

    /// How many rounds there were.
    pub(super) fn rounds(&self) -> usize {
        self.runs.iter().map(|run| run.round + 1).max().unwrap_or(0)
    }

    fn ways(&self) -> Vec<&str> {
        let mut ways: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !ways.contains(&run.way.as_str()) {
                ways.push(&run.way);
            }
        }
        ways
    }

    fn figures_of(&self, way: &str) -> Option<Figures> {
        let work = self.pairs(way, BASELINE);
        let cores = self.cores as f64;
        let efficiency = work.iter().map(|(own, bare)| bare.usage.cpu / (own.usage.seconds * cores));
        let mut runs: Vec<_> = self.of(way).collect();
        runs.sort_by(|a, b| a.usage.seconds.total_cmp(&b.usage.seconds));
        let typical = runs.get((runs.len().checked_sub(1)?) / 2)?;
        Some(Figures {
            way: way.to_owned(),
            seconds: self.median(way, |run| Some(run.usage.seconds))?,
            ratio: self.ratio(way, FFMPEG)?,
            efficiency: Spread::of(efficiency)?,
            idle: self.median(way, |run| Some(1.0 - run.usage.cpu / (run.usage.seconds * cores)))?,
            cpu: self.median(way, |run| Some(run.usage.cpu))?,
            peak: runs.iter().map(|run| run.usage.peak).max()?,
            size: self.median(way, |run| Some(run.quality?.size as f64))?,
            psnr: self.median(way, |run| Some(run.quality?.psnr))?,
            busy: (!typical.busy.is_empty()).then(|| (typical.usage.seconds, typical.busy.clone())),
        })
    }

    fn of<'a>(&'a self, way: &'a str) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.way == way)
    }

    /// The runs of two ways in the same round.
    fn pairs(&self, way: &str, other: &str) -> Vec<(&Run, &Run)> {
        let partner =
            |run: &Run| self.runs.iter().find(|other_run| other_run.way == other && other_run.round == run.round);
        self.runs.iter().filter(|run| run.way == way).filter_map(|run| Some((run, partner(run)?))).collect()
    }

    fn median(&self, way: &str, value: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        Spread::of(self.of(way).filter_map(value)).map(|spread| spread.median)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::measured;
    use super::*;

    #[test]
    fn ratios_are_those_of_the_same_round() {
        // Every round is slower than the one before, and both ways with it.
        let measured = measured("x264", &[("ffmpeg", &[10.0, 20.0, 40.0]), ("divien", &[9.0, 16.0, 38.0])]);
        let figures = measured.figures();
        let ways: Vec<_> = figures.iter().map(|figures| figures.way.as_str()).collect();
        assert_eq!(ways, ["ffmpeg", "divien"]);
        assert_eq!(figures[0].ratio, Spread { least: 1.0, median: 1.0, greatest: 1.0 });
        assert_eq!(figures[1].ratio, Spread { least: 0.8, median: 0.9, greatest: 0.95 });
        assert_eq!((figures[1].seconds, measured.rounds(), measured.baseline()), (16.0, 3, Some(20.0)));
        // 20 s of work on two cores.
        assert_eq!(figures[1].efficiency.median, 20.0 / 32.0);
        // All rounds took 21 s of CPU time.
        assert_eq!(figures[1].idle, 1.0 - 21.0 / 32.0);
        assert_eq!(figures[1].busy, Some((16.0, vec![9.5, 8.25])));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 8.0]).map(|spread| spread.median), Some(3.0));
        assert_eq!(Spread::of([]), None);
    }
}
