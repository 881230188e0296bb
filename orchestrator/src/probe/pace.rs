//! Whether pictures come at a constant rate, told by the times of all packets: a header may say anything.

/// Containers round times, the coarser ones to milliseconds.
const ROUNDING: f64 = 2.5e6;

/// How pictures follow one another, in frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Every picture is shown for as long as any other.
    Constant(u32, u32),
    /// At uneven times; so many on average.
    Uneven(u32, u32),
}

/// A stretch in which the frame before is shown for longer than the others are, in ns from the first picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Where the picture should have come that does not.
    pub start: i64,
    /// Where pictures go on.
    pub end: i64,
}

/// What the times of all pictures tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) pace: Option<Pace>,
    /// How many there are.
    pub(super) frames: u64,
    pub(super) pauses: Vec<Pause>,
}

/// Where a rate that is kept nearly everywhere is not: the input pauses, or has lost pictures that no decoder has seen.
fn pauses(times: &[i64]) -> Vec<Pause> {
    let steps = || times.iter().zip(times.iter().skip(1)).map(|(from, to)| (*from, to - from));
    let mut lengths: Vec<i64> = steps().map(|(_, length)| length).collect();
    let middle = lengths.len() / 2;
    let Some(first) = times.first().filter(|_| !lengths.is_empty()) else { return Vec::new() };
    let usual = *lengths.select_nth_unstable(middle).1;
    let (kept, longer): (Vec<_>, Vec<_>) = steps()
        .filter(|(_, length)| *length > usual * 3 / 2 || (length - usual).abs() as f64 <= ROUNDING)
        .partition(|(_, length)| *length <= usual * 3 / 2);
    if kept.len() < lengths.len() * 9 / 10 {
        return Vec::new();
    }
    longer.into_iter().map(|(from, length)| Pause { start: from + usual - first, end: from + length - first }).collect()
}

/// The pace of frames shown at these times, in order; `named` is what the input's header says.
fn pace(times: &[i64], named: Option<(u32, u32)>) -> Option<Pace> {
    let (first, last) = (*times.first()?, *times.last()?);
    let steps = times.len() - 1;
    if steps < 2 || last <= first {
        return None;
    }
    let mean = steps as f64 * 1e9 / (last - first) as f64;
    let whole = mean.round().clamp(1.0, 1e6) as u32;
    let milli = ((mean * 1000.0).round().clamp(1.0, f64::from(u32::MAX)) as u32, 1000);
    let follow = |step: f64| {
        times.iter().enumerate().all(|(i, time)| ((time - first) as f64 - step * i as f64).abs() <= ROUNDING)
    };
    let keeps = |(n, d): &(u32, u32)| follow(f64::from(*d) * 1e9 / f64::from(*n));
    let usual = [(whole, 1), (whole.saturating_mul(1000), 1001), milli];
    if let Some((n, d)) = named.into_iter().chain(usual).find(keeps) {
        return Some(Pace::Constant(n, d));
    }
    let (n, d) = milli;
    (!follow((last - first) as f64 / steps as f64)).then_some(Pace::Uneven(n, d))
}

/// The part of a file that counts, in ns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) frames: usize,
}

impl Part {
    /// A clock's rounding moves no picture over an edge.
    const ROUNDING: i64 = 1_000;

    /// True for a picture shown then.
    pub(super) fn contains(&self, time: i64) -> bool {
        let time = time.saturating_add(Self::ROUNDING);
        time >= self.start && time < self.end
    }

    /// The times inside; packets come in decode order, and so do `times`.
    pub(super) fn of(&self, times: &[i64]) -> Vec<i64> {
        let mut times: Vec<i64> = times.iter().copied().filter(|time| self.contains(*time)).collect();
        times.sort_unstable();
        times.truncate(self.frames);
        times
    }

    /// True when pictures still to come are shown later than all of it.
    pub(super) fn is_past(&self, times: &[i64], now: i64) -> bool {
        const REORDER: usize = 64;
        now > self.end.saturating_add(2_000_000_000)
            || (now > self.start
                && times.len() > self.frames.saturating_add(REORDER)
                && times.iter().rev().take(self.frames.saturating_add(REORDER)).all(|t| *t >= self.start))
    }
}

