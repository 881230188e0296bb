//! A lane in this process: `appsrc ! [decoder] ! [filter] ! encoder ! appsink`, made anew for each chunk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use glib::object::Cast as _;
use gst::prelude::*;

use crate::chunk::Start;
use crate::store::Kept;

use super::complaints::Hearing;
use super::known::Ending;
use super::lead_in::LeadIn;
use super::memory;
use super::wanted::Sieve;
use super::{Attempt, Encoded, Lane, LaneError, Made, Next, Outlet, frames};

/// A lane in this process.
///
/// Decoder and encoder work on the appsrc's thread, which waits for the input and hands over the units; the thread that
/// called [`Lane::encode`] waits for the end and takes the pipeline down.
#[derive(Debug, Default)]
pub struct LocalLane;

#[derive(Debug, Default)]
struct Collected {
    caps: Option<gst::Caps>,
    caps_changed: bool,
    units: Vec<Kept>,
    segment_start: Option<u64>,
    tags: Option<gst::TagList>,
}

impl Lane for LocalLane {
    fn encode(&mut self, attempt: &Attempt) -> Result<Encoded, LaneError> {
        memory::hand_out_zeros();
        let collected = Arc::<Mutex<Collected>>::default();
        let recovers = attempt.wanted.as_ref().is_some_and(|wanted| wanted.start() == Some(Start::Recovers));
        let hearing = Hearing::new(recovers);
        let Built { pipeline, encoder, sieve } = build(attempt, &collected, &hearing)?;
        let bus = pipeline.bus().ok_or_else(|| LaneError::Start("its pipeline has no bus".into()))?;
        match attempt.format.encoder.ending() {
            Ending::Whole => {}
            Ending::InParts => keep_eos(&encoder, &bus),
            Ending::Unasked => pass_eos_by(&encoder),
        }
        attempt.cancel.on_cancel({
            let (input, bus) = (attempt.input.clone(), bus.downgrade());
            move || {
                input.cancel();
                if let Some(bus) = bus.upgrade() {
                    // Fails only when the bus is flushing, which means that the attempt is over.
                    let _ = bus.post(gst::message::Application::new(gst::Structure::new_empty(CANCEL)));
                }
            }
        });

        let outcome = match pipeline.set_state(gst::State::Playing) {
            Ok(_) => wait(&bus, &encoder, attempt),
            Err(_) if attempt.cancel.is_cancelled() => Err(LaneError::Cancelled),
            Err(_) => Err(first_error(&bus, attempt)),
        };
        // An appsrc that waits in the input would hold the state change up.
        if outcome.is_err() {
            attempt.input.cancel();
        }
        // Always succeeds on the way down.
        let _ = pipeline.set_state(gst::State::Null);
        drop((bus, encoder, pipeline));
        memory::give_back(attempt.progress.frames());
        outcome?;

        let collected = std::mem::take(&mut *lock(&collected));
        let lost = sieve.map(|sieve| sieve.lost()).unwrap_or_default();
        if collected.caps_changed {
            return Err(LaneError::Encoder {
                element: attempt.format.encoder.factory_name().into(),
                message: "its caps changed within a chunk".into(),
                debug: None,
            });
        }
        // No frame could be decoded, which is the input's fault and no encoder's.
        let nothing = attempt.wanted.is_some() && attempt.progress.frames() == 0;
        let caps = collected.caps.or_else(|| nothing.then(gst::Caps::new_empty)).ok_or(LaneError::Nothing)?;
        Ok(Encoded {
            caps,
            units: collected.units,
            segment_start: collected.segment_start.unwrap_or(0),
            tags: collected.tags,
            lost,
            complaints: hearing.heard(),
        })
    }
}

