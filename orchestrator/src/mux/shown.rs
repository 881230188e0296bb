//! Whether the pictures of two places are the same ones.

/// How many pictures there are and when they are shown, in whatever order they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    /// How many.
    pub count: u64,
    sum: i64,
    squares: i64,
}

impl Shown {
    /// One more, shown at this time, in ns.
    pub fn add(&mut self, pts: i64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(pts);
        self.squares = self.squares.wrapping_add(pts.wrapping_mul(pts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[i64]) -> Shown {
        let mut shown = Shown::default();
        times.iter().for_each(|time| shown.add(*time));
        shown
    }

    #[test]
    fn order_is_nothing_and_each_time_is_something() {
        assert_eq!(of(&[0, 80, 40]), of(&[0, 40, 80]));
        for others in [&[0, 40][..], &[0, 40, 81], &[0, 41, 79], &[40, 40, 40], &[0, 40, 80, 0]] {
            assert_ne!(of(&[0, 40, 80]), of(others), "{others:?}");
        }
    }
}
