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

/// Whether an element of `pipeline` took no more data for its form, in words. It says so to whoever gives it more; who has
/// given all by then does not come to know, and not every element between reports it at the end.
pub(crate) fn stopped(pipeline: &gst::Pipeline) -> Option<String> {
    let elements = pipeline.iterate_recurse().into_iter().flatten();
    let mut pads = elements.flat_map(|element| element.src_pads());
    let is_fault = |pad: gst::Pad| pad.last_flow_result() == Err(gst::FlowError::NotNegotiated);
    pads.any(is_fault).then(|| "streaming stopped, reason not-negotiated (-4)".to_owned())
}

/// What an element says is wrong: its own words follow its general ones in the part meant for debugging.
#[must_use]
pub fn said(error: &glib::Error, debug: Option<&str>) -> String {
    let own = debug.and_then(|d| d.split_once('\n')).map(|(_, text)| text.trim().replace('\n', "; "));
    own.filter(|t| !t.is_empty()).unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_is_not_taken_is_noticed_when_all_has_been_given() {
        gst::init().unwrap();
        for stops in [false, true] {
            let line = "appsrc name=a ! queue name=q ! fakesink name=s sync=false async=false";
            let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
            let sink = pipeline.by_name("s").unwrap().static_pad("sink").unwrap();
            let flow = if stops { Err(gst::FlowError::NotNegotiated) } else { Ok(gst::FlowSuccess::Ok) };
            sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                info.flow_res = flow;
                gst::PadProbeReturn::Handled
            });
            let source = pipeline.by_name("a").unwrap();
            pipeline.set_state(gst::State::Playing).unwrap();
            let _: gst::FlowReturn = source.emit_by_name("push-buffer", &[&gst::Buffer::from_slice([1u8])]);
            let queue = pipeline.by_name("q").unwrap();
            while queue.property::<u32>("current-level-buffers") > 0 || stopped(&pipeline).is_some() != stops {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            pipeline.set_state(gst::State::Null).unwrap();
        }
    }
}
