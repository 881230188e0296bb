//! Sizes and places as ffmpeg's filters take them: numbers, names, `+ - * /`, brackets and a few functions.

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExprError {
    #[error("'{0}' is no number and no name known here")]
    Name(String),
    #[error("'{0}' changes with time: sizes and places have to be the same for all pictures")]
    Time(String),
    #[error("'{0}' is no function here; there are min, max, floor, ceil, round, trunc and abs")]
    Function(String),
    #[error("'{0}' is not complete, or not put together as it has to be")]
    Syntax(String),
    #[error("'{0}' is nested too deeply")]
    Deep(String),
}

/// Deeper than anybody writes.
const MOST_DEPTH: usize = 64;

/// The value of `text` with these names.
pub(super) fn value(text: &str, names: &dyn Fn(&str) -> Option<f64>) -> Result<f64, ExprError> {
    let mut reader = Reader { text, rest: text, names, depth: 0 };
    let value = reader.sum()?;
    if !reader.rest.trim_start().is_empty() {
        return Err(ExprError::Syntax(text.into()));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    names: &'a dyn Fn(&str) -> Option<f64>,
    depth: usize,
}

impl Reader<'_> {
    fn takes(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn syntax<T>(&self) -> Result<T, ExprError> {
        Err(ExprError::Syntax(self.text.into()))
    }

    fn sum(&mut self) -> Result<f64, ExprError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(ExprError::Deep(self.text.into()));
        }
        let mut value = self.product()?;
        loop {
            if self.takes('+') {
                value += self.product()?;
            } else if self.takes('-') {
                value -= self.product()?;
            } else {
                self.depth -= 1;
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, ExprError> {
        let mut value = self.signed()?;
        loop {
            if self.takes('*') {
                value *= self.signed()?;
            } else if self.takes('/') {
                value /= self.signed()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn signed(&mut self) -> Result<f64, ExprError> {
        let mut sign = 1.0;
        loop {
            if self.takes('-') {
                sign = -sign;
            } else if !self.takes('+') {
                return Ok(sign * self.operand()?);
            }
        }
    }

    fn operand(&mut self) -> Result<f64, ExprError> {
        if self.takes('(') {
            let value = self.sum()?;
            return if self.takes(')') { Ok(value) } else { self.syntax() };
        }
        self.rest = self.rest.trim_start();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word.chars().next() {
            None => self.syntax(),
            Some(first) if first.is_ascii_digit() || first == '.' => {
                word.parse().map_err(|_| ExprError::Name(word.into()))
            }
            Some(_) if self.takes('(') => self.function(word),
            Some(_) if matches!(word, "n" | "t" | "pos") => Err(ExprError::Time(word.into())),
            Some(_) => (self.names)(word).ok_or_else(|| ExprError::Name(word.into())),
        }
    }

    fn function(&mut self, name: &str) -> Result<f64, ExprError> {
        let one: Option<fn(f64) -> f64> = match name {
            "floor" => Some(f64::floor),
            "ceil" => Some(f64::ceil),
            "round" => Some(f64::round),
            "trunc" => Some(f64::trunc),
            "abs" => Some(f64::abs),
            _ => None,
        };
        let two: Option<fn(f64, f64) -> f64> = match name {
            "min" => Some(f64::min),
            "max" => Some(f64::max),
            _ => None,
        };
        let first = self.sum()?;
        let value = match (one, two) {
            (Some(f), _) => f(first),
            (_, Some(f)) if self.takes(',') => f(first, self.sum()?),
            (_, Some(_)) => return self.syntax(),
            _ => return Err(ExprError::Function(name.into())),
        };
        if self.takes(')') { Ok(value) } else { self.syntax() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<f64, ExprError> {
        value(text, &|name| match name {
            "iw" => Some(1920.0),
            "ih" => Some(1080.0),
            _ => None,
        })
    }

    #[test]
    fn expressions_have_the_value_that_ffmpeg_gives_them() {
        for (text, value) in [
            ("-2", -2.0),
            ("iw/2", 960.0),
            (" ( iw - 1280 ) / 2", 320.0),
            ("trunc(iw/7/2)*2", 274.0),
            ("min(1280,iw)-max(ih\t,3)", 200.0),
            ("2+3*4-6/2", 11.0),
            ("-(-.5)", 0.5),
        ] {
            assert_eq!(of(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_told() {
        assert_eq!(of("foo"), Err(ExprError::Name("foo".into())));
        assert_eq!(of("n*2"), Err(ExprError::Time("n".into())));
        assert_eq!(of("random(1)"), Err(ExprError::Function("random".into())));
        for text in ["", "iw/", "(iw", "iw ih", "min(1)", "1)", "*2"] {
            assert_eq!(of(text), Err(ExprError::Syntax(text.into())), "{text}");
        }
        assert!(matches!(of(&"(".repeat(100_000)), Err(ExprError::Deep(_))));
    }
}
