//! What a file's own header says of its tracks and GStreamer's demuxers keep to themselves: languages as they are written
//! there (1.22 gives them back in other letters), which tracks are forced, and tracks of time codes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::codec_delay::{elements, matroska, number, segment, track_entries, variable};
use super::priming::{child, children, index, u32_at};

const NUMBER: u64 = 0xD7;
const CLUSTER: u64 = 0x1F43_B675;
const TIMESTAMP: u64 = 0xE7;
const SIMPLE_BLOCK: u64 = 0xA3;
const BLOCK_GROUP: u64 = 0xA0;
const BLOCK: u64 = 0xA1;
const LANGUAGE: u64 = 0x0022_B59C;
const DEFAULT: u64 = 0x88;
const FORCED: u64 = 0x55AA;

/// What is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// By the track's number in its container.
    pub tracks: BTreeMap<u32, Track>,
    /// Tracks the demuxer passes over.
    pub hidden: Vec<String>,
    /// What is wrong with the header. The demuxer says so as well, but parsebin keeps to itself what is said while it
    /// still connects it.
    pub fault: Option<String>,
}

impl Told {
    /// The numbers of an MP4's tracks without an edit list.
    pub(super) fn whole(&self) -> Vec<u32> {
        self.tracks.iter().filter(|(_, track)| track.is_whole).map(|(number, _)| *number).collect()
    }
}

/// One track.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Track {
    /// Three letters of ISO 639-2, in either of its two forms.
    pub language: Option<String>,
    /// To be chosen where the viewer has chosen nothing, where Matroska says it.
    pub default: Option<bool>,
    /// To be shown whatever the viewer has chosen.
    pub forced: bool,
    /// It has packets before 0, all of which matroskademux puts at 0.
    pub is_early: bool,
    /// An MP4 that shows all of it: it has no edit list.
    pub is_whole: bool,
}

/// Reads the header of a Matroska or MP4 file; nothing is told of others.
pub(super) fn read(path: &Path) -> Told {
    if let Some(head) = matroska(path) {
        return of_matroska(&head);
    }
    File::open(path).ok().and_then(|mut file| index(&mut file)).map(|index| of_mp4(&index)).unwrap_or_default()
}

fn of_matroska(head: &[u8]) -> Told {
    let mut told = Told::default();
    for entry in track_entries(head) {
        let field = |wanted| elements(entry).find(|(id, _)| *id == wanted).map(|(_, body)| body);
        let Some(Ok(track)) = field(NUMBER).map(|body| u32::try_from(number(body))) else { continue };
        let language = field(LANGUAGE).and_then(|body| std::str::from_utf8(body).ok());
        let language = language.map(|l| l.trim_end_matches('\0')).and_then(three);
        let is_set = |id, unsaid| field(id).map_or(unsaid, |body| number(body) == 1);
        let (default, forced) = (Some(is_set(DEFAULT, true)), is_set(FORCED, false));
        told.tracks.insert(track, Track { language, default, forced, ..Track::default() });
    }
    for track in segment(head).filter(|(id, _)| *id == CLUSTER).flat_map(|(_, body)| early(body)) {
        if let Some(track) = told.tracks.get_mut(&track) {
            track.is_early = true;
        }
    }
    told
}

/// The tracks of a cluster's blocks before 0.
fn early(cluster: &[u8]) -> impl Iterator<Item = u32> {
    let start = elements(cluster).find(|(id, _)| *id == TIMESTAMP).map_or(0, |(_, body)| number(body));
    let blocks = elements(cluster).filter_map(|(id, body)| match id {
        SIMPLE_BLOCK => Some(body),
        BLOCK_GROUP => elements(body).find(|(id, _)| *id == BLOCK).map(|(_, body)| body),
        _ => None,
    });
    blocks.filter_map(move |block| {
        let (track, length) = variable(block, false)?;
        let time = i16::from_be_bytes(block.get(length..length + 2)?.try_into().ok()?);
        let is_early = time < 0 && u64::from(time.unsigned_abs()) > start;
        u32::try_from(track).ok().filter(|_| is_early)
    })
}

