//! Numbers, bit rates and times as ffmpeg writes them.

use std::time::Duration;

/// A number with ffmpeg's suffixes: `k`, `M`, `G`, `T` are decimal, `Ki`, `Mi` … binary, a final `B` counts bytes.
pub(crate) fn number(text: &str) -> Option<f64> {
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && matches!(c, '-' | '+'))))
        .map_or(text.len(), |(i, _)| i);
    let (digits, suffix) = text.split_at(end);
    let (digits, suffix) = match exponent(suffix) {
        Some(len) => text.split_at(end + len),
        None => (digits, suffix),
    };
    let value: f64 = digits.parse().ok()?;
    let (suffix, bytes) = match suffix.strip_suffix('B') {
        Some(rest) => (rest, 8.0),
        None => (suffix, 1.0),
    };
    let (prefix, base) = match suffix.strip_suffix('i') {
        Some(rest) => (rest, 1024.0_f64),
        None => (suffix, 1000.0),
    };
    let power = match prefix {
        "" if base == 1000.0 => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return None,
    };
    Some(value * base.powi(power) * bytes).filter(|v| v.is_finite())
}

/// How long `e-3` and the like at the start of `text` is.
fn exponent(text: &str) -> Option<usize> {
    let rest = text.strip_prefix(['e', 'E'])?;
    let sign = usize::from(rest.starts_with(['-', '+']));
    let digits = rest.get(sign..)?.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then_some(1 + sign + digits)
}

/// A bit rate in bits a second.
pub(crate) fn rate(text: &str) -> Option<u64> {
    let value = number(text)?;
    // Beyond 2^53 a double no longer holds each integer; no encoder goes near it.
    (0.0..=9.0e15).contains(&value).then(|| value.round() as u64)
}

/// Bytes: `512M`, `1Gi`, a `B` behind them or not.
pub(super) fn size(text: &str) -> Option<u64> {
    rate(text.strip_suffix('B').unwrap_or(text))
}

/// A time: `12.5`, `90s`, `250ms`, `40us`, `1:02`, `1:02:03.5`.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (text, unit): (&str, u128) = if let Some(rest) = text.strip_suffix("us") {
        (rest, 1)
    } else if let Some(rest) = text.strip_suffix("ms") {
        (rest, 1_000)
    } else if let Some(rest) = text.strip_suffix('s') {
        (rest, 1_000_000)
    } else {
        (text, 1_000_000)
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [s] => ("0", "0", *s),
        [m, s] if unit == 1_000_000 => ("0", *m, *s),
        [h, m, s] if unit == 1_000_000 => (*h, *m, *s),
        _ => return None,
    };
    let whole = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (hours, minutes) = (whole(hours)?, whole(minutes)?);
    let (seconds, micros) = match seconds.split_once('.') {
        Some((s, fraction)) => {
            let s = if s.is_empty() && !fraction.is_empty() { 0 } else { whole(s)? };
            let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
            whole(if fraction.is_empty() { "0" } else { fraction })?;
            (s, whole(&digits)?)
        }
        None => (whole(seconds)?, 0),
    };
    if parts.len() > 1 && (seconds > 59 || minutes > 59) {
        return None;
    }
    let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    let total = u128::from(seconds) * unit + u128::from(micros) * unit / 1_000_000;
    u64::try_from(total).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_suffixes_of_ffmpeg() {
        for (text, value) in [
            ("23", 23.0),
            ("-1.5", -1.5),
            ("2M", 2e6),
            ("800k", 800e3),
            ("800K", 800e3),
            ("1.5M", 1.5e6),
            ("1Ki", 1024.0),
            ("2Mi", 2097152.0),
            ("1kB", 8000.0),
            ("1KiB", 8192.0),
            ("1e3", 1000.0),
            (".5", 0.5),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "k", "2X", "1i", "1 M", "M2", "--1", "1.2.3", "nan", "inf", "e3"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(rate("2.5M"), Some(2_500_000));
        assert_eq!(rate("-2M"), None);
        assert_eq!((size("512M"), size("1GiB"), size("2kB")), (Some(512_000_000), Some(1 << 30), Some(2000)));
        assert_eq!((size("B"), size("-1")), (None, None));
    }

    #[test]
    fn times_are_read_like_ffmpeg_reads_them() {
        for (text, micros) in [
            ("5", 5_000_000),
            ("0.25", 250_000),
            (".5", 500_000),
            ("90s", 90_000_000),
            ("250ms", 250_000),
            ("1.5ms", 1_500),
            ("40us", 40),
            ("1:02", 62_000_000),
            ("01:02:03.5", 3_723_500_000),
            ("100:00:00", 360_000_000_000),
        ] {
            assert_eq!(time(text), Some(Duration::from_micros(micros)), "{text}");
        }
        for text in [
            "",
            ":",
            "1:",
            "1:60",
            "90:00",
            "1:60:00",
            "1:2:3:4",
            "-5",
            "5x",
            "1.2.3",
            "1:02ms",
            ".",
            "99999999999999999999",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
