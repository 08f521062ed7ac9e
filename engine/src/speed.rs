//! How fast a device computes, by a short measurement, so that a server can tell how long runs will take before
//! one has ended.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

/// Time that is measured at least.
const MEASURED: Duration = Duration::from_millis(100);
/// Images at once: enough to fill a GPU.
const CPU_BATCH: i64 = 8;
const CUDA_BATCH: i64 = 256;
/// Maps of the first stage of PreActResNet-18 for 32×32 pixels.
const CHANNELS: i64 = 64;
const SIDE: i64 = 32;

/// Products per second of a device in float32, in a step of an attack: forward and backward to the input, through a block
/// of PreActResNet-18 with its normalizations.
pub fn multiply_adds_per_sec(device: Device) -> f64 {
    let images = if device == Device::Cpu { CPU_BATCH } else { CUDA_BATCH };
    let options = (Kind::Float, device);
    let xs = Tensor::randn([images, CHANNELS, SIDE, SIDE], options).set_requires_grad(true);
    let weights = [0, 1].map(|_| Tensor::randn([CHANNELS, CHANNELS, 3, 3], options) * 0.04);
    let step = || {
        let mut ys = xs.shallow_clone();
        for weight in &weights {
            let none = None::<&Tensor>;
            ys = ys.batch_norm(none, none, none, none, true, 0.1, 1e-5, true).relu();
            ys = ys.conv2d(weight, none, [1, 1], [1, 1], [1, 1], 1);
        }
        let gradient = Tensor::run_backward(&[ys.sum(Kind::Float)], &[&xs], false, false);
        // Waits for the device.
        gradient[0].sum(Kind::Float).double_value(&[])
    };
    // Kernels are chosen and memory is taken at the first time.
    step();
    let (begun, mut steps) = (Instant::now(), 0);
    while begun.elapsed() < MEASURED {
        step();
        steps += 1;
    }
    // Each convolution is computed forward and backward.
    let products = 2 * weights.len() as i64 * images * SIDE * SIDE * CHANNELS * CHANNELS * 9;
    f64::from(steps) * products as f64 / begun.elapsed().as_secs_f64()
}