const CANCEL: &str = "divien-lane-cancel";
const ENDED: &str = "divien-lane-ended";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(bus: &gst::Bus, encoder: &gst::Element, attempt: &Attempt) -> Result<(), LaneError> {
    use gst::MessageView;
    let ends = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Application];
    loop {
        let Some(message) = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends) else {
            return Err(LaneError::Cancelled);
        };
        match message.view() {
            MessageView::Eos(_) => return Ok(()),
            MessageView::Error(_) if attempt.cancel.is_cancelled() => return Err(LaneError::Cancelled),
            MessageView::Error(error) if found_no_frame(error, attempt) => return Ok(()),
            // Of a unit: those that follow come all the same.
            MessageView::Error(error) if cannot_decode(error, attempt) => {}
            MessageView::Error(error) => return Err(best_error(bus, error, attempt)),
            MessageView::Application(m) if m.structure().is_some_and(|s| s.name() == CANCEL) => {
                return Err(LaneError::Cancelled);
            }
            MessageView::Application(m) if m.structure().is_some_and(|s| s.name() == ENDED) => {
                end_again(encoder, attempt);
            }
            _ => {}
        }
    }
}

/// True for what a decoder says that has had all units and could make no frame of them.
fn found_no_frame(error: &gst::message::Error, attempt: &Attempt) -> bool {
    cannot_decode(error, attempt) && attempt.progress.frames() == 0 && attempt.progress.has_ended()
}

/// True for what a decoder says of damaged units.
fn cannot_decode(error: &gst::message::Error, attempt: &Attempt) -> bool {
    let Some(decoder) = attempt.format.decoder.as_ref() else { return false };
    let from = error.src().and_then(|s| s.downcast_ref::<gst::Element>()).and_then(|e| e.factory());
    // av1dec calls that a library which does not start.
    let of_units = error.error().matches(gst::StreamError::Decode) || error.error().matches(gst::LibraryError::Init);
    of_units && from.is_some_and(|f| f.name() == decoder.name())
}

/// Hands a decoder the next unit whatever it made of the last one. What does not come of it is missed; an error that is not
/// the decoder's has a message of its own.
fn go_on(decoder: &gst::Element) {
    let Some(src) = decoder.static_pad("sink").and_then(|sink| sink.peer()) else { return };
    src.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let Some(gst::PadProbeData::Buffer(unit)) = info.data.take() else { return gst::PadProbeReturn::Ok };
        info.flow_res = match pad.peer().map(|decoder| decoder.chain(unit)) {
            Some(Err(gst::FlowError::Error)) => Ok(gst::FlowSuccess::Ok),
            Some(flow) => flow,
            None => Err(gst::FlowError::NotLinked),
        };
        gst::PadProbeReturn::Handled
    });
}

/// Keeps the EOS of an encoder that ends in parts, and says so on the bus the first time.
fn keep_eos(encoder: &gst::Element, bus: &gst::Bus) {
    let Some(src) = encoder.static_pad("src") else { return };
    let bus = bus.downgrade();
    let kept = AtomicBool::new(false);
    src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if !info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            return gst::PadProbeReturn::Ok;
        }
        if !kept.swap(true, Ordering::Relaxed)
            && let Some(bus) = bus.upgrade()
        {
            // Fails only when the bus is flushing, which means that the attempt is over.
            let _ = bus.post(gst::message::Application::new(gst::Structure::new_empty(ENDED)));
        }
        info.data = None;
        gst::PadProbeReturn::Handled
    });
}

/// Hands EOS on behind an encoder that has nothing left to give.
fn pass_eos_by(encoder: &gst::Element) {
    let (Some(sink), Some(src)) = (encoder.static_pad("sink"), encoder.static_pad("src")) else { return };
    let src = src.downgrade();
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let Some(event) = info.event().filter(|event| event.type_() == gst::EventType::Eos) else {
            return gst::PadProbeReturn::Ok;
        };
        if let Some(src) = src.upgrade() {
            src.push_event(event.to_owned());
        }
        info.data = None;
        gst::PadProbeReturn::Handled
    });
}

