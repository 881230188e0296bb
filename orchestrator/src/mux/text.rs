//! Subtitle texts between the forms containers keep them in.

use mp4_atom::{BufMut as _, Encode as _};

/// GStreamer's markup as SubRip writes it: entities become characters, `<b> <i> <u>` stay, the rest goes.
pub(crate) fn plain_from_pango(markup: &str) -> String {
    let mut out = String::with_capacity(markup.len());
    let mut rest = markup;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '<'
            && let Some(end) = rest.find('>')
        {
            let tag = rest.get(..=end).unwrap_or_default();
            let name = tag.trim_start_matches(['<', '/']).trim_end_matches('>').to_ascii_lowercase();
            if ["b", "i", "u"].contains(&name.as_str()) {
                out.push_str(tag);
            }
            rest = rest.get(end + 1..).unwrap_or_default();
            continue;
        }
        if c == '&' {
            let known =
                [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&apos;", '\''), ("&#39;", '\'')];
            if let Some((entity, plain)) = known.iter().find(|(e, _)| rest.starts_with(e)) {
                out.push(*plain);
                rest = rest.get(entity.len()..).unwrap_or_default();
                continue;
            }
        }
        out.push(c);
        rest = tail;
    }
    out
}

/// The text of an ASS event as Matroska stores it: nine fields, the ninth with overrides in braces.
pub(crate) fn plain_from_ass(event: &str) -> String {
    let text = event.splitn(9, ',').nth(8).unwrap_or(event);
    let mut out = String::new();
    let mut depth = 0u32;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '\\' if depth == 0 && matches!(chars.peek(), Some('N' | 'n')) => {
                chars.next();
                out.push('\n');
            }
            '\\' if depth == 0 && chars.peek() == Some(&'h') => {
                chars.next();
                out.push('\u{A0}');
            }
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// A 3GPP timed-text sample: length, text, and a box with the styles `<b> <i> <u>` ask for.
pub(crate) fn tx3g(text: &[u8]) -> mp4_atom::Result<Vec<u8>> {
    let text = String::from_utf8_lossy(text);
    let mut plain = String::new();
    let mut styles: Vec<(u16, u16, u8)> = Vec::new();
    let mut open: (u16, u8) = (0, 0);
    let mut position = 0u16;
    let mut rest = text.trim_end_matches(['\0', '\r', '\n']);
    while let Some(c) = rest.chars().next() {
        let tag = [
            ("<b>", 1u8, true),
            ("</b>", 1, false),
            ("<i>", 2, true),
            ("</i>", 2, false),
            ("<u>", 4, true),
            ("</u>", 4, false),
        ]
        .into_iter()
        .find(|(t, ..)| rest.get(..t.len()).is_some_and(|r| r.eq_ignore_ascii_case(t)));
        if let Some((tag, flag, on)) = tag {
            if open.1 != 0 && position > open.0 {
                styles.push((open.0, position, open.1));
            }
            open = (position, if on { open.1 | flag } else { open.1 & !flag });
            rest = rest.get(tag.len()..).unwrap_or_default();
            continue;
        }
        if plain.len() + c.len_utf8() > 0xFFFF {
            break;
        }
        if c != '\r' {
            plain.push(c);
            position = position.saturating_add(1);
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    if open.1 != 0 && position > open.0 {
        styles.push((open.0, position, open.1));
    }
    let mut out = Vec::with_capacity(plain.len() + 2);
    out.extend((plain.len() as u16).to_be_bytes());
    out.extend(plain.as_bytes());
    if styles.is_empty() {
        return Ok(out);
    }
    out.encode_atom(b"styl", |b| {
        (styles.len() as u16).encode(b)?;
        for (from, to, flags) in styles {
            from.encode(b)?;
            to.encode(b)?;
            [0, 1, flags, 16, 0xFF, 0xFF, 0xFF, 0xFF].encode(b)?;
        }
        Ok(())
    })?;
    Ok(out)
}

/// A chapter's title as QuickTime keeps it: length, text, and a box that says it is UTF-8.
pub(crate) fn chapter(title: &str) -> mp4_atom::Result<Vec<u8>> {
    let title = title.get(..title.floor_char_boundary(0xFFFF)).unwrap_or_default();
    let mut out = Vec::new();
    (title.len() as u16).encode(&mut out)?;
    title.as_bytes().encode(&mut out)?;
    out.encode_atom(b"encd", |b| 0x0000_0100u32.encode(b))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_what_a_subtitle_file_said() {
        let plain = plain_from_pango("<span color=\"red\">Tom &amp; <i>Jerry</i></span> &lt;3");
        assert_eq!(plain, "Tom & <i>Jerry</i> <3");
        assert_eq!(plain_from_pango("a < b"), "a < b");
    }

    #[test]
    fn an_ass_event_gives_its_text_alone() {
        assert_eq!(plain_from_ass("0,0,Default,,0,0,0,,{\\an8}Hello,\\Nworld"), "Hello,\nworld");
    }

    #[test]
    fn a_cue_keeps_its_slant() {
        let cue = tx3g("a<i>bc</i>".as_bytes()).unwrap();
        assert_eq!(cue[..5], [0, 3, b'a', b'b', b'c']);
        assert_eq!(cue[15..20], [0, 1, 0, 3, 0]);
        assert_eq!(cue[21], 2);
    }
}
