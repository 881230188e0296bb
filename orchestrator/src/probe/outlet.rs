//! Where one stream's packets wait for who is to read them.

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstdivien::chunk::Start;

use super::ends::Reach;
use super::{MOST_QUEUE_BYTES, seek};
use crate::sync::lock;

/// The end of one stream's queue.
#[derive(Debug, Clone)]
pub struct Outlet {
    pub(super) queue: gst::Element,
    pub(super) id: Option<String>,
    /// Its track has no edit list.
    pub(super) is_whole: bool,
    pub(super) state: Arc<Mutex<OutletState>>,
}

#[derive(Debug, Default)]
pub(super) struct OutletState {
    pub(super) hold: Option<gst::PadProbeId>,
    /// The first packet, or what takes its place, is in the queue.
    pub(super) arrived: bool,
    pub(super) ended: bool,
    /// It stands at the queue's end, and all that was said before it has come through.
    pub(super) ready: bool,
    pub(super) full: bool,
    pub(super) first: Option<i64>,
    /// The first of all, wherever the demuxer has been since.
    pub(super) opens: Option<i64>,
    /// The first packet's own time.
    pub(super) begins: Option<gst::ClockTime>,
    /// How decoding starts at the first packet.
    pub(super) start: Option<Start>,
    /// What has come into the queue.
    pub(super) reach: Reach,
    /// What the demuxer has said of the stream's times, where that is more than that time goes on.
    pub(super) line: Option<gst::Event>,
    /// It has been elsewhere in the file, and what was before is gone.
    pub(super) moved: bool,
    /// What the demuxer said last is not that: so it is in a pause before the stream, where no packets are.
    pub(super) off: bool,
    /// A packet has come from where times go on otherwise.
    pub(super) astray: bool,
    /// What goes before the first packet from elsewhere in the file, and is yet to go.
    pub(super) preface: Option<gst::Memory>,
    pub(super) due: Option<gst::Memory>,
}

impl OutletState {
    /// The demuxer has gone elsewhere: all begins anew but what was said once.
    pub(super) fn restart(&mut self) {
        (self.arrived, self.ended, self.ready, self.full, self.astray) = (false, false, false, false, false);
        (self.first, self.begins, self.start) = (None, None, None);
        self.moved = true;
        self.due.clone_from(&self.preface);
    }

    /// After a flush a demuxer counts running times from 0: what it said before keeps them those of the whole file.
    pub(super) fn keeps(&mut self, event: &gst::Event) -> Option<gst::Event> {
        if !self.moved {
            self.line = Some(event.clone());
            return None;
        }
        let before = self.line.clone().filter(|line| match (line.view(), event.view()) {
            (gst::EventView::Segment(a), gst::EventView::Segment(b)) => seek::are_one_line(a.segment(), b.segment()),
            _ => false,
        });
        self.off = before.is_none();
        before
    }
}

impl Outlet {
    /// The pad packets come out of.
    #[must_use]
    pub fn pad(&self) -> Option<gst::Pad> {
        self.queue.static_pad("src")
    }

    /// The queue itself.
    #[must_use]
    pub fn queue(&self) -> &gst::Element {
        &self.queue
    }

    /// How decoding starts at the first packet; `None` where it cannot be told, or does not.
    #[must_use]
    pub fn start(&self) -> Option<Start> {
        lock(&self.state).start
    }

    /// Makes room in a queue that is full; false where it is not, or has all the room there is.
    pub(super) fn grow(&self) -> bool {
        let room = self.queue.property::<u32>("max-size-bytes");
        let grows = lock(&self.state).full && room < MOST_QUEUE_BYTES;
        if grows {
            // Before the room: the queue says so again once that is full.
            lock(&self.state).full = false;
            self.queue.set_property("max-size-bytes", room.saturating_mul(2).min(MOST_QUEUE_BYTES));
        }
        grows
    }

    /// Lets packets go.
    pub fn release(&self) {
        let hold = lock(&self.state).hold.take();
        if let (Some(id), Some(pad)) = (hold, self.pad()) {
            pad.remove_probe(id);
        }
    }
}
