//! Numbers as people read them. Everything else keeps fractions, seconds and bytes.

/// `0.7164` as `71.6 %`; a missing value as an en dash.
pub fn percent(fraction: impl Into<Option<f64>>) -> String {
    fraction.into().map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", value * 100.0))
}

/// `12.3456` as `12.35`; a missing value as an en dash.
pub fn decimal(value: impl Into<Option<f64>>, digits: usize) -> String {
    value.into().map_or_else(|| "–".to_owned(), |value| minus(format!("{value:.digits$}")))
}

/// A difference with its sign, `+2.13` or `−0.40`; a missing value as an en dash.
pub fn signed(value: impl Into<Option<f64>>, digits: usize) -> String {
    value.into().map_or_else(|| "–".to_owned(), |value| minus(format!("{value:+.digits$}")))
}

/// A difference of fractions in percentage points, `−11.1 pp`.
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

/// A count with thin spaces between thousands.
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
    fn numbers_read_as_people_write_them() {
        assert_eq!(percent(0.7164), "71.6 %");
        assert_eq!(percent(None), "–");
        assert_eq!(decimal(-0.4, 2), "−0.40");
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
