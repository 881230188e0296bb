//! Track entries, chapters and tags.

use num_integer::gcd;
use webm_iterable::matroska_spec::{Master, MatroskaSpec as M};

use crate::mux::codec::{Codec, Kind};
use crate::mux::container::matroska_pcm;
use crate::mux::track::{Audio, Colour, Header, LightLevel, Mastering, Track, Video};

/// An id out of the plan's hash: never zero, a different one for each use.
pub(super) fn uid(seed: &[u8; 32], what: &str, index: usize) -> u64 {
    let mut hash = blake3::Hasher::new_keyed(seed);
    hash.update(what.as_bytes());
    hash.update(&(index as u64).to_be_bytes());
    let mut bytes = [0; 8];
    hash.finalize_xof().fill(&mut bytes);
    (u64::from_be_bytes(bytes) >> 8) | 1
}

/// One track; `frame_time` in ns for a video all of whose frames are shown for as long.
pub(super) fn entry(header: &Header, index: usize, track: &Track, frame_time: Option<u64>) -> M {
    let kind = track.codec.kind();
    let first = header.tracks.iter().position(|t| t.codec.kind() == kind);
    let default = track.flags.default.unwrap_or(first == Some(index) && kind != Kind::Subtitle);
    let mut e = vec![
        M::TrackNumber(index as u64 + 1),
        M::TrackUID(uid(&header.seed, "track", index)),
        M::TrackType(match kind {
            Kind::Video => 1,
            Kind::Audio => 2,
            Kind::Subtitle | Kind::Other => 17,
        }),
        M::FlagLacing(0),
        M::FlagDefault(default.into()),
        M::Language(track.language.clone().unwrap_or_else(|| "und".into())),
    ];
    if track.flags.forced {
        e.push(M::FlagForced(1));
    }
    e.extend(track.title.clone().map(M::Name));
    e.push(M::CodecID(codec_id(&track.codec)));
    let private = match &track.codec {
        Codec::ProRes(fourcc) => fourcc.to_vec(),
        Codec::Pcm(_) => Vec::new(),
        _ => track.private.clone(),
    };
    if !private.is_empty() {
        e.push(M::CodecPrivate(private));
    }
    if track.codec == Codec::Opus {
        e.push(M::CodecDelay(opus_delay(&track.private)));
        e.push(M::SeekPreRoll(80_000_000));
    }
    if let Some(video) = &track.video {
        e.extend(frame_time.map(M::DefaultDuration));
        e.push(M::Video(Master::Full(picture(video))));
    }
    e.extend(track.audio.as_ref().map(|audio| M::Audio(Master::Full(sound(&track.codec, audio)))));
    M::TrackEntry(Master::Full(e))
}

/// Opus's pre-skip in ns.
pub(super) fn opus_delay(head: &[u8]) -> u64 {
    let skip = head.get(10..12).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes);
    u64::from(skip) * 1_000_000_000 / 48_000
}

fn codec_id(codec: &Codec) -> String {
    match codec {
        Codec::H264 => "V_MPEG4/ISO/AVC",
        Codec::H265 => "V_MPEGH/ISO/HEVC",
        Codec::Av1 => "V_AV1",
        Codec::Vp8 => "V_VP8",
        Codec::Vp9 => "V_VP9",
        Codec::Theora => "V_THEORA",
        Codec::Mpeg4 => "V_MPEG4/ISO/ASP",
        Codec::MpegVideo(1) => "V_MPEG1",
        Codec::MpegVideo(_) => "V_MPEG2",
        Codec::Mjpeg => "V_MJPEG",
        Codec::ProRes(_) => "V_PRORES",
        Codec::Ffv1 => "V_FFV1",
        Codec::Aac => "A_AAC",
        Codec::MpegAudio(layer) => return format!("A_MPEG/L{layer}"),
        Codec::Ac3 => "A_AC3",
        Codec::Eac3 => "A_EAC3",
        Codec::Dts => "A_DTS",
        Codec::Opus => "A_OPUS",
        Codec::Vorbis => "A_VORBIS",
        Codec::Flac => "A_FLAC",
        Codec::Alac => "A_ALAC",
        Codec::Pcm(format) => matroska_pcm(format).map_or("A_PCM/INT/LIT", |(id, _)| id),
        Codec::Text => "S_TEXT/UTF8",
        Codec::Ass => "S_TEXT/ASS",
        Codec::Pgs => "S_HDMV/PGS",
        Codec::VobSub => "S_VOBSUB",
        Codec::Other(name) => return name.clone(),
    }
    .to_owned()
}

fn sound(codec: &Codec, audio: &Audio) -> Vec<M> {
    let bits = match codec {
        Codec::Pcm(format) => matroska_pcm(format).map_or(0, |(_, bits)| bits),
        _ => audio.bits,
    };
    let mut e = vec![M::SamplingFrequency(audio.rate.into()), M::Channels(audio.channels.into())];
    if bits > 0 {
        e.push(M::BitDepth(bits.into()));
    }
    e
}

