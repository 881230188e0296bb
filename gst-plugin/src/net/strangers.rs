//! Whoever was turned away is told, but no flood of them fills a disk: a few are told one by one, the rest by how many they
//! were. Pure: time comes in.

use std::fmt;
use std::time::{Duration, Instant};

use super::NetError;

/// While many come, there is one line in so much time.
const WINDOW: Duration = Duration::from_secs(10);
/// So many within it are told one by one.
const FEW: u32 = 8;

/// Those who were turned away: one, or as many as came within some seconds.
#[derive(Debug)]
pub struct Strangers {
    /// How many they are.
    pub count: u64,
    /// Why the last of them was, of those of whom anything is known.
    pub last: Option<NetError>,
}

impl fmt::Display for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, last } = self;
        let within = WINDOW.as_secs();
        match last {
            Some(error) if *count == 1 => error.fmt(f),
            Some(error) => write!(f, "{count} more were turned away within {within} s, the last of them: {error}"),
            None => write!(f, "{count} more were turned away within {within} s"),
        }
    }
}

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// When the window began; `None` while nobody comes.
    since: Option<Instant>,
    /// Those told one by one in it.
    told: u32,
    untold: u64,
    last: Option<NetError>,
}

impl Counted {
    /// One was turned away; gives what there is to tell at once.
    pub(super) fn refused(&mut self, error: NetError, now: Instant) -> Option<Strangers> {
        self.since.get_or_insert(now);
        if self.told < FEW {
            self.told += 1;
            return Some(Strangers { count: 1, last: Some(error) });
        }
        self.untold += 1;
        self.last = Some(error);
        None
    }

    /// One got no answer, or was asked to show first that its address is its own.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.untold += 1;
    }

    /// One of those that were asked came again.
    pub(super) fn has_shown(&mut self) {
        self.untold = self.untold.saturating_sub(1);
    }

    /// When to [look](Self::look).
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + WINDOW)
    }

    /// What there is to tell of those who were only counted, once the window is over.
    pub(super) fn look(&mut self, now: Instant) -> Option<Strangers> {
        self.due().filter(|due| *due <= now)?;
        if self.untold == 0 {
            *self = Self::default();
            return None;
        }
        // As long as they go on, none of them is told by itself.
        (self.since, self.told) = (Some(now), FEW);
        Some(Strangers { count: std::mem::take(&mut self.untold), last: self.last.take() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(n: u64) -> NetError {
        NetError::unknown(&format!("stranger {n}"))
    }

    #[test]
    fn a_few_are_told_one_by_one() {
        let (mut counted, mut now) = (Counted::default(), Instant::now());
        assert_eq!(counted.due(), None);
        for n in 0..100 {
            let told = counted.refused(error(n), now).map(|told| told.to_string());
            assert!(told.is_some_and(|told| told.starts_with(&format!("stranger {n}: "))));
            now += WINDOW / 4;
            assert!(counted.look(now).is_none());
        }
    }

    #[test]
    fn a_flood_is_a_line_now_and_then_and_nobody_in_it_is_left_out() {
        let (mut counted, start) = (Counted::default(), Instant::now());
        let (mut lines, mut told_of) = (0, 0);
        let mut tell = |told: Option<Strangers>| {
            lines += u64::from(told.is_some());
            told_of += told.map_or(0, |told| told.count);
        };
        for n in 0..100_000u32 {
            let now = start + Duration::from_millis(1) * n;
            tell(counted.look(now));
            if n % 2 == 0 { tell(counted.refused(error(n.into()), now)) } else { counted.put_off(now) }
        }
        tell(counted.look(start + Duration::from_secs(120)));
        assert_eq!((lines, told_of), (u64::from(FEW) + 10, 100_000));
        // Once it is over, one is told by itself again.
        assert!(counted.look(start + Duration::from_secs(140)).is_none());
        assert!(counted.refused(error(0), start + Duration::from_secs(141)).is_some());
    }

    #[test]
    fn who_shows_that_its_address_is_its_own_was_not_turned_away() {
        let (mut counted, now) = (Counted::default(), Instant::now());
        (0..3).for_each(|_| counted.put_off(now));
        counted.has_shown();
        let told = counted.look(now + WINDOW).unwrap();
        assert_eq!(told.to_string(), "2 more were turned away within 10 s");
        (0..2).for_each(|_| counted.put_off(now + WINDOW));
        (0..3).for_each(|_| counted.has_shown());
        assert!(counted.look(now + 2 * WINDOW).is_none() && counted.due().is_none());
    }
}
