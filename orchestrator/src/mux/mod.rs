//! Containers: what they take, and how samples become a file whose bytes depend on nothing else.
//!
//! Samples of all tracks are merged by time (`merge`), so a file does not depend on which track
//! arrived first, and written by `mp4`, `mkv`, `ts` or `raw`. These know neither GStreamer
//! nor a clock: ids come from a hash of the plan, and there is no creation time. Their bytes are made by libraries:
//! mp4-atom, webm-iterable and mpeg2ts.

mod av1;
mod bits;
mod codec;
mod container;
mod forward;
mod merge;
mod mkv;
mod mp4;
mod output;
mod raw;
mod session;
mod shown;
mod text;
mod track;
mod ts;

pub(crate) use bits::Bits;
pub use codec::{Codec, Kind};
pub use container::Container;
pub use merge::Merge;
pub(crate) use mkv::xiph_lace;
pub(crate) use output::followed;
pub use output::{Output, Sink};
pub use session::{Session, Written};
pub use shown::Shown;
pub(crate) use text::{plain_from_ass, plain_from_pango};
pub use track::{Attachment, Audio, Chapter, Colour, Flags, Header, LightLevel, Mastering, Sample, Track, Video};

use std::io;

/// Writes one container's file, sample by sample, in the order of the merge.
pub(crate) trait Writer: Send {
    /// Adds a sample of `track`, an index into the header's tracks.
    fn sample(&mut self, sink: &mut Sink, track: usize, sample: &Sample) -> io::Result<()>;
    /// Writes what only the end knows: indexes, durations.
    fn finish(&mut self, sink: &mut Sink) -> io::Result<()>;
}
