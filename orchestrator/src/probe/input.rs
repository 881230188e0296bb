//! The element an input comes in by.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::clock::{self, Clock};
use super::{make, transport, y4m};
use crate::cli::Input;
use crate::error::Error;
use crate::sync::lock;

/// What standard input may be ahead of the demuxer.
const AHEAD: u64 = 8 << 20;
/// What raw pictures may be ahead of the encoder.
const AHEAD_RAW: u64 = 64 << 20;

/// An input's first element.
pub(super) struct Entry {
    /// The element; its source pad carries bytes, or pictures where `is_raw`.
    pub(super) element: gst::Element,
    /// The input's name for messages.
    pub(super) name: String,
    /// True when no demuxer is needed.
    pub(super) is_raw: bool,
    /// True where it is no fault to say nothing for long: a pipe.
    pub(super) waits: bool,
    /// Of a transport stream: its clock, as far as it has been read.
    pub(super) clock: Option<Arc<Mutex<Clock>>>,
    /// Set once nothing that follows in a file is wanted.
    pub(super) over: Arc<AtomicBool>,
}

/// Opens the input, and looks whether it is raw video. A pipe is waited for, as long as it takes.
pub(super) fn open(input: &Input) -> Result<Entry, Error> {
    let path = match input {
        Input::Stdin => return stream(io::stdin(), "standard input"),
        Input::File(path) => path,
    };
    let name = path.display().to_string();
    if let Some(number) = name.strip_prefix("pipe:") {
        return match number {
            "" | "0" => stream(io::stdin(), "standard input"),
            number if number.parse::<u32>().is_ok() => {
                let device = Path::new("/dev/fd").join(number);
                let pipe = File::open(device).map_err(|source| Error::Input { path: path.clone(), source })?;
                stream(pipe, &name)
            }
            _ => Err(refused(&name, "a pipe has a number")),
        };
    }
    let failed = |source| Error::Input { path: path.clone(), source };
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(_) if name.contains("://") => return Err(refused(&name, "inputs over a network are not supported yet")),
        Err(_) if is_pattern(&name) => return Err(refused(&name, "series of pictures are not supported yet")),
        Err(source) => return Err(failed(source)),
    };
    if metadata.is_dir() {
        return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")));
    }
    let file = File::open(path).map_err(failed)?;
    if !metadata.is_file() {
        return stream(file, &name);
    }
    let mut head = Vec::new();
    file.take(y4m::MAGIC.len() as u64).read_to_end(&mut head).map_err(failed)?;
    if head.is_empty() {
        return Err(Error::NotAVideo { input: name, reason: "the file is empty".into() });
    }
    if head == y4m::MAGIC {
        return pictures(File::open(path).map_err(failed)?, name);
    }
    let clock = clock::of_file(path);
    let over = Arc::default();
    let element = reader(path, clock.as_ref().is_some_and(|c| c.gaps > 0), &over)?;
    Ok(Entry { element, name, is_raw: false, waits: false, clock: clock.map(|c| Arc::new(Mutex::new(c))), over })
}

/// How often in a row a demuxer may read past the end; those that do at all do so a few times.
const PAST_THE_END: u32 = 1000;

/// Reads a file, and a transport stream whose clock has gaps from its start to its end. Some of libav's demuxers (NUT,
/// GIF) take the end of a file for data that is yet to come, and would read for ever: the error they get in the end is an
/// end to them.
/// Once it is `over`, the file ends where it has been read to.
pub(super) fn reader(path: &Path, has_gaps: bool, over: &Arc<AtomicBool>) -> Result<gst::Element, Error> {
    if has_gaps {
        let file = File::open(path).map_err(|source| Error::Input { path: path.to_owned(), source })?;
        return stream(file, &path.display().to_string()).map(|entry| entry.element);
    }
    let fault = |what: &dyn std::fmt::Display| Error::Fault { what: format!("cannot build the source: {what}") };
    let source = make("filesrc")?;
    source.set_property("location", path);
    let bin = gst::Bin::new();
    bin.add(&source).map_err(|e| fault(&e))?;
    let target = source.static_pad("src").ok_or_else(|| fault(&"no pad"))?;
    let (in_a_row, over) = (AtomicU32::new(0), Arc::clone(over));
    let pad = gst::GhostPad::builder_with_target(&target).map_err(|e| fault(&e))?.name("src").getrange_function(
        move |pad, parent, offset, buffer, size| match gst::ProxyPad::getrange_default(pad, parent, offset, size) {
            Err(gst::FlowError::Eos) if in_a_row.fetch_add(1, Ordering::Relaxed) >= PAST_THE_END => {
                Err(gst::FlowError::Error)
            }
            Err(error) => Err(error),
            Ok(_) if over.load(Ordering::Relaxed) => Err(gst::FlowError::Eos),
            Ok(data) => {
                in_a_row.store(0, Ordering::Relaxed);
                match buffer {
                    Some(wanted) => fill(wanted, &data).map(|()| gst::PadGetRangeSuccess::FilledBuffer),
                    None => Ok(gst::PadGetRangeSuccess::NewBuffer(data)),
                }
            }
        },
    );
    bin.add_pad(&pad.build()).map_err(|e| fault(&e))?;
    Ok(bin.upcast())
}

