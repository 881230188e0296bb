//! What a format comes to on this machine: the libraries that take part, and what a short clip becomes with its encoder. Two
//! machines of which that is equal write the same bytes.

use std::sync::Arc;

use gst::prelude::*;

use crate::isolate::Isolation;
use crate::lane::{
    Attempt, Budget, ChunkInput, Encoded, EncoderSpec, FilterSpec, Format, Lane as _, LaneError, LocalLane, Outlet,
};
use crate::store::{Kept, Store};
use crate::wire::message::{Fit, Software};

use super::software::software;

/// Frames of the clip: more than encoders look ahead by any of their presets.
const FRAMES: u64 = 72;
/// The same beyond those that they are told to look ahead.
const BEYOND: u64 = 12;
/// What any encoder looks ahead at most: x264 and x265.
const MOST_AHEAD: u64 = 250;
/// So often a process may be ended over it.
const TRIES: u32 = 3;
/// The clip's size, where the input's own is larger.
const SIZE: (i32, i32) = (192, 112);
/// What the clip's frames are made as, and encoded as where the input does not say before it is decoded.
const USUAL: &str = "I420";

/// This build of divien.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " of sources ", env!("SOURCES"));

/// What this format comes to here. Takes a while.
pub(crate) fn fingerprint(format: &Format, id: u32, isolation: Option<&Arc<Isolation>>) -> Result<Fit, String> {
    Ok(Fit { format: id, software: parts(format)?, digest: digest(format, isolation)? })
}

/// All that takes part in a format here, and its versions.
pub(crate) fn parts(format: &Format) -> Result<Vec<Software>, String> {
    let decoder = format.decoder.as_ref().map(|decoder| decoder.name());
    let filters = format.filter.elements().map_err(|error| error.to_string())?;
    let filters: Vec<String> = filters.iter().filter_map(ElementExt::factory).map(|f| f.name().to_string()).collect();
    let encoder = format.encoder.factory_name();
    let elements = decoder.iter().chain(&filters).map(String::as_str).chain([encoder.as_str(), "videoconvert"]);
    let mut software = software(elements);
    software.dedup();
    software.push(Software { name: "divien".into(), version: BUILD.into() });
    Ok(software)
}

/// The hash of what the encoder makes of the clip, with decoder and filters left out: they are known by their versions. It is
/// made where chunks are made, in a process if that is so.
pub(crate) fn digest(format: &Format, isolation: Option<&Arc<Isolation>>) -> Result<[u8; 32], String> {
    let mut tries = 1;
    let encoded = loop {
        let attempt = attempt(format)?;
        let encoded = isolation.map_or_else(|| LocalLane.encode(&attempt), |isolation| isolation.encode(&attempt));
        match encoded {
            // Whoever has ended its process may have meant another one.
            Err(LaneError::Killed(_)) if tries < TRIES => tries += 1,
            encoded => break encoded.map_err(|error| error.to_string())?,
        }
    };
    hash(&encoded).map_err(|error| error.to_string())
}

/// The clip for the format's encoder.
fn attempt(format: &Format) -> Result<Attempt, String> {
    let (caps, filter) = clip(format);
    let info = gst_video::VideoInfo::from_caps(&caps).map_err(|error| format!("{caps}: {error}"))?;
    let input = Arc::new(ChunkInput::default());
    let budget = Budget::new(u64::MAX);
    let step = gst::ClockTime::from_mseconds(40);
    for number in 0..frames(&format.encoder) {
        let mut frame = gst::Buffer::from_mut_slice(picture(info.size(), number));
        if let Some(fields) = frame.get_mut() {
            fields.set_pts(step * number);
            fields.set_duration(step);
        }
        input.push(frame, budget.count(0));
    }
    input.end();
    let short = Format {
        encoder: format.encoder.clone(),
        input: caps,
        decoder: None,
        filter: FilterSpec::parse(&filter).map_err(|error| error.to_string())?,
        frame_caps: format.frame_caps.clone(),
        output: format.encoder.output_caps(),
        lead_in: 0,
    };
    Ok(Attempt::new(Arc::new(short), input, None, Outlet::Store(Store::new(u64::MAX))))
}

