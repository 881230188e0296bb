//! Sizes of pictures, by number and by name.

/// ffmpeg's names that are still in use.
const NAMED: &[(&str, u32, u32)] = &[
    ("ntsc", 720, 480),
    ("pal", 720, 576),
    ("qntsc", 352, 240),
    ("qpal", 352, 288),
    ("sntsc", 640, 480),
    ("spal", 768, 576),
    ("film", 352, 240),
    ("sqcif", 128, 96),
    ("qcif", 176, 144),
    ("cif", 352, 288),
    ("4cif", 704, 576),
    ("16cif", 1408, 1152),
    ("qqvga", 160, 120),
    ("qvga", 320, 240),
    ("vga", 640, 480),
    ("svga", 800, 600),
    ("xga", 1024, 768),
    ("uxga", 1600, 1200),
    ("sxga", 1280, 1024),
    ("wvga", 852, 480),
    ("wxga", 1366, 768),
    ("hd480", 852, 480),
    ("hd720", 1280, 720),
    ("hd1080", 1920, 1080),
    ("2k", 2048, 1080),
    ("2kdci", 2048, 1080),
    ("4k", 4096, 2160),
    ("4kdci", 4096, 2160),
    ("uhd2160", 3840, 2160),
    ("nhd", 640, 360),
    ("qhd", 960, 540),
];

/// `640x360`, or a name.
pub(crate) fn size(text: &str) -> Option<(u32, u32)> {
    if let Some((_, w, h)) = NAMED.iter().find(|(name, ..)| *name == text) {
        return Some((*w, *h));
    }
    let (w, h) = text.split_once('x')?;
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=super::resolve::MOST).contains(side));
    Some((side(w)?, side(h)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_number_and_by_name() {
        assert_eq!(size("640x360"), Some((640, 360)));
        assert_eq!(size("hd720"), Some((1280, 720)));
        for text in ["", "640", "0x2", "640x", "-2x2", "640x360x2", "70000x2"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