fn of_mp4(index: &[u8]) -> Told {
    let mut told = Told::default();
    for trak in children(index).filter(|(kind, _)| kind == b"trak").map(|(_, body)| body) {
        let number = child(trak, b"tkhd").and_then(|b| u32_at(b, if b.first() == Some(&1) { 20 } else { 12 }));
        let Some((number, media)) = number.zip(child(trak, b"mdia")) else { continue };
        let handler = child(media, b"hdlr").and_then(|b| b.get(8..12));
        if handler == Some(b"tmcd") {
            told.hidden.push("time codes (tmcd)".into());
        }
        let table = child(media, b"minf").and_then(|minf| child(minf, b"stbl"));
        if [Some(b"soun".as_slice()), Some(b"vide")].contains(&handler)
            && table.is_some_and(|t| child(t, b"stsd").is_none())
        {
            told.fault.get_or_insert_with(|| format!("track {number} is corrupt: it has no description (stsd)"));
        }
        let packed = child(media, b"mdhd").and_then(|b| u32_at(b, if b.first() == Some(&1) { 32 } else { 20 }));
        let letters = packed.map(|p| [26u32, 21, 16].map(|shift| 0x60 + (p >> shift & 0x1F) as u8));
        let language = letters.as_ref().and_then(|l| std::str::from_utf8(l).ok()).and_then(three);
        let is_whole = child(trak, b"edts").is_none();
        told.tracks.insert(number, Track { language, is_whole, ..Track::default() });
    }
    told
}

fn three(code: &str) -> Option<String> {
    (code.len() == 3 && code.bytes().all(|b| b.is_ascii_lowercase())).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
    }

    #[test]
    fn an_mp4_tells_its_languages_as_they_are_written_and_its_time_codes() {
        let track = |id: u32, handler: &[u8; 4], language: u16| {
            let tkhd = boxed(b"tkhd", &[[0; 12].as_slice(), &id.to_be_bytes(), &[0; 68]].concat());
            let mdhd = boxed(b"mdhd", &[[0; 20].as_slice(), &language.to_be_bytes(), &[0; 2]].concat());
            let hdlr = boxed(b"hdlr", &[[0; 8].as_slice(), handler, &[0; 13]].concat());
            boxed(b"trak", &[tkhd, boxed(b"mdia", &[mdhd, hdlr].concat())].concat())
        };
        // "fre" in five bits a letter; 1 is a number of QuickTime's own.
        let told = of_mp4(&[track(1, b"soun", 6 << 10 | 18 << 5 | 5), track(2, b"tmcd", 1)].concat());
        assert_eq!(told.tracks[&1].language.as_deref(), Some("fre"));
        assert_eq!(told.tracks[&2].language, None);
        assert_eq!((told.hidden, told.fault), (vec!["time codes (tmcd)".to_owned()], None));
    }

    #[test]
    fn a_track_of_an_mp4_without_a_description_is_a_fault() {
        let told = |description: &[u8]| {
            let tkhd = boxed(b"tkhd", &[[0; 12].as_slice(), &7u32.to_be_bytes(), &[0; 68]].concat());
            let hdlr = boxed(b"hdlr", &[[0; 8].as_slice(), b"soun", &[0; 13]].concat());
            let minf = boxed(b"minf", &boxed(b"stbl", description));
            of_mp4(&boxed(b"trak", &[tkhd, boxed(b"mdia", &[hdlr, minf].concat())].concat())).fault
        };
        assert_eq!(told(&boxed(b"stsd", &[0; 8])), None);
        assert!(told(&boxed(b"stts", &[0; 8])).is_some_and(|fault| fault.contains("track 7")));
    }

    #[test]
    fn matroska_tells_its_languages_as_they_are_written_and_what_is_forced() {
        let entry = [0xAE, 0x8E, 0xD7, 0x81, 3, 0x22, 0xB5, 0x9C, 0x83, b'g', b'e', b'r', 0x55, 0xAA, 0x81, 1];
        let mut file = vec![0x18, 0x53, 0x80, 0x67, 0x80 | 21, 0x16, 0x54, 0xAE, 0x6B, 0x80 | 16];
        file.extend(entry);
        let with_block = |cluster: u8, time: u8| {
            let block = [0x1F, 0x43, 0xB6, 0x75, 0x89, 0xE7, 0x81, cluster, 0xA3, 0x84, 0x83, 0xFF, time, 0x80];
            let mut file = [file.as_slice(), &block].concat();
            file[4] += block.len() as u8;
            of_matroska(&file).tracks[&3].is_early
        };
        assert!(with_block(1, 0xFE) && !with_block(2, 0xFE), "2 before 1, and 2 before 2");
        let told = of_matroska(&file);
        assert_eq!(
            told.tracks[&3],
            Track { language: Some("ger".into()), default: Some(true), forced: true, ..Track::default() }
        );
    }
}
