//! From ns to a track's own clock: sample times, and the edit list that puts the track in its place.

use super::TrackState;
use crate::mux::track::Track;

/// A track's times in its own units.
pub(super) struct Timing {
    scale: u32,
    /// From each sample to the next, in decode order.
    pub(super) deltas: Vec<i64>,
    /// From decoding to showing.
    pub(super) offsets: Vec<i64>,
    /// The sum of the deltas.
    pub(super) media_duration: u64,
    /// The first media time that is shown.
    pub(super) media_start: i64,
    /// Samples at the end are not shown, or the media lasts longer than what is shown.
    pub(super) trims: bool,
    delay_ns: i64,
    shown: i64,
}

/// `value * n / d`, rounded to the nearest.
pub(crate) fn scale(value: i64, n: u32, d: u32) -> i64 {
    let (value, n, d) = (i128::from(value), i128::from(n), i128::from(d).max(1));
    let doubled = 2 * value * n;
    i64::try_from((doubled + d).div_euclid(2 * d)).unwrap_or(i64::MAX)
}

const NS: u32 = 1_000_000_000;

impl Timing {
    pub(super) fn new(track: &Track, state: &TrackState, base: i64) -> Self {
        let units = |ns: i64| scale(ns, state.scale, NS);
        let fixed = track.codec.packet_samples().filter(|_| track.audio.is_some());
        let mut dts: Vec<i64> = Vec::with_capacity(state.samples.len());
        let mut pts: Vec<i64> = Vec::with_capacity(state.samples.len());
        for s in &state.samples {
            let (mut d, mut p) = (units(s.dts - base), units(s.pts - base));
            if track.video.is_none() {
                // Sound that came through a clock of whole milliseconds is put back on its own.
                let last = dts.last().zip(state.samples.get(dts.len().wrapping_sub(1)));
                if let Some((last, previous)) = last {
                    let length = fixed.map_or(units(previous.duration as i64), i64::from);
                    if length > 0 && (d - (last + length)).abs() <= i64::from(state.scale / 400) {
                        d = last + length;
                    }
                }
            }
            if let Some(last) = dts.last() {
                d = d.max(*last);
            }
            if track.video.is_none() {
                p = d;
            }
            dts.push(d);
            pts.push(p);
        }
        let lengths = |i: usize| {
            let duration = state.samples.get(i).map_or(0, |s| units(s.duration as i64));
            fixed.map_or(duration, i64::from)
        };
        let mut deltas: Vec<i64> = dts.iter().zip(dts.iter().skip(1)).map(|(a, b)| b - a).collect();
        let last = dts.len().saturating_sub(1);
        deltas.push(match lengths(last) {
            0 => deltas.last().copied().unwrap_or(1).max(1),
            length => length,
        });
        let offsets = dts.iter().zip(&pts).map(|(d, p)| p - d).collect();
        let first_shown = pts.iter().min().copied().unwrap_or(0);
        let end = pts.iter().enumerate().map(|(i, p)| {
            p + match lengths(i) {
                0 => deltas.get(i).copied().unwrap_or(0),
                length => length,
            }
        });
        let end = end.max().unwrap_or(0);
        let first_decoded = dts.first().copied().unwrap_or(0);
        let media_duration = deltas.iter().sum::<i64>();
        let from = first_shown.max(0);
        let media_start = from - first_decoded;
        let shown = (end - from).max(0);
        let first_ns = state.samples.iter().map(|s| s.pts - base).min().unwrap_or(0);
        Self {
            scale: state.scale,
            deltas,
            offsets,
            media_duration: media_duration.max(0).unsigned_abs(),
            media_start,
            trims: media_start + shown != media_duration,
            delay_ns: first_ns.max(0),
            shown,
        }
    }

    /// The last sample lasts longer by the empty time before the first, which the edit list does not show: ffmpeg takes
    /// the media's length for the time its last chapter ends.
    pub(super) fn outlast(&mut self) {
        let delay = self.delay(self.scale);
        if let (Some(last), Ok(longer)) = (self.deltas.last_mut(), i64::try_from(delay)) {
            *last += longer;
            self.media_duration += delay;
            self.trims |= delay > 0;
        }
    }

    /// The empty time before the track, on the movie's clock.
    pub(super) fn delay(&self, movie: u32) -> u64 {
        scale(self.delay_ns, movie, NS).max(0).unsigned_abs()
    }

    /// How long it is shown, on the movie's clock; never rounded to less than its last frame.
    pub(super) fn shown(&self, movie: u32) -> u64 {
        let (n, d) = (i128::from(self.shown) * i128::from(movie), i128::from(self.scale).max(1));
        u64::try_from((n + d - 1) / d).unwrap_or(0)
    }

    /// Delay and showing together.
    pub(super) fn total(&self, movie: u32) -> u64 {
        self.delay(movie) + self.shown(movie)
    }
}
