//! What is encoded, and how: the contests there are, and their clips.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::measured;
use crate::probe;

/// An encoder and its settings, the same for everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    X264,
    X265,
    Vp9,
}

impl Codec {
    const ALL: [Self; 3] = [Self::X264, Self::X265, Self::Vp9];

    fn id(self) -> &'static str {
        match self {
            Self::X264 => "x264",
            Self::X265 => "x265",
            Self::Vp9 => "vp9",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::X264 => "x264 medium, CRF 23",
            Self::X265 => "x265 medium, CRF 28",
            Self::Vp9 => "VP9 good, cpu-used 4, CRF 31 below 2 Mbit/s",
        }
    }

    /// The arguments that ffmpeg and divien both take.
    pub(super) fn arguments(self) -> &'static str {
        match self {
            Self::X264 => "-c:v libx264 -preset medium -crf 23",
            Self::X265 => "-c:v libx265 -preset medium -crf 28",
            Self::Vp9 => "-c:v libvpx-vp9 -deadline good -cpu-used 4 -crf 31 -b:v 2M",
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::X264 | Self::X265 => "mp4",
            Self::Vp9 => "webm",
        }
    }
}

/// One clip and one encoder, for all ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contest {
    /// What it is chosen by.
    pub(super) id: String,
    pub(super) codec: Codec,
    pub(super) clip: PathBuf,
    /// Frames, so that chunks of that length come out; `None` for everyone's default, 250.
    pub(super) chunk: Option<usize>,
    pub(super) title: String,
}

/// A contest whose clip is not ready yet.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    id: String,
    codec: Codec,
    clip: PathBuf,
    part: Part,
}

/// What of a clip is encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Whole,
    /// So many seconds from the start.
    Start(f64),
    /// These, in so many equal chunks.
    Chunks(f64, usize),
}

/// The bench clips' contests: id, clip, encoder. The 20.02 s of traffic are 1200 frames and end before a key frame, which
/// is there every 30 frames.
const BENCH: [(&str, &str, Codec, Part); 6] = [
    ("traffic-x264", TRAFFIC, Codec::X264, Part::Whole),
    ("hand-drawing-x264", "hand-drawing_1080p25.mp4", Codec::X264, Part::Whole),
    ("sintel-x264", SINTEL, Codec::X264, Part::Whole),
    ("traffic-x265", TRAFFIC, Codec::X265, Part::Start(20.02)),
    ("sintel-vp9", SINTEL, Codec::Vp9, Part::Start(40.0)),
    ("five-chunks", TRAFFIC, Codec::X264, Part::Chunks(20.02, 5)),
];
const TRAFFIC: &str = "traffic_960x540p5994.mp4";
const SINTEL: &str = "sintel_trailer_720p24.mp4";

/// The contests named, or all: those of the bench clips in `DIVIEN_MEDIA`, or of one clip. Copies of clips go into the
/// folder.
pub(super) fn chosen(clip: Option<&Path>, names: &[String], folder: &Path) -> Result<Vec<Contest>, String> {
    let all: Vec<Wanted> = match clip {
        Some(clip) => {
            // av1an is started in another folder.
            let clip = std::path::absolute(clip).map_err(|error| format!("{}: {error}", clip.display()))?;
            Codec::ALL.iter().map(|codec| of_clip(&clip, *codec)).collect()
        }
        None => bench_clips()?,
    };
    let known: Vec<_> = all.iter().map(|wanted| wanted.id.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no contest '{name}'; there are: {}", known.join(", ")));
    }
    let is_chosen = |wanted: &&Wanted| names.is_empty() || names.contains(&wanted.id);
    all.iter().filter(is_chosen).map(|wanted| wanted.ready(folder)).collect()
}

/// The places of contests in the report: as they stand here, others behind them.
pub(super) fn place(id: &str) -> usize {
    BENCH.iter().position(|(name, ..)| *name == id).unwrap_or(BENCH.len())
}

fn of_clip(clip: &Path, codec: Codec) -> Wanted {
    Wanted { id: codec.id().into(), codec, clip: clip.to_path_buf(), part: Part::Whole }
}

fn bench_clips() -> Result<Vec<Wanted>, String> {
    let media = std::env::var_os("DIVIEN_MEDIA").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let media = media.ok_or("name a clip, or set DIVIEN_MEDIA to the folder of the real ones")?;
    let wanted = |(id, clip, codec, part): (&str, &str, Codec, Part)| {
        let (id, clip) = (id.to_owned(), media.join(clip));
        Wanted { id, codec, clip, part }
    };
    Ok(BENCH.into_iter().map(wanted).collect())
}