fn picture(video: &Video) -> Vec<M> {
    let mut e = match video.top_field_first {
        Some(top) => vec![M::FlagInterlaced(1), M::FieldOrder(if top { 9 } else { 14 })],
        None => vec![M::FlagInterlaced(2)],
    };
    e.extend([M::PixelWidth(video.width.into()), M::PixelHeight(video.height.into())]);
    let (n, d) = video.aspect;
    if n > 0 && d > 0 && n != d {
        // Display sizes in pixels would round the ratio away; as a plain ratio they keep it.
        let (w, h) = (u64::from(video.width) * u64::from(n), u64::from(video.height) * u64::from(d));
        let divisor = gcd(w, h).max(1);
        e.extend([M::DisplayWidth(w / divisor), M::DisplayHeight(h / divisor), M::DisplayUnit(3)]);
    }
    if video.colour.is_some() || video.mastering.is_some() || video.light.is_some() {
        e.push(M::Colour(Master::Full(colour(video.colour, video.mastering, video.light))));
    }
    e
}

fn colour(colour: Option<Colour>, mastering: Option<Mastering>, light: Option<LightLevel>) -> Vec<M> {
    let mut e = Vec::new();
    if let Some(c) = colour {
        e.extend([
            M::MatrixCoefficients(c.matrix.into()),
            M::Range(if c.full_range { 2 } else { 1 }),
            M::TransferCharacteristics(c.transfer.into()),
            M::Primaries(c.primaries.into()),
        ]);
    }
    if let Some(l) = light {
        e.extend([M::MaxCLL(l.max_content.into()), M::MaxFALL(l.max_frame_average.into())]);
    }
    if let Some(m) = mastering {
        let [red, green, blue] = m.primaries;
        let part = |v: u16| f64::from(v) / 50_000.0;
        e.push(M::MasteringMetadata(Master::Full(vec![
            M::PrimaryRChromaticityX(part(red.0)),
            M::PrimaryRChromaticityY(part(red.1)),
            M::PrimaryGChromaticityX(part(green.0)),
            M::PrimaryGChromaticityY(part(green.1)),
            M::PrimaryBChromaticityX(part(blue.0)),
            M::PrimaryBChromaticityY(part(blue.1)),
            M::WhitePointChromaticityX(part(m.white.0)),
            M::WhitePointChromaticityY(part(m.white.1)),
            M::LuminanceMax(f64::from(m.max) / 10_000.0),
            M::LuminanceMin(f64::from(m.min) / 10_000.0),
        ])));
    }
    e
}

/// The table of contents.
pub(super) fn chapters(header: &Header) -> M {
    let mut edition = vec![M::EditionUID(uid(&header.seed, "edition", 0))];
    edition.extend(header.chapters.iter().enumerate().map(|(i, chapter)| {
        let mut atom = vec![
            M::ChapterUID(uid(&header.seed, "chapter", i)),
            M::ChapterTimeStart(chapter.start),
            M::ChapterTimeEnd(chapter.end),
        ];
        if !chapter.title.is_empty() {
            atom.push(M::ChapterDisplay(Master::Full(vec![
                M::ChapString(chapter.title.clone()),
                M::ChapLanguage(chapter.language.clone().unwrap_or_else(|| "und".into())),
            ])));
        }
        M::ChapterAtom(Master::Full(atom))
    }));
    M::Chapters(Master::Full(vec![M::EditionEntry(Master::Full(edition))]))
}

/// Fonts and covers.
pub(super) fn attachments(header: &Header) -> M {
    let files = header.attachments.iter().enumerate().map(|(i, file)| {
        let mut e: Vec<M> = file.description.clone().map(M::FileDescription).into_iter().collect();
        e.extend([
            M::FileName(file.name.clone()),
            M::FileMimeType(file.media_type.clone()),
            M::FileData(file.data.clone()),
            M::FileUID(uid(&header.seed, "attachment", i)),
        ]);
        M::AttachedFile(Master::Full(e))
    });
    M::Attachments(Master::Full(files.collect()))
}

/// The tags of the whole film, if there are any but its title.
pub(super) fn tags(header: &Header) -> Option<M> {
    let named = header.tags.iter().filter(|(n, _)| n != "title").map(|(name, value)| {
        M::SimpleTag(Master::Full(vec![M::TagName(name.to_ascii_uppercase()), M::TagString(value.clone())]))
    });
    let mut tag = vec![M::Targets(Master::Full(Vec::new()))];
    tag.extend(named);
    (tag.len() > 1).then(|| M::Tags(Master::Full(vec![M::Tag(Master::Full(tag))])))
}
