//! Formats numbers for people. All other code uses fractions, seconds and bytes.

/// `0.7164` as `71.6 %`; a missing value as an en dash.
pub fn percent(fraction: impl Into<Option<f64>>) -> String {
    fraction.into().map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", value * 100.0))
}

/// `12.3456` as `12.35`; a missing value as an en dash.
pub fn decimal(value: impl Into<Option<f64>>, digits: usize) -> String {
    let text = |value: f64| {
        let text = format!("{value:.digits$}");
        // What rounds to zero has no sign.
        match text.strip_prefix('-') {
            Some(rest) if rest.bytes().all(|byte| matches!(byte, b'0' | b'.')) => rest.to_owned(),
            _ => minus(text),
        }
    };
    value.into().map_or_else(|| "–".to_owned(), text)
}

/// A number of any size with at most four digits, such as `2.303` or `1.2e31`; for losses, which have no
/// upper bound.
pub fn short(value: impl Into<Option<f64>>) -> String {
    let Some(value) = value.into() else { return "–".to_owned() };
    let size = value.abs();
    if !value.is_finite() {
        return "not a finite number".to_owned();
    }
    let text = match size {
        _ if size == 0.0 => return "0".to_owned(),
        _ if !(0.000_999_5..99_999.5).contains(&size) => {
            let text = format!("{value:.2e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{}e{exponent}", trimmed(digits))
        }
        _ if size >= 100.0 => trimmed(&format!("{value:.1}")).to_owned(),
        _ => trimmed(&format!("{value:.3}")).to_owned(),
    };
    minus(text)
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// A difference with its sign, such as `+2.13` or `−0.40`; a missing value as an en dash.
pub fn signed(value: impl Into<Option<f64>>, digits: usize) -> String {
    value.into().map_or_else(|| "–".to_owned(), |value| minus(format!("{value:+.digits$}")))
}

/// A difference of fractions in percentage points, such as `−11.1 pp`; a missing value as an en dash.
pub fn points(value: impl Into<Option<f64>>) -> String {
    value.into().map_or_else(|| "–".to_owned(), |value| minus(format!("{:+.1} pp", value * 100.0)))
}

/// `75` seconds as `1 min 15 s`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// An estimated duration, for example `about 3 hours` or `about 4 months`.
pub fn roughly(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    const MONTH: f64 = 30.44 * DAY;
    let (unit, name) = match seconds {
        ..MINUTE => return "less than a minute".to_owned(),
        ..5400.0 => (MINUTE, "minute"),
        ..129_600.0 => (HOUR, "hour"),
        ..5_184_000.0 => (DAY, "day"),
        ..63_072_000.0 => (MONTH, "month"),
        _ => (12.0 * MONTH, "year"),
    };
    let number = (seconds / unit).round();
    format!("about {number} {name}{}", if number == 1.0 { "" } else { "s" })
}

/// `44 708 064` bytes as `42.6 MiB`.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// A count with thin spaces between groups of three digits.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped
}

fn minus(text: String) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_told_in_one_unit() {
        for (seconds, expected) in [
            (20.0, "less than a minute"),
            (61.0, "about 1 minute"),
            (5000.0, "about 83 minutes"),
            (7300.0, "about 2 hours"),
            (130_000.0, "about 2 days"),
            (8e6, "about 3 months"),
            (1e8, "about 3 years"),
        ] {
            assert_eq!(roughly(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(percent(0.7164), "71.6 %");
        assert_eq!(percent(None), "–");
        assert_eq!((decimal(-0.4, 2), decimal(-0.004, 2), decimal(-0.0, 0)), ("−0.40".into(), "0.00".into(), "0".into()));
        assert_eq!([2.345, 0.5, 10_000.0, 0.001, 250.0, 0.0].map(short), ["2.345", "0.5", "10000", "0.001", "250", "0"]);
        assert_eq!([1.2345e31, 1e31, 2e-9, 100_000.0].map(short), ["1.23e31", "1e31", "2e−9", "1e5"]);
        assert_eq!((short(f64::NAN), short(None)), ("not a finite number".to_owned(), "–".to_owned()));
        assert_eq!(signed(2.127, 2), "+2.13");
        assert_eq!(points(-0.111), "−11.1 pp");
        assert_eq!(duration(4.26), "4.3 s");
        assert_eq!(duration(75.0), "1 min 15 s");
        assert_eq!(duration(90_000.0), "1 d 1 h");
        assert_eq!(bytes(900), "900 B");
        assert_eq!(bytes(44_708_064), "42.6 MiB");
        assert_eq!(count(1_234_567), "1\u{2009}234\u{2009}567");
    }
}