impl Wanted {
    /// Everyone reads the same file, of one video stream and no sound.
    fn ready(&self, folder: &Path) -> Result<Contest, String> {
        let clip = &self.clip;
        if !clip.is_file() {
            return Err(format!("{}: there is no such file", clip.display()));
        }
        let packets = probe::packet_times(clip, "v:0");
        let times: Option<Vec<f64>> = packets.iter().map(|(pts, _)| *pts).collect();
        let whole = packets.len();
        let frames = match self.part {
            Part::Whole => whole,
            Part::Start(seconds) | Part::Chunks(seconds, _) => {
                let times = times.ok_or_else(|| format!("{}: packets without times", clip.display()))?;
                longest_start(&times, seconds)
            }
        };
        let silent = probe::codecs(clip).len() == 1;
        let copy = (frames < whole || !silent).then(|| copied(clip, frames, &folder.join(&self.id))).transpose()?;
        let name = clip.file_name().unwrap_or(clip.as_os_str()).to_string_lossy();
        let length = if frames < whole { format!("the first {frames} frames") } else { format!("{frames} frames") };
        let mut title = format!("{name}, {length}, {}", self.codec.title());
        let mut chunk = None;
        if let Part::Chunks(_, chunks) = self.part {
            title += &format!(", {chunks} equal chunks");
            chunk = Some(frames.div_ceil(chunks));
        }
        Ok(Contest { id: self.id.clone(), codec: self.codec, clip: copy.unwrap_or_else(|| clip.clone()), chunk, title })
    }
}

/// How many packets from the start, by their presentation times in decode order, are shown within so many seconds and
/// before all that follow: cut there, no frame is missing among those that stay.
fn longest_start(times: &[f64], seconds: f64) -> usize {
    let mut first_after = vec![f64::INFINITY; times.len() + 1];
    for (index, time) in times.iter().enumerate().rev() {
        first_after[index] = first_after[index + 1].min(*time);
    }
    let mut last = f64::NEG_INFINITY;
    let lasts = times.iter().map(|time| {
        last = time.max(last);
        last
    });
    let ends = (1..).zip(lasts).filter(|(count, last)| *last < seconds && *last < first_after[*count]);
    ends.map(|(count, _)| count).last().unwrap_or(0)
}

/// The start of a clip's video as it is.
fn copied(clip: &Path, frames: usize, stem: &Path) -> Result<PathBuf, String> {
    let extension = clip.extension().unwrap_or("mkv".as_ref());
    let copy = stem.with_extension(extension);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(clip);
    command.args(["-map", "0:v:0", "-c", "copy", "-frames:v", &frames.to_string()]).arg(&copy);
    measured(&mut command)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clip, place};

    #[test]
    fn a_clip_is_cut_where_no_frame_is_missing() {
        // I P B B P B B in decode order.
        let times = [0.0, 3.0, 1.0, 2.0, 6.0, 4.0, 5.0];
        assert_eq!(longest_start(&times, 7.0), 7);
        assert_eq!(longest_start(&times, 6.0), 4);
        assert_eq!(longest_start(&times, 3.0), 1);
        assert_eq!(longest_start(&times, 0.0), 0);
    }

    #[test]
    fn everyone_gets_the_video_alone_and_as_many_frames_as_were_asked_for() {
        let folder = place::temporary();
        let clip = Clip::film(60).path();
        let wanted = Wanted { part: Part::Chunks(1.0, 5), ..of_clip(&clip, Codec::X264) };
        let contest = wanted.ready(folder.path()).unwrap();
        assert_eq!(probe::codecs(&contest.clip), ["video h264"]);
        let times = probe::frame_times(&contest.clip);
        assert!((25..=30).contains(&times.len()), "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 0.034), "{times:?}");
        assert_eq!(contest.chunk, Some(times.len().div_ceil(5)));
        let silent = Clip::raw(30).path();
        assert_eq!(of_clip(&silent, Codec::X264).ready(folder.path()).unwrap().clip, silent);
    }

    #[test]
    fn an_unknown_contest_is_told_with_those_there_are() {
        let folder = place::temporary();
        let error = chosen(Some(&Clip::raw(30).path()), &["av1".into()], folder.path()).unwrap_err();
        assert_eq!(error, "there is no contest 'av1'; there are: x264, x265, vp9");
    }
}
