//! The text that names an encoder and its settings to `divienenc`.

/// A factory and its properties, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    factory: String,
    properties: Vec<(String, String)>,
}

impl Spec {
    pub(crate) fn new(factory: &str) -> Self {
        Self { factory: factory.into(), properties: Vec::new() }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl ToString) -> &mut Self {
        let value = value.to_string();
        match self.properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.into(), value)),
        }
        self
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.factory)?;
        for (name, value) in &self.properties {
            let bare = !value.is_empty()
                && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'));
            if bare {
                write!(f, " {name}={value}")?;
            } else {
                write!(f, " {name}=\"{value}\"")?;
            }
        }
        Ok(())
    }
}

/// A library's option string, `key=value:key=value`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OptionString(Vec<(String, String)>);

impl OptionString {
    /// The libraries read from left to right, so a later value wins.
    pub(crate) fn push(&mut self, key: impl Into<String>, value: impl ToString) {
        self.0.push((key.into(), value.to_string()));
    }

    pub(crate) fn append(&mut self, more: &Self) {
        self.0.extend(more.0.iter().cloned());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for OptionString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// `-x264-params` and its like: `key=value:key=value`, a backslash before a colon that belongs to a value.
pub(crate) fn parse_params(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut item = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next() {
            // The elements split at every colon, and the libraries take a comma in its place.
            Some('\\') => match chars.next() {
                Some(':') => item.push(','),
                _ => return Err("a backslash may stand before a colon alone".into()),
            },
            Some(c) if c != ':' => item.push(c),
            end => {
                if !item.is_empty() {
                    let (key, value) = item
                        .split_once('=')
                        .filter(|(k, v)| !k.is_empty() && !v.is_empty())
                        .ok_or_else(|| format!("'{item}' is not KEY=VALUE; in a value, write a colon as a comma"))?;
                    pairs.push((key.replace('_', "-"), value.to_owned()));
                }
                item.clear();
                if end.is_none() {
                    return Ok(pairs);
                }
            }
        }
    }
}
