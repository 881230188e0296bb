//! Whether what was asked of subtitles, tags and names is what the container gets.

use super::{Action, TrackPlan};
use crate::cli::{Carry, SubtitleCodec};
use crate::error::Error;
use crate::mux::{Attachment, Codec, Container, Kind};
use crate::probe::Stream;

/// `-tag:v` in mp4 and mov; elsewhere the codec has one name, and ffmpeg's option does nothing either.
pub(super) fn video_tag(carry: &Carry, container: Container, codec: &Codec) -> Result<(), Error> {
    let Some(tag) = carry.video_tag.as_deref().filter(|_| matches!(container, Container::Mp4 | Container::Mov)) else {
        return Ok(());
    };
    let written = match codec {
        Codec::H264 => "avc1",
        Codec::H265 => "hvc1",
        Codec::Av1 => "av01",
        Codec::Vp9 => "vp09",
        Codec::Mpeg4 => "mp4v",
        Codec::ProRes(fourcc) => std::str::from_utf8(fourcc).unwrap_or_default(),
        _ => "",
    };
    if tag == written {
        return Ok(());
    }
    let hint = match written {
        "" => "leave -tag:v out".into(),
        written => format!("it is written as {written}; leave -tag:v out"),
    };
    Err(Error::Plan { what: format!("{} in {} is not written as '{tag}'", codec.name(), container.name()), hint })
}

/// An error where `-c:s` names something else than the subtitles become. `kept` is what becomes of them, if they are.
pub(super) fn subtitle(
    carry: &Carry,
    container: Container,
    stream: &Stream,
    kept: Option<(&Codec, &Action)>,
) -> Result<(), Error> {
    let fits = match (carry.subtitles, kept) {
        (SubtitleCodec::Auto, _) => true,
        (_, None) => false,
        (SubtitleCodec::Copy, Some((codec, action))) => {
            // Matroska's text keeps the marks that SubRip has.
            *action == Action::Copy || (container == Container::Matroska && *codec == stream.codec)
        }
        (SubtitleCodec::MovText, Some(_)) => matches!(container, Container::Mp4 | Container::Mov),
        (SubtitleCodec::Text, Some((codec, _))) => container == Container::Matroska && *codec == Codec::Text,
        (SubtitleCodec::Ass, Some((codec, _))) => container == Container::Matroska && *codec == Codec::Ass,
    };
    if fits {
        return Ok(());
    }
    Err(Error::Plan {
        what: format!("-c:s asks for what {} subtitles do not become in {}", stream.codec.name(), container.name()),
        hint: "Matroska keeps them as they are, text becomes mov_text in MP4 and QuickTime; -sn leaves them out".into(),
    })
}

/// The files within the input that the output has room for.
pub(super) fn attachments(all: &[Attachment], container: Container, notes: &mut Vec<String>) -> Vec<Attachment> {
    if container == Container::Matroska {
        return all.to_vec();
    }
    for file in all {
        notes.push(format!("attachment {}: dropped, {} has no room for it", file.name, container.name()));
    }
    Vec::new()
}

/// `-map_metadata -1`, as ffmpeg does it: names and languages of tracks go too.
pub(super) fn forget(others: &mut [TrackPlan]) {
    for track in others.iter_mut().filter(|t| t.kind != Kind::Other) {
        track.language = None;
        track.title = None;
    }
}
