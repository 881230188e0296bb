//! Waiting until an input has told what it holds. What is waited for are its data, never a time: a slow disk or a pipe
//! that pauses changes nothing of what is found.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::messages::{Messages, said};
use super::{Found, Outlet, PACKAGES};
use crate::error::Error;
use crate::sync::lock;

/// A file of which nothing moves for this long is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked how far things are.
const GLANCE: Duration = Duration::from_millis(5);

/// Demuxers that take the end of a pipe for data that is yet to come, and would wait for ever, in
/// GStreamer 1.22; with what they read. To the end of a file they are helped.
const NO_END: &[(&str, &str)] = &[("avdemux_nut", "NUT"), ("avdemux_gif", "GIF")];

/// What was heard on the way.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What the demuxer complained of.
    pub(super) complaint: Option<String>,
    /// Formats that nothing installed reads.
    pub(super) missing: Vec<String>,
    /// So many streams there will be, as far as was said: some demuxers tell of one after the other.
    announced: Option<usize>,
}

/// How far the streams are.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    known: usize,
    /// So many the demuxer has, once it has all; `parsebin` of 1.22 itself never says no-more-pads.
    split: Option<usize>,
    /// Streams that have brought their first packet as far as the queue.
    arrived: usize,
    /// Those of them that stand ready at its end.
    ready: usize,
    outlets: usize,
    /// A demuxer waits for room in one queue: it has no packet for another.
    full: bool,
    /// All streams so far have ended.
    ended: bool,
    /// Nothing works that could bring another packet: not any more, or not yet.
    rests: bool,
    bytes: u64,
}

impl Standing {
    fn of(found: &Mutex<Found>, pipeline: &gst::Pipeline) -> Self {
        // Asked before the streams are looked at: what was at rest then has brought all it will.
        let queues: Vec<gst::Element> = lock(found).outlets.iter().map(|(_, o)| o.queue.clone()).collect();
        let rests = rests(pipeline, &queues);
        let found = lock(found);
        let outlets = || found.outlets.iter().map(|(_, outlet)| outlet);
        let count = |is: &dyn Fn(&Outlet) -> bool| outlets().filter(|o| is(o)).count();
        Self {
            known: found.outlets.len() + found.unknown.len(),
            split: match &found.demuxer {
                Some((demuxer, complete)) => complete.then(|| demuxer.src_pads().len()),
                None => Some(0),
            },
            arrived: count(&|o| lock(&o.state).arrived),
            ready: count(&|o| lock(&o.state).ready),
            outlets: found.outlets.len(),
            full: count(&|o| lock(&o.state).full) > 0,
            ended: !found.outlets.is_empty() && outlets().all(|o| lock(&o.state).ended),
            rests,
            bytes: outlets().map(|o| u64::from(o.queue.property::<u32>("current-level-bytes"))).sum(),
        }
    }

    /// True when every stream has its first packet.
    fn is_all(&self, heard: &Heard) -> bool {
        heard.announced.zip(self.split).is_some_and(|(told, split)| self.known >= told.max(split))
            && self.arrived == self.outlets
    }

    /// True when no stream will bring its first packet any more before some are taken away.
    fn is_final(&self, heard: &Heard) -> bool {
        let all = self.is_all(heard);
        let is_over = self.rests && (self.ended || heard.complaint.is_some());
        self.ready >= self.arrived && (all || (self.full && self.arrived > 0) || is_over)
    }
}

/// Waits until every stream is known and has its first packet, or can have none.
pub(super) fn settle(
    pipeline: &gst::Pipeline,
    messages: &mut Messages,
    found: &Arc<Mutex<Found>>,
    name: &str,
    is_raw: bool,
    waits: bool,
) -> Result<Heard, Error> {
    let mut heard = Heard { announced: is_raw.then_some(1), ..Heard::default() };
    let mut moved = (Instant::now(), Standing::of(found, pipeline));
    loop {
        if waits && let Some(format) = without_an_end(found) {
            let reason =
                format!("{format} cannot be read from a pipe with this GStreamer; pipe Matroska, or give a file");
            return Err(Error::NotAVideo { input: name.to_owned(), reason });
        }
        let now = Standing::of(found, pipeline);
        // What was said before that moment is heard before it is judged.
        while let Ok(message) = messages.try_recv() {
            heard.hear(&message);
        }
        // Others may be behind what fills a queue.
        let grown = now.full && !now.is_all(&heard) && lock(found).outlets.iter().filter(|(_, o)| o.grow()).count() > 0;
        if !grown && now.is_final(&heard) {
            return if now.outlets == 0 && heard.complaint.is_some() { Err(heard.nothing(name)) } else { Ok(heard) };
        }
        if now != moved.1 {
            moved = (Instant::now(), now);
        }
        if !waits && moved.0.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            heard.complaint.get_or_insert_with(|| format!("nothing could be read for {seconds} s"));
            return if moved.1.ready > 0 { Ok(heard) } else { Err(heard.nothing(name)) };
        }
        std::thread::sleep(GLANCE);
    }
}

impl Heard {
    fn hear(&mut self, message: &gst::Message) {
        match message.view() {
            gst::MessageView::Error(e) => {
                self.complaint.get_or_insert_with(|| said(&e.error(), e.debug().as_deref()));
            }
            gst::MessageView::StreamCollection(c) => self.announced = Some(c.stream_collection().len()),
            gst::MessageView::Element(_) => {
                if let Ok(missing) = gst_pbutils::MissingPluginMessage::parse(message) {
                    self.missing.push(missing.description().to_string());
                }
            }
            _ => {}
        }
    }

    fn nothing(self, name: &str) -> Error {
        let input = name.to_owned();
        match self.missing.into_iter().next() {
            Some(format) => Error::NoDecoder { input, format, package: PACKAGES },
            None => Error::NotAVideo { input, reason: self.complaint.unwrap_or_else(|| "no stream at all".into()) },
        }
    }
}

fn without_an_end(found: &Mutex<Found>) -> Option<&'static str> {
    let factory = lock(found).demuxer.as_ref().and_then(|(demuxer, _)| demuxer.factory())?;
    NO_END.iter().find(|(name, _)| factory.name() == *name).map(|(_, format)| *format)
}

/// True when no thread carries data, but in these elements.
pub(super) fn rests(pipeline: &gst::Pipeline, queues: &[gst::Element]) -> bool {
    let works = |element: &gst::Element| element.pads().iter().any(|p| p.task_state() == gst::TaskState::Started);
    let mut elements = pipeline.iterate_recurse();
    loop {
        match elements.next() {
            Ok(Some(element)) if !queues.contains(&element) && works(&element) => return false,
            Ok(Some(_)) => {}
            Ok(None) => return true,
            // Elements come and go: they work.
            Err(_) => return false,
        }
    }
}
