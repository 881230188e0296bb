//! Bjøntegaard's delta rate: the mean difference in bit rate between two encoders at the same quality.
//!
//! The logarithm of the rate is interpolated over the quality, piecewise by monotone cubics, as the common test conditions of
//! JVET have it (G. Bjøntegaard, VCEG-M33; JVET-AA0030 for the interpolation), and the difference is averaged over the
//! qualities that both reach. The slopes are those of F. N. Fritsch and J. Butland, "A method for constructing local monotone
//! piecewise cubic interpolants", SIAM J. Sci. Stat. Comput. 5 (1984).

/// Bytes, and the quality that they bought.
pub type Point = (u64, f64);

/// How many more bytes `test` takes than `base`, as a part of those: 0.01 is 1% more. `None` where their qualities do not
/// meet, or are too few to be compared.
#[must_use]
pub fn rate(base: &[Point], test: &[Point]) -> Option<f64> {
    let (base, test) = (Curve::through(base)?, Curve::through(test)?);
    let (low, high) = (base.first().max(test.first()), base.last().min(test.last()));
    if low >= high {
        return None;
    }
    Some(((test.integral(low, high) - base.integral(low, high)) / (high - low)).exp() - 1.0)
}

/// The logarithm of bytes over quality.
struct Curve {
    quality: Vec<f64>,
    bytes: Vec<f64>,
    slopes: Vec<f64>,
}

/// Intervals of each piece in its integral; cubics are exact by Simpson's rule in one.
const INTERVALS: usize = 1;

impl Curve {
    fn through(points: &[Point]) -> Option<Self> {
        let mut points: Vec<(f64, f64)> =
            points.iter().map(|(bytes, quality)| (*quality, (*bytes as f64).ln())).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|a, b| a.0 == b.0);
        let (quality, bytes): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        (quality.len() >= 2).then(|| Self { slopes: slopes(&quality, &bytes), quality, bytes })
    }

    fn first(&self) -> f64 {
        self.quality[0]
    }

    fn last(&self) -> f64 {
        self.quality[self.quality.len() - 1]
    }

    fn at(&self, quality: f64) -> f64 {
        let piece = self.quality.partition_point(|known| *known <= quality).clamp(1, self.quality.len() - 1) - 1;
        let width = self.quality[piece + 1] - self.quality[piece];
        let t = (quality - self.quality[piece]) / width;
        let (square, cube) = (t * t, t * t * t);
        self.bytes[piece] * (2.0 * cube - 3.0 * square + 1.0)
            + self.slopes[piece] * width * (cube - 2.0 * square + t)
            + self.bytes[piece + 1] * (3.0 * square - 2.0 * cube)
            + self.slopes[piece + 1] * width * (cube - square)
    }

    fn integral(&self, low: f64, high: f64) -> f64 {
        let inner = self.quality.iter().copied().filter(|quality| (low..high).contains(quality) && *quality > low);
        let ends: Vec<f64> = [low].into_iter().chain(inner).chain([high]).collect();
        ends.windows(2)
            .map(|piece| {
                let width = (piece[1] - piece[0]) / INTERVALS as f64;
                width / 6.0 * (self.at(piece[0]) + 4.0 * self.at(piece[0] + width / 2.0) + self.at(piece[1]))
            })
            .sum()
    }
}

fn slopes(x: &[f64], y: &[f64]) -> Vec<f64> {
    let widths: Vec<f64> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let secants: Vec<f64> = y.windows(2).zip(&widths).map(|(pair, width)| (pair[1] - pair[0]) / width).collect();
    let inner = secants.windows(2).zip(widths.windows(2)).map(|(secant, width)| {
        if secant[0] * secant[1] <= 0.0 {
            return 0.0;
        }
        let (before, after) = (2.0 * width[1] + width[0], width[1] + 2.0 * width[0]);
        (before + after) / (before / secant[0] + after / secant[1])
    });
    let (first, last) = (secants[0], secants[secants.len() - 1]);
    [first].into_iter().chain(inner).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: [Point; 4] = [(1_000_000, 80.0), (2_000_000, 88.0), (4_000_000, 93.0), (8_000_000, 96.0)];

    fn close(rate: Option<f64>, wanted: f64) {
        assert!(rate.is_some_and(|rate| (rate - wanted).abs() < 1e-9), "{rate:?} is not {wanted}");
    }

    #[test]
    fn the_same_is_no_difference_and_a_tenth_more_everywhere_is_a_tenth() {
        close(rate(&BASE, &BASE), 0.0);
        let more = BASE.map(|(bytes, quality)| (bytes * 11 / 10, quality));
        close(rate(&BASE, &more), 0.1);
        close(rate(&more, &BASE), 1.0 / 1.1 - 1.0);
    }

    #[test]
    fn it_does_not_matter_in_which_order_points_come() {
        let test = BASE.map(|(bytes, quality)| (bytes + 70_000, quality - 0.3));
        let mut turned = test;
        turned.reverse();
        assert_eq!(rate(&BASE, &test), rate(&BASE, &turned));
    }

    /// Figures of x264 on a clip, whose rate was computed by another implementation, with numpy and a sum of 1,000 points.
    #[test]
    fn it_is_what_others_compute() {
        let base = [(3_989_952, 44.785), (2_134_202, 42.525), (1_201_991, 40.297), (758_697, 37.984)];
        let test = [(3_837_999, 44.619), (2_055_625, 42.288), (1_168_951, 39.979), (740_703, 37.538)];
        let rate = rate(&base, &test).unwrap();
        assert!((rate - 0.0334).abs() < 0.0005, "{rate}");
    }

    #[test]
    fn qualities_that_do_not_meet_cannot_be_compared() {
        let far = BASE.map(|(bytes, quality)| (bytes, quality - 50.0));
        assert_eq!(rate(&BASE, &far), None);
        assert_eq!(rate(&BASE, &BASE[..1]), None);
    }
}
