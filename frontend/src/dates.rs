//! Formats dates for people.

use shared::api::Share;

/// Splits `2026-11-22T19:13:38.123Z` into `2026-11-22` and `19:13`.
pub fn day_and_minute(rfc3339: &str) -> (String, String) {
    let minute = minute(rfc3339);
    match minute.split_once(' ') {
        Some((day, time)) => (day.to_owned(), time.to_owned()),
        None => (minute, String::new()),
    }
}

/// Formats `2026-11-22T19:13:38.123Z` as `2026-11-22 19:13`; returns anything else unchanged.
pub fn minute(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(10..11), rfc3339.get(11..16)) {
        (Some(day), Some("T"), Some(time)) => format!("{day} {time}"),
        _ => rfc3339.to_owned(),
    }
}

/// How long the link of a share works.
pub fn until(share: &Share) -> String {
    match &share.expires_at {
        Some(end) if share.expired => format!("Expired {} UTC", minute(end)),
        Some(end) => format!("Works until {} UTC", minute(end)),
        None => "Works until it is withdrawn".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use shared::fixtures;

    use super::*;

    #[test]
    fn a_link_says_how_long_it_works() {
        let share = |end: Option<&str>, expired| Share { expires_at: end.map(str::to_owned), expired, ..fixtures::share() };
        let end = Some("2026-11-22T19:13:38.123Z");
        assert_eq!(until(&share(None, false)), "Works until it is withdrawn");
        assert_eq!(until(&share(end, false)), "Works until 2026-11-22 19:13 UTC");
        assert_eq!(until(&share(end, true)), "Expired 2026-11-22 19:13 UTC");
    }

    #[test]
    fn times_are_cut_to_the_minute() {
        assert_eq!(minute("2026-11-22T19:13:38.123Z"), "2026-11-22 19:13");
        assert_eq!(minute("yesterday"), "yesterday");
    }
}
