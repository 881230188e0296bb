//! Key frames that were asked for and are not due yet.

use std::collections::BTreeMap;

/// More than any stream waits for; one more is refused.
const MOST: usize = 1024;

/// A key frame that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyRequest {
    /// At the first frame of this running time or later; at the next frame when `None`.
    pub(super) running_time: Option<gst::ClockTime>,
    pub(super) all_headers: bool,
    pub(super) count: u32,
}

impl KeyRequest {
    /// One key frame answers both.
    fn joined(self, later: Self) -> Self {
        Self { all_headers: self.all_headers || later.all_headers, ..later }
    }
}

/// At most one for each running time.
#[derive(Debug, Default)]
pub(super) struct KeyRequests(BTreeMap<Option<gst::ClockTime>, KeyRequest>);

impl KeyRequests {
    /// False where too many wait already.
    pub(super) fn add(&mut self, request: KeyRequest) -> bool {
        let before = self.0.get(&request.running_time).copied();
        if before.is_none() && self.0.len() >= MOST {
            return false;
        }
        self.0.insert(request.running_time, before.map_or(request, |before| before.joined(request)));
        true
    }

    /// What the frame of this running time has to answer.
    pub(super) fn due(&mut self, now: Option<gst::ClockTime>) -> Option<KeyRequest> {
        let mut due = None::<KeyRequest>;
        // `None` is the least key.
        while let Some(first) = self.0.first_entry().filter(|first| *first.key() <= now) {
            let request = first.remove();
            due = Some(due.map_or(request, |before| before.joined(request)));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: Option<u64>, all_headers: bool, count: u32) -> KeyRequest {
        KeyRequest { running_time: seconds.map(gst::ClockTime::from_seconds), all_headers, count }
    }

    #[test]
    fn requests_due_at_once_are_one() {
        let mut requests = KeyRequests::default();
        for count in 0..100_000 {
            assert!(requests.add(at(None, count == 3, count)) && requests.add(at(Some(2), false, count)));
        }
        assert_eq!(requests.0.len(), 2);
        assert_eq!(requests.due(Some(gst::ClockTime::SECOND)), Some(at(None, true, 99_999)));
        assert_eq!(requests.due(Some(gst::ClockTime::SECOND)), None);
        assert_eq!(requests.due(None), None);
        assert_eq!(requests.due(Some(gst::ClockTime::from_seconds(3))), Some(at(Some(2), false, 99_999)));
        assert!(requests.0.is_empty());
    }

    #[test]
    fn as_many_as_wait_are_bounded_and_what_is_past_that_is_refused() {
        let mut requests = KeyRequests::default();
        let taken = (0..5000).filter(|&second| requests.add(at(Some(second), false, 0))).count();
        assert_eq!(taken, MOST);
        assert!(requests.add(at(Some(0), true, 1)), "one that joins another always fits");
    }
}
