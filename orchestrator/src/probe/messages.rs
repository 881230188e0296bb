//! What a pipeline says, from its first moment on, and the end of an input that breaks off.

use gst::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::error::Error;

/// The messages that the opening of an input and the run behind it have to know of, in the order they were posted.
///
/// There is no bound: whoever posts may be the thread that hears, and must not wait for itself. What is heard comes once
/// for a chunk, a stream or a fault, so that no more wait than a standing terminal leaves unheard, a few hundred bytes each.
pub type Messages = UnboundedReceiver<gst::Message>;

/// Listens to `pipeline`.
///
/// An element that reports an error does so in the thread that carries its data, and some of GStreamer 1.22 send no end
/// behind it. The end is sent here, from that same thread: it goes behind all data and before none, in every run. An
/// element that ends by itself as well is refused a second end.
pub(super) fn listen(pipeline: &gst::Pipeline) -> Result<Messages, Error> {
    let Some(bus) = pipeline.bus() else {
        return Err(Error::Fault { what: "a pipeline without a bus".into() });
    };
    let (sender, receiver) = unbounded_channel();
    bus.set_sync_handler(move |_, message| {
        use gst::MessageType as T;
        let heard = [T::Error, T::Warning, T::Info, T::Eos, T::Application, T::Element, T::StreamCollection];
        if heard.contains(&message.type_()) {
            // The receiver is gone only when the run is over.
            let _ = sender.send(message.clone());
        }
        if message.type_() == T::Error
            && let Some(element) = message.src().and_then(|src| src.downcast_ref::<gst::Element>())
        {
            end(element);
        }
        gst::BusSyncReply::Drop
    });
    Ok(receiver)
}

/// Sources have data of their own waiting, and end behind it.
fn end(element: &gst::Element) {
    if element.element_flags().contains(gst::ElementFlags::SOURCE) {
        return;
    }
    for pad in element.src_pads() {
        pad.push_event(gst::event::Eos::new());
    }
}

/// What an element says is wrong: its own words follow its general ones in the part meant for debugging.
#[must_use]
pub fn said(error: &glib::Error, debug: Option<&str>) -> String {
    let own = debug.and_then(|d| d.split_once('\n')).map(|(_, text)| text.trim().replace('\n', "; "));
    own.filter(|t| !t.is_empty()).unwrap_or_else(|| error.to_string())
}
