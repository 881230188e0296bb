//! The element an input comes in by.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use gst::prelude::*;

use super::{make, y4m};
use crate::cli::Input;
use crate::error::Error;

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
}

/// Opens the input, and looks whether it is raw video.
pub(super) fn open(input: &Input) -> Result<Entry, Error> {
    match input {
        Input::Stdin => {
            let name = "standard input".to_owned();
            let mut head = Vec::new();
            let read = io::stdin().lock().take(y4m::MAGIC.len() as u64).read_to_end(&mut head);
            read.map_err(|source| Error::Input { path: "standard input".into(), source })?;
            if head.is_empty() {
                return Err(Error::NotAVideo { input: name, reason: "it is empty".into() });
            }
            let reader = io::Cursor::new(head.clone()).chain(io::stdin());
            if head == y4m::MAGIC { pictures(reader, name) } else { bytes(reader, name) }
        }
        Input::File(path) => {
            let head = start(path).map_err(|source| Error::Input { path: path.clone(), source })?;
            let name = path.display().to_string();
            if head.as_ref().is_some_and(Vec::is_empty) {
                return Err(Error::NotAVideo { input: name, reason: "the file is empty".into() });
            }
            if head.is_some_and(|h| h == y4m::MAGIC) {
                let file = File::open(path).map_err(|source| Error::Input { path: path.clone(), source })?;
                return pictures(file, name);
            }
            let element = make("filesrc")?;
            element.set_property("location", path);
            Ok(Entry { element, name, is_raw: false })
        }
    }
}

/// A file's first bytes; `None` where reading them would take them away from the demuxer.
fn start(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
    }
    if !path.metadata()?.is_file() {
        return Ok(None);
    }
    let mut head = Vec::new();
    File::open(path)?.take(y4m::MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(Some(head))
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
    Ok(Entry { element: source.upcast(), name, is_raw: true })
}

fn bytes(mut reader: impl Read + Send + 'static, name: String) -> Result<Entry, Error> {
    let source = app_source(AHEAD)?;
    source.set_format(gst::Format::Bytes);
    let feeding = source.clone();
    std::thread::spawn(move || {
        let mut block = vec![0; 1 << 16];
        loop {
            match reader.read(&mut block) {
                Ok(0) => break,
                Ok(n) => {
                    let data = block.get(..n).unwrap_or_default().to_vec();
                    if feeding.push_buffer(gst::Buffer::from_slice(data)).is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    gst::element_error!(feeding, gst::ResourceError::Read, ["standard input: {e}"]);
                    break;
                }
            }
        }
        // Refused only by a pipeline that is being stopped.
        let _ = feeding.end_of_stream();
    });
    Ok(Entry { element: source.upcast(), name, is_raw: false })
}
