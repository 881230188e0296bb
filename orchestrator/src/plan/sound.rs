//! What happens to a stream of sound.

use super::Action;
use crate::cli::{AudioCodec, Job};
use crate::error::Error;
use crate::mux::{Codec, Container};
use crate::probe::Stream;

/// An encoder for sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundEncoder {
    /// The GStreamer element.
    pub factory: String,
    /// In bits a second; `None` is the element's own default.
    pub bit_rate: Option<u64>,
}

/// What was decided about a stream.
pub(super) enum Decision {
    Keep(Codec, Action),
    Dropped(String),
    /// Left out because it was asked for: nothing to be said.
    Unwanted,
}

/// ffmpeg's names, what they make, and the elements that make it, the best first.
const ENCODERS: &[(&[&str], Codec, &[&str])] = &[
    (&["aac", "libfdk_aac"], Codec::Aac, &["fdkaacenc", "avenc_aac", "voaacenc", "faac"]),
    (&["libopus", "opus"], Codec::Opus, &["opusenc"]),
    (&["libvorbis", "vorbis"], Codec::Vorbis, &["vorbisenc"]),
    (&["flac"], Codec::Flac, &["flacenc"]),
    (&["libmp3lame", "mp3"], Codec::MpegAudio(3), &["lamemp3enc"]),
    (&["mp2", "libtwolame"], Codec::MpegAudio(2), &["twolamemp2enc", "avenc_mp2"]),
    (&["ac3"], Codec::Ac3, &["avenc_ac3"]),
    (&["eac3"], Codec::Eac3, &["avenc_eac3"]),
    (&["alac"], Codec::Alac, &["avenc_alac"]),
];

fn by_codec(codec: &Codec) -> Option<&'static [&'static str]> {
    ENCODERS.iter().find(|(_, c, _)| c == codec).map(|(.., elements)| *elements)
}

pub(super) fn decide(
    job: &Job,
    stream: &Stream,
    container: Container,
    installed: &dyn Fn(&str) -> bool,
) -> Result<Decision, Error> {
    let Some(usual) = container.usual_sound() else {
        return Ok(match job.audio.codec {
            AudioCodec::None => Decision::Unwanted,
            _ => Decision::Dropped(format!("{} holds video only", container.name())),
        });
    };
    let (codec, elements) = match &job.audio.codec {
        AudioCodec::None => return Ok(Decision::Unwanted),
        AudioCodec::Copy | AudioCodec::Auto if container.takes(&stream.codec) => {
            return Ok(Decision::Keep(stream.codec.clone(), Action::Copy));
        }
        AudioCodec::Copy => {
            return Err(Error::Plan {
                what: format!("{} does not hold {}", container.name(), stream.codec.name()),
                hint: format!("leave -c:a away to have it encoded to {}", usual.name()),
            });
        }
        AudioCodec::Auto => {
            let elements = by_codec(&usual).unwrap_or_default();
            (usual, elements.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>())
        }
        AudioCodec::Encoder(name) => {
            let known = ENCODERS
                .iter()
                .find(|(names, _, elements)| names.contains(&name.as_str()) || elements.contains(&name.as_str()));
            let Some((_, codec, elements)) = known else {
                return Err(Error::Plan {
                    what: format!("no sound encoder '{name}'"),
                    hint: format!("-c:a takes copy, none, {}", names()),
                });
            };
            let elements: Vec<String> = if elements.contains(&name.as_str()) {
                vec![name.clone()]
            } else {
                elements.iter().map(|e| (*e).to_owned()).collect()
            };
            if !container.takes(codec) {
                return Err(Error::Plan {
                    what: format!("{} does not hold {}", container.name(), codec.name()),
                    hint: format!("its usual sound is {}", usual.name()),
                });
            }
            (codec.clone(), elements)
        }
    };
    let Some(factory) = elements.iter().find(|e| installed(e)) else {
        let element = elements.first().cloned().unwrap_or_default();
        return Err(Error::NoElement {
            element,
            package: "gstreamer1.0-libav gstreamer1.0-plugins-good gstreamer1.0-plugins-bad",
        });
    };
    let encoder = SoundEncoder { factory: factory.clone(), bit_rate: job.audio.bit_rate };
    Ok(Decision::Keep(codec, Action::Encode(encoder)))
}

fn names() -> String {
    let all: Vec<&str> = ENCODERS.iter().filter_map(|(names, ..)| names.first().copied()).collect();
    all.join(", ")
}