/// Gets what an encoder still holds after EOS: a new stream-start on either pad takes EOS back, so that units can flow
/// and EOS can be sent again.
fn end_again(encoder: &gst::Element, attempt: &Attempt) {
    let (Some(sink), Some(src)) = (encoder.static_pad("sink"), encoder.static_pad("src")) else { return };
    let stream = sink.sticky_event::<gst::event::StreamStart>(0).map(|start| start.stream_id().to_owned());
    let stream_start = || gst::event::StreamStart::new(stream.as_deref().unwrap_or_default());
    loop {
        let before = attempt.progress.made();
        src.push_event(stream_start());
        sink.send_event(stream_start());
        sink.send_event(gst::event::Eos::new());
        if attempt.progress.made() == before || attempt.cancel.is_cancelled() {
            break;
        }
    }
    if let Some(peer) = src.peer() {
        peer.send_event(gst::event::Eos::new());
    }
}

fn first_error(bus: &gst::Bus, attempt: &Attempt) -> LaneError {
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    match message.as_ref().map(|m| m.view()) {
        Some(gst::MessageView::Error(error)) => best_error(bus, error, attempt),
        _ => LaneError::Start("its state did not change".into()),
    }
}

/// The encoder's own error, where it gave one, says more than that of the source whose frame it refused.
fn best_error(bus: &gst::Bus, first: &gst::message::Error, attempt: &Attempt) -> LaneError {
    let is_source = |m: &gst::message::Error| m.src().is_some_and(|s| s.is::<gst_app::AppSrc>());
    if first.error().matches(gst::ResourceError::Write) && first.src().is_some_and(|s| s.is::<gst_app::AppSink>()) {
        return LaneError::Unkept { error: first.error().message().to_owned() };
    }
    if !is_source(first) {
        return encoder_error(first);
    }
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
        if let gst::MessageView::Error(other) = message.view()
            && !is_source(other)
        {
            return encoder_error(other);
        }
    }
    if first.debug().is_some_and(|d| d.contains("not-negotiated")) {
        let mut chain = attempt.format.decoder.iter().map(|d| d.name()).collect::<Vec<_>>();
        chain.push(attempt.format.encoder.factory_name().into());
        return LaneError::Refused {
            encoder: chain.join(" ! "),
            input: attempt.format.input.clone(),
            output: attempt.format.output.clone(),
        };
    }
    encoder_error(first)
}

fn encoder_error(error: &gst::message::Error) -> LaneError {
    let factory = error.src().and_then(|s| s.downcast_ref::<gst::Element>()).and_then(|e| e.factory());
    LaneError::Encoder {
        element: factory.map_or_else(|| "the lane".to_owned(), |f| f.name().to_string()),
        message: error.error().message().trim_end_matches('.').to_owned(),
        // The first line only says where in the element's source the error was made.
        debug: error.debug().and_then(|d| Some(d.split_once('\n')?.1.trim().to_owned())).filter(|d| !d.is_empty()),
    }
}

/// A lane's pipeline.
struct Built {
    pipeline: gst::Pipeline,
    encoder: gst::Element,
    sieve: Option<Arc<Sieve>>,
}

fn build(attempt: &Attempt, collected: &Arc<Mutex<Collected>>, hearing: &Arc<Hearing>) -> Result<Built, LaneError> {
    let start = |e: &dyn std::fmt::Display| LaneError::Start(e.to_string());
    let format = &attempt.format;
    let feed = feed(attempt, hearing.clone());
    let src = gst_app::AppSrc::builder().caps(&format.input).format(gst::Format::Time).callbacks(feed).build();
    let mut elements: Vec<gst::Element> = vec![src.upcast()];
    let mut sieve = None;
    if let (Some(decoder), Some(wanted)) = (&format.decoder, &attempt.wanted) {
        let decoder = decoder.build_of_many(wanted.start()).map_err(|e| start(&e))?;
        let frames = Arc::new(Sieve::new(wanted.clone()));
        let passing = frames::of_a_chunk(frames.clone(), &format.filter, attempt.progress.clone());
        sieve = Some(frames);
        elements.extend([decoder, passing.map_err(|e| start(&e))?]);
    }
    elements.extend(format.filter.build(sieve.is_some()).map_err(|e| start(&e))?);
    let encoder = format.encoder.build().map_err(|e| start(&e))?;
    if let (Some(fields), Some(before)) = (&format.frame_caps, elements.last()) {
        tell_frames(before, fields);
    }
    watch_tags(&encoder, collected);
    let lead_in = LeadIn::new(attempt.lead_in());
    if attempt.lead_in() > 0 {
        elements.push(lead_in.element(&encoder).map_err(|e| start(&e))?);
    }
    let sink = gst_app::AppSink::builder()
        .caps(&format.output)
        .sync(false)
        // A decoder's error before the first unit would keep the sink from playing.
        .async_(false)
        .callbacks(collect(attempt, collected.clone(), &encoder, lead_in.clone()))
        .build();
    accept_what_meets(&sink, &format.output);
    elements.extend([encoder.clone(), sink.upcast()]);
    let pipeline = gst::Pipeline::new();
    pipeline.add_many(&elements).map_err(|e| start(&e))?;
    gst::Element::link_many(&elements).map_err(|e| start(&e))?;
    if let (Some(_), Some(decoder)) = (&sieve, elements.get(1)) {
        go_on(decoder);
    }
    Ok(Built { pipeline, encoder, sieve })
}

