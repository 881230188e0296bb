//! What the times that a demuxer gives its packets are worth.

use gst::prelude::*;

/// What a demuxer's segments are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// They say more than that time goes on: MP4's edit lists.
    Kept,
    /// They end where the header says that the track does, which is before the pictures that are shown late.
    Endless,
    /// They say no more than that time goes on.
    Open,
}

impl Times {
    /// `is_whole`: the track has no edit list.
    pub(super) fn of(parse: &gst::Element, is_whole: bool) -> Self {
        let is_movie = |e: &gst::Element| e.factory().is_some_and(|f| f.name() == "qtdemux");
        match parse.downcast_ref::<gst::Bin>().is_some_and(|bin| bin.children().iter().any(is_movie)) {
            true if is_whole => Self::Endless,
            true => Self::Kept,
            false => Self::Open,
        }
    }

    /// What takes the place of a segment.
    pub(super) fn applied(self, segment: &gst::Segment) -> Option<gst::FormattedSegment<gst::ClockTime>> {
        match self {
            Self::Kept => None,
            Self::Open => Some(gst::FormattedSegment::new()),
            Self::Endless => {
                let mut segment = segment.downcast_ref::<gst::ClockTime>()?.clone();
                segment.set_stop(gst::ClockTime::NONE);
                Some(segment)
            }
        }
    }
}
