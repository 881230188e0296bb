//! Which decoder reads a stream, and how it is set so that the same units give the same pictures everywhere.

use gst::prelude::*;

use super::coding::syntax;
use crate::chunk::{Fields, Start, Syntax};

/// A decoder, and the way its stream is laid out.
#[derive(Debug, Clone)]
pub struct DecoderSpec {
    factory: gst::ElementFactory,
    syntax: Option<Syntax>,
}

impl DecoderSpec {
    /// The decoder that reads these caps here: the highest ranked that works in software, so that every machine decodes
    /// the same pictures. Decoders of sound are found as well.
    pub fn of(caps: &gst::Caps) -> Option<Self> {
        let all = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL);
        let mut fit: Vec<gst::ElementFactory> =
            all.into_iter().filter(|f| !f.klass().contains("Hardware") && f.can_sink_all_caps(caps)).collect();
        // The other decoders of Motion JPEG round and upsample as the library of still pictures does, not as ffmpeg.
        if caps.structure(0).is_some_and(|s| s.name() == "image/jpeg") {
            fit.retain(|f| f.name() == "avdec_mjpeg");
        }
        fit.sort_by(|a, b| b.rank().cmp(&a.rank()).then_with(|| a.name().cmp(&b.name())));
        Some(Self { factory: fit.into_iter().next()?, syntax: caps.structure(0).and_then(syntax) })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.factory.name().to_string()
    }

    /// How its units are laid out; `None` for what is not known to be cut.
    pub fn syntax(&self) -> Option<Syntax> {
        self.syntax
    }

    /// Makes one of many that work at the same time, for units that begin with a start of this kind, if with any.
    ///
    /// More threads in each would hold more pictures, and wait for those of the others.
    pub fn build_of_many(&self, start: Option<Start>) -> Result<gst::Element, glib::BoolError> {
        let decoder = self.build(start)?;
        if !self.needs_threads(start) {
            for name in ["max-threads", "threads"] {
                if decoder.has_property(name) {
                    decoder.set_property_from_str(name, "1");
                }
            }
        }
        Ok(decoder)
    }

    /// Makes one for units that begin with a start of this kind, if with any. It may have a thread for each core.
    pub fn build(&self, start: Option<Start>) -> Result<gst::Element, glib::BoolError> {
        let decoder = self.factory.create().build()?;
        // A picture that libav decodes into GStreamer's memory is copied while it is still referred to, and a pool of as many
        // as the encoder may hold stays unused beside it.
        for (name, value) in [("max-errors", "-1"), ("qos", "false"), ("direct-rendering", "false")] {
            if decoder.has_property(name) {
                decoder.set_property_from_str(name, value);
            }
        }
        if hides_damage(&self.factory.name(), start) && decoder.has_property("max-threads") {
            decoder.set_property("max-threads", 1i32);
        } else if decoder.has_property("max-threads") && self.needs_threads(start) {
            decoder.set_property("max-threads", FRAME_THREADS);
        }
        Ok(decoder)
    }

    /// H.264 that begins within a GOP: with one thread avdec_h264 of 1.22 loses the pictures around each gap in the frame
    /// numbers.
    fn needs_threads(&self, start: Option<Start>) -> bool {
        self.factory.name() == "avdec_h264" && start != Some(Start::Clean)
    }
}

/// The fewest that make avdec_h264 decode several pictures at once.
const FRAME_THREADS: i32 = 2;

/// Decoders that hide what is damaged by the pictures around it: with several threads, by as much of them as happened to
/// be there. H.264 that begins within a GOP needs the threads all the same.
fn hides_damage(factory: &str, start: Option<Start>) -> bool {
    let kinds = ["mpeg4", "msmpeg4", "mpeg2video", "mpegvideo", "h263", "flv", "wmv", "vc1"];
    match factory.strip_prefix("avdec_") {
        Some("h264") => start == Some(Start::Clean),
        Some(kind) => kinds.iter().any(|k| kind.starts_with(k)),
        None => false,
    }
}

/// What finds single fields in units of these caps.
pub fn fields_of(caps: &gst::CapsRef) -> Fields {
    let config = caps.structure(0).and_then(|s| s.get::<gst::Buffer>("codec_data").ok());
    let config = config.as_ref().and_then(|config| config.map_readable().ok());
    Fields::new(config.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_follow_from_where_decoding_starts() {
        gst::init().unwrap();
        let threads = |start| {
            let spec =
                DecoderSpec::of(&"video/x-h264, stream-format=byte-stream, alignment=au".parse().unwrap()).unwrap();
            assert_eq!(spec.name(), "avdec_h264");
            spec.build(start).unwrap().property::<i32>("max-threads")
        };
        assert_eq!((threads(Some(Start::Clean)), threads(Some(Start::Recovers)), threads(None)), (1, 2, 2));
    }

    #[test]
    fn each_of_many_has_one_thread_where_that_is_enough() {
        gst::init().unwrap();
        let threads = |caps: &str, start, property: &str| {
            let spec = DecoderSpec::of(&caps.parse().unwrap()).unwrap();
            let decoder = spec.build_of_many(Some(start)).unwrap();
            let value = decoder.property_value(property);
            value.get::<i32>().map_or_else(|_| value.get::<u32>().unwrap(), |count| count.unsigned_abs())
        };
        let hevc = "video/x-h265, stream-format=byte-stream, alignment=au";
        assert_eq!(threads(hevc, Start::Recovers, "max-threads"), 1);
        assert_eq!(threads("video/x-prores, variant=hq", Start::Clean, "max-threads"), 1);
        assert_eq!(threads("video/x-vp9", Start::Clean, "threads"), 1);
        let h264 = "video/x-h264, stream-format=byte-stream, alignment=au";
        assert_eq!(threads(h264, Start::Clean, "max-threads"), 1);
        assert_eq!(threads(h264, Start::Recovers, "max-threads"), 2);
    }
}