/// Puts these fields into the caps that leave `element`. With an interlace mode among them they are all that is said of
/// the frames beside their layout.
fn tell_frames(element: &gst::Element, fields: &gst::Structure) {
    let (Some(src), fields) = (element.static_pad("src"), fields.clone()) else { return };
    src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) {
            let mut caps = caps.caps_owned();
            for structure in caps.make_mut().iter_mut() {
                if fields.has_field("interlace-mode") {
                    let others =
                        structure.fields().map(ToString::to_string).filter(|name| !LAYOUT.contains(&name.as_str()));
                    structure.remove_fields(others.collect::<Vec<_>>());
                }
                for (name, value) in fields.iter() {
                    structure.set_value(name, value.clone());
                }
            }
            info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
        }
        gst::PadProbeReturn::Ok
    });
}

const LAYOUT: [&str; 3] = ["format", "width", "height"];

/// Parsers and muxers take caps that lack fields of theirs, where appsink wants all. One that wants all as well refuses
/// the joined stream's.
fn accept_what_meets(sink: &gst_app::AppSink, wanted: &gst::Caps) {
    let (Some(pad), wanted) = (sink.static_pad("sink"), wanted.clone()) else { return };
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
        if let Some(gst::QueryViewMut::AcceptCaps(query)) = info.query_mut().map(|query| query.view_mut()) {
            let meets = query.caps().can_intersect(&wanted);
            query.set_result(meets);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Keeps the first tags that the encoder sends; appsink would drop them.
fn watch_tags(encoder: &gst::Element, collected: &Arc<Mutex<Collected>>) {
    let (Some(src), collected) = (encoder.static_pad("src"), collected.clone()) else { return };
    src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Tag(tag)) = info.event().map(|event| event.view()) {
            lock(&collected).tags.get_or_insert_with(|| tag.tag_owned());
        }
        gst::PadProbeReturn::Ok
    });
}

fn feed(attempt: &Attempt, hearing: Arc<Hearing>) -> gst_app::AppSrcCallbacks {
    let (input, progress) = (attempt.input.clone(), attempt.progress.clone());
    let are_frames = attempt.wanted.is_none();
    gst_app::AppSrcCallbacks::builder()
        .need_data(move |src, _| {
            // Both fail only while the pipeline is being taken down.
            let _ = match input.next() {
                Next::Frame(frame) => {
                    if are_frames {
                        progress.add_frame();
                    }
                    hearing.decodes(frame.pts().filter(|_| !are_frames));
                    src.push_buffer(frame)
                }
                Next::End => {
                    progress.end();
                    src.end_of_stream()
                }
                Next::Unreadable(error) => {
                    gst::element_error!(
                        src,
                        gst::ResourceError::Read,
                        ["a frame cannot be read where it waited: {error}"]
                    );
                    Err(gst::FlowError::Error)
                }
                Next::Cancelled => {
                    // Nothing else tells whoever waits for the encoder that no more comes.
                    let told = gst::message::Application::builder(gst::Structure::new_empty(CANCEL)).src(src).build();
                    let _ = src.post_message(told);
                    Err(gst::FlowError::Flushing)
                }
            };
        })
        .build()
}

