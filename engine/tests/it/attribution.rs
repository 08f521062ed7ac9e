use engine::attack::Attack;
use engine::attribution::{attribution, correlation_matrix};
use engine::cancel::Cancel;
use engine::data::{self, Split};
use engine::evaluate::{Measured, Measurement, measure_in_batches};
use shared::config::BatchNormMode;
use shared::dataset::Dataset;
use tch::Kind;

use crate::{assert_close, small_network, tiny_config, values};

fn digits() -> Split {
    let data = data::load(&tiny_config().data, 1).unwrap();
    Split::new(data.test.images().to_kind(Kind::Double), data.test.labels)
}

#[test]
fn an_attribution_sums_to_the_logit_without_its_bias() {
    let network = small_network(Dataset::Digits, Kind::Double);
    let split = digits();
    let (images, labels) = (split.images(), split.labels);
    let output = network.forward(&images, BatchNormMode::Eval);
    let sums = attribution(&output.features, network.linear_weight(), &labels).sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
    let logits = output.logits - network.linear_bias();
    let expected = logits.gather(1, &labels.unsqueeze(1), false);
    assert_close("sums", &values(&sums), &values(&expected), 1e-12);
}

#[test]
fn class_attributions_are_means_over_true_classes() {
    let network = small_network(Dataset::Digits, Kind::Double);
    let split = digits();
    let measured = measure(&split, Measured::Clean, 250);
    let output = network.forward(&split.images(), BatchNormMode::Eval);
    let all = attribution(&output.features, network.linear_weight(), &split.labels);
    for class in 0..10 {
        let members = split.labels.eq(class).nonzero().view([-1]);
        let mean = all.index_select(0, &members).mean_dim([0i64].as_slice(), false, Kind::Double);
        assert_close("mean", &measured.classes.attributions[class as usize], &values(&mean), 1e-12);
        assert_eq!(measured.classes.counts[class as usize], members.size()[0] as u32);
    }
    let right = output.logits.argmax(1, false).eq_tensor(&split.labels).sum(Kind::Double).double_value(&[]);
    assert_close("accuracy", &[measured.accuracy()], &[right / split.len() as f64], 1e-12);
}

/// The tolerance is that of additions in another order.
#[test]
fn the_size_of_batches_changes_nothing() {
    let attack = Attack::to_measure(&tiny_config().measuring_attack());
    for measured in [Measured::Clean, Measured::Attacked { attack: &attack, seed: 3 }] {
        let split = digits();
        let whole = measure(&split, measured, 250);
        for batch_size in [1, 7] {
            let parts = measure(&split, measured, batch_size);
            assert_close("loss", &[parts.loss], &[whole.loss], 1e-10);
            let matrix =
                |measurement: &Measurement| correlation_matrix(&measurement.classes.attributions).rows().collect::<Vec<_>>().concat();
            assert_close("matrix", &matrix(&parts), &matrix(&whole), 1e-10);
            assert_eq!(parts.classes.accuracy, whole.classes.accuracy);
        }
    }
}

fn measure(split: &Split, measured: Measured<'_>, batch_size: i64) -> Measurement {
    let network = small_network(Dataset::Digits, Kind::Double);
    measure_in_batches(&network, split, measured, batch_size, &Cancel::default(), &mut |_, _| Ok(())).unwrap()
}