/// Some demuxers (Ogg) bring a buffer of their own.
fn fill(wanted: &mut gst::BufferRef, data: &gst::BufferRef) -> Result<(), gst::FlowError> {
    let data = data.map_readable().map_err(|_| gst::FlowError::Error)?;
    wanted.copy_from_slice(0, &data).map_err(|_| gst::FlowError::Error)?;
    wanted.set_size(data.len());
    Ok(())
}

fn refused(name: &str, why: &str) -> Error {
    Error::Plan { what: format!("{name}: {why}"), hint: "give a file, or - for standard input".into() }
}

/// ffmpeg's numbered names: `%d`, `%03d`.
fn is_pattern(name: &str) -> bool {
    name.split('%').skip(1).any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('d'))
}

/// What can be read once only.
fn stream(mut reader: impl Read + Send + 'static, name: &str) -> Result<Entry, Error> {
    let mut head = Vec::new();
    let read = reader.by_ref().take(transport::LAYOUT as u64).read_to_end(&mut head);
    read.map_err(|source| Error::Input { path: name.into(), source })?;
    if head.is_empty() {
        return Err(Error::NotAVideo { input: name.into(), reason: "it is empty".into() });
    }
    let is_raw = head.starts_with(y4m::MAGIC);
    let clock = Clock::of(&head);
    let reader = io::Cursor::new(head).chain(reader);
    let entry = if is_raw { pictures(reader, name.into()) } else { bytes(reader, name.into(), clock) };
    entry.map(|entry| Entry { waits: true, ..entry })
}

fn app_source(max_bytes: u64) -> Result<gst_app::AppSrc, Error> {
    make("appsrc")?
        .downcast::<gst_app::AppSrc>()
        .inspect(|source| {
            source.set_block(true);
            source.set_max_bytes(max_bytes);
        })
        .map_err(|_| Error::Fault { what: "appsrc is not an appsrc".into() })
}

fn pictures(reader: impl Read + Send + 'static, name: String) -> Result<Entry, Error> {
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let (info, caps) = y4m::header(&mut reader).map_err(|reason| Error::NotAVideo { input: name.clone(), reason })?;
    let source = app_source(AHEAD_RAW.max(2 * info.size() as u64))?;
    source.set_format(gst::Format::Time);
    source.set_caps(Some(&caps));
    let feeding = source.clone();
    std::thread::spawn(move || y4m::feed(reader, &info, &feeding));
    Ok(Entry { element: source.upcast(), name, is_raw: true, waits: false, clock: None, over: Arc::default() })
}

fn bytes(mut reader: impl Read + Send + 'static, name: String, clock: Option<Clock>) -> Result<Entry, Error> {
    let source = app_source(AHEAD)?;
    source.set_format(gst::Format::Bytes);
    let feeding = source.clone();
    let clock = clock.map(|clock| Arc::new(Mutex::new(clock)));
    let shared = clock.clone();
    std::thread::spawn(move || {
        let mut block = vec![0; 1 << 16];
        loop {
            let data = match reader.read(&mut block) {
                Ok(0) => break,
                Ok(n) => block.get(..n).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    gst::element_error!(feeding, gst::ResourceError::Read, ["{e}"]);
                    break;
                }
            };
            let data = shared.as_ref().map_or_else(|| data.to_vec(), |clock| lock(clock).fill(data));
            if !data.is_empty() && feeding.push_buffer(gst::Buffer::from_slice(data)).is_err() {
                return;
            }
        }
        let rest = shared.map(|clock| lock(&clock).rest()).filter(|rest| !rest.is_empty());
        // Refused only by a pipeline that is being stopped.
        let _ = rest.map(|rest| feeding.push_buffer(gst::Buffer::from_slice(rest)));
        let _ = feeding.end_of_stream();
    });
    Ok(Entry { element: source.upcast(), name, is_raw: false, waits: false, clock, over: Arc::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_are_known() {
        assert!(["a%d.png", "%03d.jpg", "x/%5d"].into_iter().all(is_pattern));
        assert!(!["100%.mp4", "a%s.png", "a%2e.mp4", "d.mp4"].into_iter().any(is_pattern));
    }
}
