//! Reading languages, titles, rotation and chapters off a stream's sticky events.

use std::ops::ControlFlow;

use gst::prelude::*;

use super::facts::{Facts, Orientation, Stream};
use crate::mux::{Attachment, Chapter};

/// GStreamer's tags that containers have a name for, and ffmpeg's names.
const NAMES: &[(&str, &str)] = &[
    ("title", "title"),
    ("artist", "artist"),
    ("album", "album"),
    ("album-artist", "album_artist"),
    ("comment", "comment"),
    ("genre", "genre"),
    ("composer", "composer"),
    ("copyright", "copyright"),
    ("description", "description"),
    ("show-name", "show"),
];

/// Everything the events kept on `pad` say.
pub(super) fn read(pad: &gst::Pad, stream: &mut Stream, facts: &mut Facts) {
    pad.sticky_events_foreach(|event| {
        match event.view() {
            gst::EventView::Tag(tag) => {
                let list = tag.tag();
                match list.scope() {
                    gst::TagScope::Global => {
                        container(list, facts);
                        attached(list, facts);
                    }
                    _ => of_stream(list, stream),
                }
            }
            gst::EventView::StreamStart(start) => {
                if let Some(list) = start.stream().and_then(|s| s.tags()) {
                    of_stream(&list, stream);
                }
                let flags = start.stream_flags();
                if flags.intersects(gst::StreamFlags::SELECT | gst::StreamFlags::UNSELECT) {
                    stream.flags.default = Some(flags.contains(gst::StreamFlags::SELECT));
                }
                stream.still |=
                    start.stream_flags().contains(gst::StreamFlags::SPARSE) && stream.kind == crate::mux::Kind::Video;
            }
            gst::EventView::Toc(toc) => {
                let (toc, _) = toc.toc();
                if facts.chapters.is_empty() {
                    chapters(&toc.entries(), &mut facts.chapters);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
}

fn text(list: &gst::TagListRef, name: &str) -> Option<String> {
    let value = list.generic(name)?;
    value.get::<String>().ok().filter(|s| !s.is_empty())
}

fn of_stream(list: &gst::TagListRef, stream: &mut Stream) {
    if let Some(code) = text(list, "language-code") {
        let three = gst_tag::language_codes::language_code_iso_639_2t(&code).map(ToString::to_string);
        stream.language = Some(three.unwrap_or(code));
    }
    if let Some(title) = text(list, "title") {
        stream.title = Some(title);
    }
    if let Some(tag) = text(list, "image-orientation") {
        stream.orientation = Orientation::from_tag(&tag);
    }
}

fn container(list: &gst::TagListRef, facts: &mut Facts) {
    for (gst_name, name) in NAMES {
        if let Some(value) = text(list, gst_name)
            && !facts.tags.iter().any(|(n, _)| n == name)
        {
            facts.tags.push(((*name).to_owned(), value));
        }
    }
    let date = list.generic("datetime").and_then(|v| v.get::<gst::DateTime>().ok());
    if let Some(date) = date.and_then(|d| d.to_iso8601_string().ok())
        && !facts.tags.iter().any(|(n, _)| n == "date")
    {
        facts.tags.push(("date".into(), date.to_string()));
    }
}

/// Files that are part of a Matroska file, covers of other films among them.
fn attached(list: &gst::TagListRef, facts: &mut Facts) {
    let names = ["attachment", "image", "preview-image"];
    let all = names
        .into_iter()
        .flat_map(|name| (0..).map_while(move |i| list.index_generic(name, i)?.get::<gst::Sample>().ok()));
    for sample in all {
        let Some(data) = sample.buffer().and_then(|b| b.map_readable().ok()) else { continue };
        let word = |name| sample.info().and_then(|i| i.get::<String>(name).ok()).filter(|w| !w.is_empty());
        let guessed =
            sample.caps().and_then(|c| c.structure(0)).map_or("application/octet-stream", |s| s.name().as_str());
        let media_type = word("mimetype").unwrap_or_else(|| guessed.to_owned());
        let usual = || format!("cover.{}", media_type.rsplit('/').next().unwrap_or("jpg").replace("jpeg", "jpg"));
        let (name, description) = (word("filename").unwrap_or_else(usual), word("description"));
        let attachment = Attachment { name, media_type, description, data: data.to_vec() };
        if !facts.attachments.contains(&attachment) {
            facts.attachments.push(attachment);
        }
    }
}

fn chapters(entries: &[gst::TocEntry], out: &mut Vec<Chapter>) {
    for entry in entries {
        if entry.entry_type() == gst::TocEntryType::Chapter {
            let (start, end) = entry.start_stop_times().unwrap_or((0, -1));
            let tags = entry.tags();
            out.push(Chapter {
                start: u64::try_from(start).unwrap_or(0),
                end: u64::try_from(end).unwrap_or(0),
                title: tags.as_ref().and_then(|t| text(t, "title")).unwrap_or_default(),
                language: None,
            });
        }
        chapters(&entry.sub_entries(), out);
    }
}

/// Matroska marks what is a default, MP4 what is not to be played; where no stream is marked the input does not say.
pub(super) fn settle_defaults(facts: &mut Facts) {
    let marked = facts.streams.iter().any(|s| s.flags.default == Some(true));
    let unmarked = facts.streams.iter().any(|s| s.flags.default == Some(false));
    for stream in facts.streams.iter_mut().filter(|_| marked || unmarked) {
        stream.flags.default.get_or_insert(!marked);
    }
}

/// A chapter without an end lasts to the next one, or to the end.
pub(super) fn close_chapters(facts: &mut Facts) {
    facts.chapters.sort_by_key(|c| c.start);
    let mut next = facts.duration.unwrap_or(0);
    for chapter in facts.chapters.iter_mut().rev() {
        if chapter.end <= chapter.start {
            chapter.end = next.max(chapter.start);
        }
        next = chapter.start;
    }
}
