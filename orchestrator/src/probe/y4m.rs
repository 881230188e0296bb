//! YUV4MPEG2, the form raw video takes in pipes. GStreamer 1.22's own reader takes 8 bits only.

use std::io::{self, BufRead, Read};

/// What every such stream starts with.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2 ";
/// A header line longer than this is none.
const LONGEST_LINE: u64 = 4096;

/// What a stream's first line announces: the pictures, and their caps, which say of colours what the line says.
pub(super) fn header(reader: &mut impl BufRead) -> Result<(gst_video::VideoInfo, gst::Caps), String> {
    let line = line(reader).map_err(|e| e.to_string())?.ok_or("the stream is empty")?;
    let (mut width, mut height, mut rate, mut aspect) = (0, 0, None, None);
    let (mut chroma, mut scan, mut colours) = ("420jpeg", 'p', None);
    for word in line.split(' ').skip(1) {
        let Some(kind) = word.chars().next() else { continue };
        let value = word.get(kind.len_utf8()..).unwrap_or_default();
        match kind {
            'W' => width = value.parse().unwrap_or(0),
            'H' => height = value.parse().unwrap_or(0),
            'F' => rate = fraction(value),
            'A' => aspect = fraction(value),
            'C' => chroma = value,
            'I' => scan = value.chars().next().unwrap_or('p'),
            'X' if value == "COLORRANGE=FULL" => colours = Some("1:0:0:0"),
            'X' if value == "COLORRANGE=LIMITED" => colours = Some("2:0:0:0"),
            _ => {}
        }
    }
    if width == 0 || height == 0 || width > 32_768 || height > 32_768 {
        return Err(format!("a YUV4MPEG2 header without a size that makes sense: {line}"));
    }
    let format = format(chroma).ok_or_else(|| format!("YUV4MPEG2 in the form C{chroma} is not supported"))?;
    let mut builder = gst_video::VideoInfo::builder(format, width, height);
    builder = builder.fps(rate.unwrap_or(gst::Fraction::new(25, 1)));
    if let Some(aspect) = aspect {
        builder = builder.par(aspect);
    }
    if scan == 't' || scan == 'b' {
        builder = builder.interlace_mode(gst_video::VideoInterlaceMode::Interleaved).field_order(if scan == 't' {
            gst_video::VideoFieldOrder::TopFieldFirst
        } else {
            gst_video::VideoFieldOrder::BottomFieldFirst
        });
    }
    if chroma == "420jpeg" || chroma == "420" {
        builder = builder.chroma_site(gst_video::VideoChromaSite::JPEG);
    }
    let info = builder.build().map_err(|e| e.to_string())?;
    let mut caps = info.to_caps().map_err(|e| e.to_string())?;
    if let Some(fields) = caps.make_mut().structure_mut(0) {
        fields.remove_field("colorimetry");
        if let Some(colours) = colours {
            fields.set("colorimetry", colours);
        }
    }
    Ok((info, caps))
}

fn format(chroma: &str) -> Option<gst_video::VideoFormat> {
    use gst_video::VideoFormat as F;
    Some(match chroma {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => F::I420,
        "422" => F::Y42b,
        "444" => F::Y444,
        "411" => F::Y41b,
        "mono" => F::Gray8,
        "420p10" => F::I42010le,
        "422p10" => F::I42210le,
        "444p10" => F::Y44410le,
        "420p12" => F::I42012le,
        "422p12" => F::I42212le,
        "444p12" => F::Y44412le,
        _ => return None,
    })
}