/// What these times tell of the part of a file that counts; `named` is what the input's header says.
pub(super) fn measured(times: &[i64], part: Part, named: Option<(u32, u32)>) -> Measured {
    let times = part.of(times);
    Measured { pace: pace(&times, named), frames: times.len() as u64, pauses: pauses(&times) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(frames: i64, n: i64, d: i64, unit: i64) -> Vec<i64> {
        (0..frames).map(|i| (i * 1_000_000_000 * d / n + unit / 2) / unit * unit + 40).collect()
    }

    #[test]
    fn times_rounded_by_a_container_keep_their_rate() {
        for (n, d) in [(25, 1), (24_000, 1001), (60_000, 1001), (240, 1), (1, 1)] {
            for unit in [1, 11_111, 1_000_000, 1_666_667] {
                let found = pace(&grid(5000, n, d, unit), Some((7, 1)));
                assert_eq!(found, Some(Pace::Constant(n as u32, d as u32)), "{n}/{d} in units of {unit} ns");
            }
        }
        let odd = pace(&grid(5000, 19_001, 317, 1_000_000), Some((19_001, 317)));
        assert_eq!(odd, Some(Pace::Constant(19_001, 317)), "a rate that fits is kept as the header says it");
    }

    #[test]
    fn a_burst_a_pause_and_a_lost_frame_are_uneven() {
        let is_uneven = |times: &[i64]| matches!(pace(times, Some((60_000, 1001))), Some(Pace::Uneven(..)));
        let mut lost = grid(500, 60_000, 1001, 1);
        lost.remove(250);
        assert!(is_uneven(&lost));
        let pause: Vec<i64> =
            grid(100, 30, 1, 1).iter().map(|t| if *t > 2_000_000_000 { t + (1 << 30) } else { *t }).collect();
        assert!(is_uneven(&pause));
        assert_eq!(pace(&[0, 40_000_000, 120_000_000, 200_000_000], None), Some(Pace::Uneven(15_000, 1000)));
        assert_eq!(pace(&[0, 7], None), None);
        assert_eq!(pace(&[5, 5, 5], None), None);
    }

    #[test]
    fn a_pause_has_a_start_and_an_end_and_a_film_of_pauses_has_none() {
        assert_eq!(pauses(&grid(500, 60_000, 1001, 1_000_000)), []);
        let mut lost = grid(100, 25, 1, 1_000_000);
        lost.drain(50..52);
        lost.drain(70..71);
        let ms = |start: i64, end: i64| Pause { start: start * 1_000_000, end: end * 1_000_000 };
        assert_eq!(pauses(&lost), [ms(2000, 2080), ms(2880, 2920)]);
        let still: Vec<i64> =
            grid(100, 25, 1, 1).into_iter().enumerate().filter(|(i, _)| i % 5 != 0).map(|(_, t)| t).collect();
        assert_eq!(pauses(&still), []);
        assert_eq!((pauses(&[]), pauses(&[7]), pauses(&[7, 9])), (vec![], vec![], vec![]));
    }

    #[test]
    fn only_the_part_that_is_encoded_counts() {
        let mut times = grid(100, 25, 1, 1);
        times.extend([5_000_000_000, 5_001_000_000]);
        let whole = Part { start: i64::MIN, end: i64::MAX, frames: usize::MAX };
        let pace = |part: Part| pace(&part.of(&times), None);
        assert!(matches!(pace(whole), Some(Pace::Uneven(..))));
        assert_eq!(pace(Part { end: 3_000_000_000, ..whole }), Some(Pace::Constant(25, 1)));
        assert_eq!(pace(Part { frames: 50, ..whole }), Some(Pace::Constant(25, 1)));
        let late = Part { start: 2_000_000_000, frames: 10, ..whole };
        assert_eq!(late.of(&times).first(), Some(&(2_000_000_040)));
        assert_eq!(Part { start: 2_000_000_041, ..late }.of(&times), late.of(&times));
        assert!(!late.is_past(&times[..60], times[59]));
        assert!(Part { end: 1_000_000_000, ..whole }.is_past(&times[..90], times[89]));
    }
}
