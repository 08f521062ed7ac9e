//! Points of curves over eps.

use serde::{Deserialize, Serialize};

use crate::record::EpsPoint;
use crate::signs::{Sign, of_point};

/// `GET /api/runs/{id}/eps-curve`: a point of a curve over eps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EpsCurvePoint {
    #[serde(flatten)]
    pub point: EpsPoint,
    /// Signs that the accuracy is broken; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
}

impl EpsCurvePoint {
    /// The points of a curve. `complete`: no radius is still to be measured.
    pub fn of(points: &[EpsPoint], complete: bool) -> Vec<Self> {
        let one = |(index, point): (usize, &EpsPoint)| {
            let before = index.checked_sub(1).map(|before| &points[before]);
            EpsCurvePoint { point: point.clone(), signs: of_point(before, point, complete && index + 1 == points.len()) }
        };
        points.iter().enumerate().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::eps_point;
    use crate::signs::SignKind;

    #[test]
    fn only_the_last_point_of_a_complete_curve_must_be_near_0() {
        let points = [eps_point(0.0, 900), eps_point(8.0, 500), eps_point(16.0, 200)];
        let kinds = |complete| -> Vec<Vec<SignKind>> {
            EpsCurvePoint::of(&points, complete).iter().map(|point| point.signs.iter().map(|sign| sign.kind).collect()).collect()
        };
        assert_eq!(kinds(false), [[], [], []]);
        assert_eq!(kinds(true), [vec![], vec![], vec![SignKind::RobustAtLargeRadius]]);
        let first = json!(EpsCurvePoint::of(&points, true)[0]);
        assert_eq!(first, json!(points[0]), "without signs, it is the record");
    }
}
