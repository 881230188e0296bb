//! What libav's decoders find wrong and hide in their pictures. They tell it to GStreamer's log alone.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use crate::chunk::Nanos;

/// What decoders complained of in a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Complaints {
    /// How often.
    pub count: u64,
    /// The first of them, and the presentation time of the unit that was decoded then.
    pub first: Option<(Nanos, String)>,
}

/// Hears the complaints of one attempt.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Decoding begins where pictures are taken for lost that nobody shows.
    recovers: bool,
    heard: Mutex<Complaints>,
}

thread_local! {
    /// For whom this thread decodes, and which unit. Threads that a decoder starts itself work for nobody.
    static DECODING: RefCell<Option<(Arc<Hearing>, Nanos)>> = const { RefCell::new(None) };
}

/// For whom a decoder with threads of its own decodes, and the last unit that it was given.
static THREADED: Mutex<Option<(Weak<Hearing>, Nanos)>> = Mutex::new(None);

impl Hearing {
    pub(super) fn new(recovers: bool) -> Arc<Self> {
        Arc::new(Self { recovers, heard: Mutex::default() })
    }

    /// This thread decodes a unit of this time.
    pub(super) fn decodes(self: &Arc<Self>, time: Option<gst::ClockTime>) {
        let time = time.map(gst::ClockTime::nseconds);
        // Those that begin within a GOP need threads (see `DecoderSpec`), and no others have them.
        if let Some(time) = time.filter(|_| self.recovers) {
            *THREADED.lock().unwrap_or_else(PoisonError::into_inner) = Some((Arc::downgrade(self), time));
        }
        DECODING.set(time.map(|time| (self.clone(), time)));
    }

    /// All that was heard.
    pub(super) fn heard(&self) -> Complaints {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn complained(&self, time: Nanos, what: &str) {
        if self.recovers && is_of_references(what) {
            return;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.count += 1;
        heard.first.get_or_insert_with(|| (time, what.to_owned()));
    }
}

/// From now on the lanes of this process hear what their decoders complain of. GStreamer's log belongs to the process, so
/// this is for a program to decide, and not for an element.
pub fn hear_decoders() {
    hear_lanes(|_| ());
}

/// The same where nothing but lanes decodes: what threads of decoders say belongs to the lane that was last given a unit for
/// such a decoder. Where there is more than one, the time may be that of another's unit.
pub fn hear_all_decoders() {
    hear_lanes(|what| {
        let threaded = THREADED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((hearing, time)) = threaded.and_then(|(hearing, time)| Some((hearing.upgrade()?, time))) {
            hearing.complained(time, what);
        }
    });
}

/// Has lanes hear what their own threads say, and `others` what others say.
fn hear_lanes(others: impl Fn(&str) + Send + Sync + 'static) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        listen(move |what| {
            DECODING.with_borrow(|decoding| match decoding {
                Some((hearing, time)) => hearing.complained(*time, what),
                None => others(what),
            });
        });
    });
}

/// Calls `told` with each complaint of a decoder that is in no lane, on the thread that decodes. For programs too.
pub fn hear(told: impl Fn(&str) + Send + Sync + 'static) {
    listen(move |what| {
        if DECODING.with_borrow(Option::is_none) {
            told(what);
        }
    });
}

fn listen(told: impl Fn(&str) + Send + Sync + 'static) {
    // Its plugin makes the category. Where it is not installed there is nothing to hear.
    let _ = gst::Plugin::load_by_name("libav");
    let Some(category) = gst::DebugCategory::get("libav") else { return };
    if category.threshold() < gst::DebugLevel::Error {
        // Where nobody asked to see the log it stays unseen.
        if std::env::var_os("GST_DEBUG").is_none() {
            gst::log::remove_default_log_function();
        }
        category.set_threshold(gst::DebugLevel::Error);
    }
    gst::log::add_log_function(move |from, level, _, _, _, _, message| {
        if from == category
            && level == gst::DebugLevel::Error
            && let Some(text) = message.get()
        {
            told(text.trim());
        }
    });
}

/// What libavcodec's decoders of H.264 and HEVC say of pictures that others refer to and that are not there
/// (`h264_refs.c`, `h264_slice.c`, `h264_picture.c`, `h264_direct.c`, `hevc_refs.c`).
fn is_of_references(complaint: &str) -> bool {
    const WORDS: [&str; 9] = [
        "mmco:",
        "issing reference picture",
        "reference picture missing",
        "illegal short term buffer state",
        "number of reference frames",
        "reference count overflow",
        "Frame num gap",
        "co located POCs unavailable",
        "Could not find ref with POC",
    ];
    WORDS.iter().any(|words| complaint.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_complaint_is_kept_and_all_are_counted() {
        let hearing = Hearing::new(true);
        for (time, what) in
            [(1, "Missing reference picture, default is 0"), (2, "error while decoding MB 1 2"), (3, "x")]
        {
            hearing.complained(time, what);
        }
        assert_eq!(hearing.heard(), Complaints { count: 2, first: Some((2, "error while decoding MB 1 2".into())) });
        let clean = Hearing::new(false);
        clean.complained(1, "Missing reference picture, default is 0");
        assert_eq!(clean.heard().count, 1);
    }
}
