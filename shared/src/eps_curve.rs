//! What a curve of accuracy over the radius of the attack tells of the measurement itself.

use crate::record::EpsPoint;
use crate::signs::{rises, stays_up, with_interval};

/// The number of standard deviations that 95 % of a normal distribution are within.
const Z: f64 = 1.959_963_984_540_054;

/// 95 % interval of a fraction: Wilson 1927, <https://doi.org/10.1080/01621459.1927.10502953>. It stays within 0 and 1,
/// also for none and for all.
pub fn wilson(hits: u32, of: u32) -> [f64; 2] {
    let (count, fraction) = (f64::from(of.max(1)), f64::from(hits) / f64::from(of.max(1)));
    let middle = (fraction + Z * Z / (2.0 * count)) / (1.0 + Z * Z / count);
    let half = Z * (fraction * (1.0 - fraction) / count + Z * Z / (4.0 * count * count)).sqrt() / (1.0 + Z * Z / count);
    // Rounding must not leave a bit below 0 or above 1.
    [if hits == 0 { 0.0 } else { middle - half }, if hits == of { 1.0 } else { middle + half }]
}

/// What the whole curve says of the measurement, in words; `None` if it has no attacked point.
///
/// Accuracy that rises with the radius, or does not reach 0 at a large one, is a sign of an attack that fails: Athalye et
/// al. 2018, section 3.1, <https://arxiv.org/abs/1802.00420>; Carlini et al. 2019,
/// <https://arxiv.org/abs/1902.06705>.
pub fn finding(points: &[EpsPoint]) -> Option<String> {
    let last = points.last().filter(|point| point.steps > 0)?;
    let sign = points.windows(2).find_map(|pair| rises(&pair[0], &pair[1]));
    if let Some(sign) = sign.or_else(|| stays_up(last.threat(), last.accuracy, last.accuracy_interval)) {
        return Some(sign.message);
    }
    let found = with_interval(last.accuracy, last.accuracy_interval);
    Some(format!("At {}, accuracy is {found}: it falls to about 0, as it must where an attack works.", last.threat().long()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::eps_point;

    /// What `scipy.stats.binomtest(hits, of).proportion_ci(0.95, "wilson")` gives in SciPy 1.17.1.
    const SCIPY: [(u32, u32, f64, f64); 6] = [
        (0, 40, 0.0, 0.087_621_601_197_287),
        (1, 40, 0.004_426_831_502_681, 0.128_813_689_634_741),
        (20, 40, 0.351_995_269_334_653, 0.648_004_730_665_347),
        (40, 40, 0.912_378_398_802_713, 1.0),
        (471, 1000, 0.440_232_445_701_164, 0.501_989_506_290_999),
        (3, 10_000, 0.000_102_032_199_418, 0.000_881_735_772_236),
    ];

    #[test]
    fn an_interval_is_that_of_scipy() {
        for (hits, of, low, high) in SCIPY {
            let [found_low, found_high] = wilson(hits, of);
            assert!((found_low - low).abs() < 1e-12 && (found_high - high).abs() < 1e-12, "{hits} of {of}: {found_low}, {found_high}");
        }
        assert_eq!((wilson(0, 7)[0], wilson(7, 7)[1], wilson(0, 0)), (0.0, 1.0, [0.0, 1.0]));
    }

    #[test]
    fn a_curve_says_whether_it_can_be_trusted() {
        let said = |correct: &[(f64, u32)]| finding(&correct.iter().map(|(eps, correct)| eps_point(*eps, *correct)).collect::<Vec<_>>());
        let check = |correct: &[(f64, u32)], part: &str| {
            let said = said(correct).unwrap();
            assert!(said.contains(part), "{said}");
        };
        check(&[(0.0, 900), (8.0, 500), (16.0, 0)], "At ℓ∞ 16/255 (0.0627), accuracy is 0.0 % (0.0 % to 0.4 %): it falls to about 0");
        check(&[(0.0, 900), (8.0, 500), (16.0, 15)], "falls to about 0");
        check(&[(0.0, 900), (8.0, 500), (16.0, 200)], "does not fall to 0: at ℓ∞ 16/255 (0.0627), it is still 20.0 %");
        check(&[(0.0, 900), (4.0, 300), (8.0, 400)], "rises from 30.0 % (27.2 % to 32.9 %) at ℓ∞ 4/255 to 40.0 %");
        // Within the intervals, it may be chance.
        check(&[(0.0, 900), (4.0, 300), (8.0, 310)], "does not fall to 0");
        assert_eq!((said(&[(0.0, 900)]), said(&[])), (None, None));
    }
}
