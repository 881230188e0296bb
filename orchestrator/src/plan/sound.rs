//! What happens to a stream of sound.

use super::Action;
use crate::cli::{AudioArgs, AudioCodec, Job};
use crate::error::Error;
use crate::mux::{Codec, Container};
use crate::probe::Stream;

/// An encoder for sound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SoundEncoder {
    /// The GStreamer element.
    pub factory: String,
    /// In bits a second; `None` is the element's own default.
    pub bit_rate: Option<u64>,
    /// Channels, where they are not the input's.
    pub channels: Option<u32>,
    /// Samples a second, where they are not the input's.
    pub rate: Option<u32>,
}

/// What was decided about a stream.
pub(super) enum Decision {
    Keep(Codec, Action),
    Dropped(String),
    /// Left out because it was asked for: nothing to be said.
    Unwanted,
}

/// What AAC is made with where nobody named ffmpeg's own.
const BEST_AAC: &str = "fdkaacenc";

/// ffmpeg's names, what they make, and the elements that make it: for a library's name its own element alone.
const ENCODERS: &[(&[&str], Codec, &[&str])] = &[
    (&["aac"], Codec::Aac, &["avenc_aac", BEST_AAC, "voaacenc", "faac"]),
    (&["libfdk_aac"], Codec::Aac, &[BEST_AAC]),
    (&["libopus", "opus"], Codec::Opus, &["opusenc"]),
    (&["libvorbis", "vorbis"], Codec::Vorbis, &["vorbisenc"]),
    (&["flac"], Codec::Flac, &["flacenc"]),
    (&["libmp3lame", "mp3"], Codec::MpegAudio(3), &["lamemp3enc"]),
    (&["mp2"], Codec::MpegAudio(2), &["avenc_mp2", "twolamemp2enc"]),
    (&["libtwolame"], Codec::MpegAudio(2), &["twolamemp2enc"]),
    (&["ac3"], Codec::Ac3, &["avenc_ac3"]),
    (&["eac3"], Codec::Eac3, &["avenc_eac3"]),
    (&["alac"], Codec::Alac, &["avenc_alac"]),
];

/// Plain samples by ffmpeg's name and by GStreamer's.
const PCM: &[(&str, &str)] = &[
    ("pcm_u8", "U8"),
    ("pcm_s16le", "S16LE"),
    ("pcm_s24le", "S24LE"),
    ("pcm_s32le", "S32LE"),
    ("pcm_s16be", "S16BE"),
    ("pcm_s24be", "S24BE"),
    ("pcm_s32be", "S32BE"),
    ("pcm_f32le", "F32LE"),
    ("pcm_f64le", "F64LE"),
];

/// Where the codec alone is asked for, the best for it, the first that is installed.
fn usual_elements(codec: &Codec) -> Vec<&'static str> {
    let listed = ENCODERS.iter().find(|(_, c, _)| c == codec).map_or(&[][..], |(.., elements)| *elements);
    let mut elements = listed.to_vec();
    elements.sort_by_key(|element| *element != BEST_AAC);
    elements
}

/// The codec and the elements that a name after `-c:a` stands for.
fn named(name: &str) -> Option<(Codec, Vec<&str>)> {
    if let Some((_, format)) = PCM.iter().find(|(pcm, _)| *pcm == name) {
        return Some((Codec::Pcm((*format).to_owned()), vec!["audioconvert"]));
    }
    if let Some((_, codec, elements)) = ENCODERS.iter().find(|(names, ..)| names.contains(&name)) {
        return Some((codec.clone(), elements.to_vec()));
    }
    ENCODERS.iter().find(|(.., elements)| elements.contains(&name)).map(|(_, codec, _)| (codec.clone(), vec![name]))
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
        // What only an encoder can do asks for an encode, as it does in ffmpeg.
        AudioCodec::Auto if container.takes(&stream.codec) && !needs_encoder(&job.audio) => {
            return Ok(Decision::Keep(stream.codec.clone(), Action::Copy));
        }
        AudioCodec::Copy if container.takes(&stream.codec) => {
            return Ok(Decision::Keep(stream.codec.clone(), Action::Copy));
        }
        AudioCodec::Copy => {
            return Err(Error::Plan {
                what: format!("{} does not hold {}", container.name(), stream.codec.name()),
                hint: format!("leave -c:a away to have it encoded to {}", usual.name()),
            });
        }
        AudioCodec::Auto => {
            let elements = usual_elements(&usual);
            (usual, elements)
        }
        AudioCodec::Encoder(name) => {
            let Some((codec, elements)) = named(name) else {
                return Err(Error::Plan {
                    what: format!("no sound encoder '{name}'"),
                    hint: format!("-c:a takes copy, none, {}", names()),
                });
            };
            if !container.takes(&codec) {
                return Err(Error::Plan {
                    what: format!("{} does not hold {}", container.name(), codec.name()),
                    hint: format!("its usual sound is {}", usual.name()),
                });
            }
            (codec, elements)
        }
    };
    let Some(factory) = elements.iter().find(|e| installed(e)) else {
        let element = elements.first().map(|e| (*e).to_owned()).unwrap_or_default();
        let package = match element.as_str() {
            BEST_AAC => "gstreamer1.0-libav, and take -c:a aac: Debian's main section has no fdkaacenc",
            _ => "gstreamer1.0-libav gstreamer1.0-plugins-good gstreamer1.0-plugins-bad",
        };
        return Err(Error::NoElement { element, package });
    };
    let AudioArgs { bit_rate, channels, rate, .. } = job.audio;
    let encoder = SoundEncoder { factory: (*factory).to_owned(), bit_rate, channels, rate };
    Ok(Decision::Keep(codec, Action::Encode(encoder)))
}

/// True where a setting is given that a copy cannot follow.
pub(super) fn needs_encoder(audio: &AudioArgs) -> bool {
    audio.bit_rate.is_some() || audio.channels.is_some() || audio.rate.is_some()
}

fn names() -> String {
    let all = ENCODERS.iter().filter_map(|(names, ..)| names.first().copied());
    all.chain(PCM.iter().map(|(name, _)| *name)).collect::<Vec<_>>().join(", ")
}
