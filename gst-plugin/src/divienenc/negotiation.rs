//! What a single encoder in this place would accept.
//!
//! A filter and an encoder that never see a frame are asked, with its source pad's peer answering for the element's own, so that
//! what is downstream restricts what is upstream just as it would without chunks.

use gst::prelude::*;

use crate::lane::{EncoderSpec, FilterSpec, SpecError};

/// The encoder that is asked.
#[derive(Debug)]
pub(super) struct Negotiation {
    encoder: gst::Element,
    filter: Vec<gst::Element>,
    /// Owned here because a link holds no reference.
    peer: gst::Pad,
    output: gst::Caps,
}

impl Negotiation {
    pub(super) fn new(spec: &EncoderSpec, filter: &FilterSpec, srcpad: &gst::Pad) -> Result<Self, SpecError> {
        let encoder = spec.build()?;
        let filter = filter.build(false)?;
        let chain: Vec<_> = filter.iter().chain([&encoder]).collect();
        // A link that cannot be leaves the filter's answer without the encoder's; the lanes tell why they do not start.
        let _ = gst::Element::link_many(chain);
        let output = spec.output_caps();
        let srcpad = srcpad.downgrade();
        let peer = gst::Pad::builder(gst::PadDirection::Sink)
            .query_function(move |pad, parent, query| match srcpad.upgrade() {
                Some(srcpad) if query.type_() == gst::QueryType::Caps => srcpad.peer_query(query),
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .build();
        if let Some(src) = encoder.static_pad("src") {
            // Without a link the encoder answers with what it can do itself, which is right as well.
            let _ = src.link_full(&peer, gst::PadLinkCheck::empty());
        }
        Ok(Self { encoder, filter, peer, output })
    }

    /// What may come in.
    pub(super) fn input(&self, filter: Option<&gst::CapsRef>) -> gst::Caps {
        let filter = filter.map(gst::CapsRef::to_owned);
        let sink = self.filter.first().unwrap_or(&self.encoder).static_pad("sink");
        let caps = sink.map_or_else(gst::Caps::new_any, |pad| pad.query_caps(filter.as_ref()));
        // Frames have to be readable by every lane, so they are in system memory.
        caps.intersect_with_mode(&gst::Caps::new_empty_simple("video/x-raw"), gst::CapsIntersectMode::First)
    }

    /// What may go out.
    pub(super) fn output(&self, srcpad: &gst::Pad) -> gst::Caps {
        let mut wanted = srcpad.peer_query_caps(None);
        if !wanted.is_any() {
            // As they are: fields of the encoder's template need not be in the caps that it sets.
            wanted.make_mut().filter_map_in_place(|features, structure| {
                let one = gst::Caps::builder_full()
                    .structure_with_features(structure.to_owned(), features.to_owned())
                    .build();
                match one.can_intersect(&self.output) {
                    true => gst::CapsFilterMapAction::Keep,
                    false => gst::CapsFilterMapAction::Remove,
                }
            });
        }
        wanted
    }

    /// What the encoder could give, whoever is downstream.
    pub(super) fn output_template(&self) -> &gst::Caps {
        &self.output
    }
}

impl Drop for Negotiation {
    fn drop(&mut self) {
        if let Some(src) = self.encoder.static_pad("src") {
            let _ = src.unlink(&self.peer);
        }
        for element in self.filter.iter().chain([&self.encoder]) {
            let _ = element.set_state(gst::State::Null);
        }
    }
}
