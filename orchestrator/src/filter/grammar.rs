//! ffmpeg's grammar of a chain: `name=value:key=value,name`, quoted with `'` and `\`, once for the chain and once more for
//! the values.

use super::FilterError;

/// A filter as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) name: String,
    /// Values, each with its key where it has one.
    pub(super) values: Vec<(Option<String>, String)>,
}

/// Reads a chain.
pub(super) fn chain(text: &str) -> Result<Vec<Typed>, FilterError> {
    let mut filters = Vec::new();
    let mut rest = text;
    loop {
        let name = token(&mut rest, "=,;[]")?;
        if rest.starts_with(['[', ']', ';']) {
            return Err(FilterError::Graph);
        }
        // `scale@small` names an instance, which nothing here asks for.
        let name = name.split('@').next().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(FilterError::Empty);
        }
        let arguments = match rest.strip_prefix('=') {
            Some(after) => {
                rest = after;
                token(&mut rest, "[],;")?
            }
            None => String::new(),
        };
        filters.push(Typed { name, values: values(&arguments)? });
        match rest.chars().next() {
            None => return Ok(filters),
            Some(',') => rest = rest.get(1..).unwrap_or_default(),
            Some(_) => return Err(FilterError::Graph),
        }
    }
}

fn values(text: &str) -> Result<Vec<(Option<String>, String)>, FilterError> {
    let mut values = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let key = rest.get(end..).and_then(|after| after.trim_start().strip_prefix('=')).filter(|_| end > 0);
        let name = key.and(rest.get(..end)).map(str::to_owned);
        rest = key.unwrap_or(rest);
        values.push((name, token(&mut rest, ":")?));
        rest = rest.strip_prefix(':').unwrap_or(rest);
    }
    Ok(values)
}

/// Takes what comes before one of `ends`. Spaces around it do not count; between `'` everything stands for itself, and so
/// does what follows a `\`.
fn token(rest: &mut &str, ends: &str) -> Result<String, FilterError> {
    let mut out = String::new();
    // What is quoted keeps the spaces at its end.
    let mut kept = 0;
    let mut chars = rest.trim_start().chars();
    loop {
        let before = chars.as_str();
        match chars.next() {
            None => {
                *rest = "";
                break;
            }
            Some('\\') => {
                out.push(chars.next().ok_or(FilterError::Quotes)?);
                kept = out.len();
            }
            Some('\'') => {
                loop {
                    match chars.next() {
                        None => return Err(FilterError::Quotes),
                        Some('\'') => break,
                        Some(c) => out.push(c),
                    }
                }
                kept = out.len();
            }
            Some(c) if ends.contains(c) => {
                *rest = before;
                break;
            }
            Some(c) => out.push(c),
        }
    }
    let end = out.trim_end().len().max(kept);
    out.truncate(end);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let one = |typed: Typed| {
            let value =
                |(key, value): (Option<String>, String)| key.map_or(value.clone(), |key| format!("{key}={value}"));
            format!("{}({})", typed.name, typed.values.into_iter().map(value).collect::<Vec<_>>().join("|"))
        };
        chain(text).unwrap().into_iter().map(one).collect()
    }

    #[test]
    fn chains_are_read_as_ffmpeg_reads_them() {
        assert_eq!(read("scale=640:-2:flags=lanczos, hflip"), ["scale(640|-2|flags=lanczos)", "hflip()"]);
        assert_eq!(read(r"scale='min(1280,iw)':-2"), ["scale(min(1280,iw)|-2)"]);
        assert_eq!(read(r"scale=w=min(1280\,iw):h = -2"), ["scale(w=min(1280,iw)|h=-2)"]);
        assert_eq!(read("scale@a=2:2,null"), ["scale(2|2)", "null()"]);
        // Unquoted once for the chain and once for the value.
        assert_eq!(read(r"pad=10:10:color='a\:b'"), ["pad(10|10|color=a:b)"]);
        assert_eq!(read(r"x=a\\:b,y=' c '"), [r"x(a:b)", "y(c)"]);
    }

    #[test]
    fn what_is_no_chain_is_told() {
        assert_eq!(chain("[in]scale=2:2[out]"), Err(FilterError::Graph));
        assert_eq!(chain("split;hflip"), Err(FilterError::Graph));
        assert_eq!(chain("hflip,"), Err(FilterError::Empty));
        assert_eq!(chain("scale='2:2"), Err(FilterError::Quotes));
        assert_eq!(chain("scale=2\\"), Err(FilterError::Quotes));
    }
}