fn collect(
    attempt: &Attempt,
    collected: Arc<Mutex<Collected>>,
    encoder: &gst::Element,
    lead_in: Arc<LeadIn>,
) -> gst_app::AppSinkCallbacks {
    let (progress, result, encoder) = (attempt.progress.clone(), attempt.result.clone(), encoder.downgrade());
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let (Some(unit), Some(caps)) = (sample.buffer_owned(), sample.caps()) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            let unit = match lead_in.pass(unit, caps) {
                Ok(Some(unit)) => unit,
                Ok(None) => {
                    progress.throw_unit();
                    return Ok(gst::FlowSuccess::Ok);
                }
                Err(why) => {
                    if let Some(encoder) = encoder.upgrade() {
                        gst::element_error!(encoder, gst::StreamError::Encode, ["{why}"]);
                    }
                    return Err(gst::FlowError::Error);
                }
            };
            progress.add_unit(unit.size());
            let (caps, segment_start) = {
                let mut collected = lock(&collected);
                let start = || sample.segment()?.downcast_ref::<gst::ClockTime>()?.start();
                let segment_start =
                    *collected.segment_start.get_or_insert_with(|| start().map_or(0, gst::ClockTime::nseconds));
                if let Some(caps) = sample.caps_owned() {
                    match &collected.caps {
                        Some(first) if *first != caps => collected.caps_changed = true,
                        Some(_) => {}
                        None => collected.caps = Some(caps),
                    }
                }
                (collected.caps.clone(), segment_start)
            };
            match &result {
                Outlet::Store(store) => {
                    let kept = store.keep(unit).map_err(|error| {
                        gst::element_error!(sink, gst::ResourceError::Write, ("{error}"));
                        gst::FlowError::Error
                    })?;
                    lock(&collected).units.push(kept);
                }
                Outlet::Leave(leave) => {
                    let caps = caps.unwrap_or_else(gst::Caps::new_any);
                    if !leave(Made { unit, caps, segment_start }) {
                        return Err(gst::FlowError::Flushing);
                    }
                }
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::{EncoderSpec, Format};
    use super::*;
    use crate::store::Store;

    const CAPS: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1";

    fn attempt(encoder: &str) -> Attempt {
        gst::init().unwrap();
        let format = Format {
            encoder: EncoderSpec::parse(encoder, 0).unwrap(),
            input: CAPS.parse().unwrap(),
            decoder: None,
            filter: super::super::FilterSpec::default(),
            frame_caps: None,
            output: gst::Caps::new_any(),
            lead_in: 0,
        };
        Attempt::new(Arc::new(format), Arc::default(), None, Outlet::Store(Store::new(0)))
    }

    #[test]
    fn an_attempt_called_off_before_it_starts_ends_at_once() {
        let attempt = attempt("x264enc");
        attempt.cancel.cancel();
        let (told, ended) = mpsc::channel();
        std::thread::spawn(move || told.send(LocalLane.encode(&attempt).map(|_| ())));
        let outcome = ended.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(matches!(outcome, Err(LaneError::Cancelled)), "{outcome:?}");
    }

    #[test]
    fn an_encoder_that_ends_in_parts_is_not_asked_for_more_once_it_is_called_off() {
        let attempt = attempt("vp8enc");
        let encoder = gst::ElementFactory::make("identity").build().unwrap();
        let asked = Arc::<std::sync::atomic::AtomicU32>::default();
        let (counted, in_probe) = (asked.clone(), attempt.clone());
        // Each time it gives one more unit, and it is called off at the second.
        encoder.static_pad("src").unwrap().add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
                let rounds = counted.fetch_add(1, Ordering::Relaxed) + 1;
                if rounds == 2 {
                    in_probe.cancel.cancel();
                }
                if rounds < 10 {
                    in_probe.progress.add_unit(1);
                }
            }
            gst::PadProbeReturn::Handled
        });
        encoder.set_state(gst::State::Paused).unwrap();
        end_again(&encoder, &attempt);
        encoder.set_state(gst::State::Null).unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