/// So many frames has the clip for this encoder.
fn frames(encoder: &EncoderSpec) -> u64 {
    let named = ["rc-lookahead", "lag-in-frames"].into_iter().filter_map(|name| encoder.property(name));
    let options = encoder.property("option-string").unwrap_or_default().split(':');
    let options = options.filter_map(|option| option.split_once('='));
    // Both kinds of dashes are read alike.
    let within = options.filter(|(key, _)| key.replace('_', "-").ends_with("lookahead")).map(|(_, frames)| frames);
    let ahead = named.chain(within).filter_map(|frames| frames.parse::<u64>().ok()).max().unwrap_or_default();
    FRAMES.max(ahead.min(MOST_AHEAD) + BEYOND)
}

fn hash(encoded: &Encoded) -> std::io::Result<[u8; 32]> {
    let mut hash = blake3::Hasher::new();
    for unit in encoded.units.iter().map(Kept::unit) {
        let unit = unit?;
        let bytes = unit.map_readable().map_err(std::io::Error::other)?;
        hash.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    Ok(*hash.finalize().as_bytes())
}

/// Small frames, and what brings them into the format that the input has, as far as that is known.
fn clip(format: &Format) -> (gst::Caps, String) {
    let input = format.input.structure(0);
    let field = |name: &str| input.and_then(|fields| fields.get::<i32>(name).ok());
    let side = |name: &str, most: i32| field(name).map_or(most, |side| if side <= 2 * most { side } else { most });
    let pixels = input.and_then(|fields| fields.get::<&str>("format").ok());
    // What parsers say of coded video.
    let chroma = input.and_then(|fields| fields.get::<&str>("chroma-format").ok());
    let depth = input.and_then(|fields| fields.get::<u32>("bit-depth-luma").ok());
    let of_coded = match (chroma, depth) {
        (Some("4:2:2"), Some(10)) => "I422_10LE",
        (Some("4:4:4"), Some(10)) => "Y444_10LE",
        (_, Some(10)) => "I420_10LE",
        (Some("4:2:2"), _) => "Y42B",
        (Some("4:4:4"), _) => "Y444",
        _ => USUAL,
    };
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", USUAL)
        .field("width", side("width", SIZE.0))
        .field("height", side("height", SIZE.1))
        .field("framerate", gst::Fraction::new(25, 1))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("interlace-mode", "progressive")
        .build();
    (caps, format!("videoconvert ! video/x-raw,format={}", pixels.unwrap_or(of_coded)))
}

/// Shades that move, with noise on them: something to predict, and something that cannot be.
fn picture(size: usize, number: u64) -> Vec<u8> {
    let mut samples = vec![0; size];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut samples);
    let mut shades = (0..=0x3f).cycle().skip(number as usize * 5);
    for of_three in samples.chunks_mut(3) {
        let shade: u8 = 64 + shades.next().unwrap_or_default();
        of_three.iter_mut().for_each(|sample| *sample = shade + (*sample & 7));
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_is_longer_than_what_an_encoder_looks_ahead() {
        gst::init().unwrap();
        for (encoder, ahead) in [
            ("x264enc", FRAMES - BEYOND),
            ("x264enc rc-lookahead=30", FRAMES - BEYOND),
            ("x264enc rc-lookahead=250", 250),
            ("x265enc option-string=keyint=9:rc-lookahead=100", 100),
            ("x265enc option-string=rc_lookahead=101", 101),
            ("x265enc option-string=rc-lookahead=4000000000", MOST_AHEAD),
            ("vp9enc lag-in-frames=25", FRAMES - BEYOND),
        ] {
            assert_eq!(frames(&EncoderSpec::parse(encoder, 0).unwrap()), ahead + BEYOND, "{encoder}");
        }
    }
}