fn fraction(text: &str) -> Option<gst::Fraction> {
    let (n, d) = text.split_once(':')?;
    let (n, d): (i32, i32) = (n.parse().ok()?, d.parse().ok()?);
    (n > 0 && d > 0).then(|| gst::Fraction::new(n, d))
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The next picture; `None` at the end.
fn picture(reader: &mut impl BufRead, info: &gst_video::VideoInfo) -> io::Result<Option<gst::Buffer>> {
    let Some(line) = line(reader)? else { return Ok(None) };
    if !line.starts_with("FRAME") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no frame where one should start"));
    }
    let failed = |what: &str| io::Error::other(what.to_owned());
    let buffer = gst::Buffer::with_size(info.size()).map_err(|_| failed("no memory for a frame"))?;
    let mut frame =
        gst_video::VideoFrame::from_buffer_writable(buffer, info).map_err(|_| failed("no room for a frame"))?;
    for component in 0..info.n_components() {
        let width = usize::try_from(info.comp_width(component as u8)).unwrap_or(0);
        let row = width * usize::try_from(info.comp_pstride(component as u8)).unwrap_or(1);
        let rows = usize::try_from(info.comp_height(component as u8)).unwrap_or(0);
        let stride = info.stride().get(component as usize).and_then(|s| usize::try_from(*s).ok()).unwrap_or(row);
        let plane = frame.plane_data_mut(component).map_err(|_| failed("a frame without a plane"))?;
        for line in plane.chunks_mut(stride.max(1)).take(rows) {
            reader.read_exact(line.get_mut(..row).ok_or_else(|| failed("a row too short"))?)?;
        }
    }
    Ok(Some(frame.into_buffer()))
}

/// Reads pictures into `source` until they end; runs on a thread of its own.
pub(super) fn feed(mut reader: impl BufRead, info: &gst_video::VideoInfo, source: &gst_app::AppSrc) {
    let (n, d) = (info.fps().numer().unsigned_abs(), info.fps().denom().unsigned_abs());
    let time = |frame: u64| {
        let ns = u128::from(frame) * 1_000_000_000 * u128::from(d) / u128::from(n.max(1));
        gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(u64::MAX - 1))
    };
    for number in 0.. {
        match picture(&mut reader, info) {
            Ok(Some(mut buffer)) => {
                let frame = buffer.make_mut();
                frame.set_pts(time(number));
                frame.set_duration(time(number + 1) - time(number));
                if source.push_buffer(buffer).is_err() {
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                gst::element_error!(
                    source,
                    gst::ResourceError::Read,
                    ["the input ends within frame {number}: {error}"]
                );
                break;
            }
        }
    }
    // Refused only by a pipeline that is being stopped.
    let _ = source.end_of_stream();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_bits_interlaced_and_odd_sizes_are_understood() {
        gst::init().unwrap();
        let (info, caps) =
            header(&mut &b"YUV4MPEG2 W161 H121 F30000:1001 It A12:11 C420p10 XYSCSS=420P10 XCOLORRANGE=FULL\n"[..])
                .unwrap();
        assert_eq!(caps.structure(0).unwrap().get::<&str>("colorimetry"), Ok("1:0:0:0"));
        assert_eq!(info.format(), gst_video::VideoFormat::I42010le);
        assert_eq!((info.width(), info.height(), info.par()), (161, 121, gst::Fraction::new(12, 11)));
        assert_eq!(info.field_order(), gst_video::VideoFieldOrder::TopFieldFirst);
        assert!(header(&mut &b"YUV4MPEG2 W16 H16 C777\n"[..]).is_err());
        assert!(header(&mut &b"YUV4MPEG2 W0 H16\n"[..]).is_err());
    }

    #[test]
    fn a_picture_keeps_every_row_and_a_cut_one_is_an_error() {
        gst::init().unwrap();
        let (info, caps) = header(&mut &b"YUV4MPEG2 W6 H2 F25:1 C444\n"[..]).unwrap();
        assert!(!caps.structure(0).unwrap().has_field("colorimetry"), "nothing is said of colours");
        let mut stream = b"FRAME\n".to_vec();
        stream.extend(1..=36);
        let buffer = picture(&mut stream.as_slice(), &info).unwrap().unwrap();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
        let stride = info.stride()[2] as usize;
        assert_eq!(frame.plane_data(2).unwrap()[stride..stride + 6], [31, 32, 33, 34, 35, 36]);
        stream.pop();
        assert!(picture(&mut stream.as_slice(), &info).is_err());
        assert!(picture(&mut &b""[..], &info).unwrap().is_none());
    }
}
