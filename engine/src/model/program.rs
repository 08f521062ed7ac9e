//! A network that comes as a program: a TorchScript file, as `crosslens.export` of the Python package writes it.
//!
//! Its `forward` takes pixels in `[0, 1]`, `[N, C, H, W]`, and returns the features g(x), `[N, n]`, and the logits,
//! `[N, K]`. Its method `head_weight` returns W, `[K, n]`, of the linear layer between the two.
//!
//! A program can do whatever the worker may do, so none is opened before [`allow`] was called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared::config::BatchNormMode;
use tch::jit::{self, IValue};
use tch::{CModule, Device, Kind, TchError, Tensor, with_grad};

use super::layers::{Entry, Linear, Role};
use super::{Backbone, Output};

/// Whether this process may run programs.
static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Lets this process run programs from files.
pub fn allow() {
    ALLOWED.store(true, Ordering::Relaxed);
}

/// Whether [`allow`] was called.
pub fn is_allowed() -> bool {
    ALLOWED.load(Ordering::Relaxed)
}

/// A program and what is known about its last layer.
#[derive(Debug)]
pub(super) struct Program {
    module: Arc<CModule>,
    head: Linear,
}

/// Largest part of a logit that may not come from the features: both are float32, and add in another order.
const ROUNDING: f64 = 1e-3;

impl Program {
    /// Loads a program from the bytes of its file and tries it on images of `shape`. Returns it with its parameters.
    ///
    /// The problem stands after the name of the file.
    pub(super) fn load(bytes: &[u8], [channels, height, width]: [i64; 3], device: Device) -> Result<(Self, Vec<Entry>), String> {
        // Without these, the first passes of a program are recorded, and later ones run compiled parts, whose results and
        // gradients are not those of libtorch's own operations to the last bits.
        jit::f_set_profiling_mode(false).map_err(|error| failed("cannot be set up", &error))?;
        jit::f_set_graph_executor_optimize(false).map_err(|error| failed("cannot be set up", &error))?;
        let mut module = CModule::load_data_on_device(&mut &*bytes, device).map_err(|error| failed("cannot be loaded", &error))?;
        module.f_set_eval().map_err(|error| failed("cannot be set to evaluation mode", &error))?;
        let parameters = module.named_parameters().map_err(|error| failed("does not name its parameters", &error))?;
        // Only gradients by the images are wanted.
        let fixed = |(name, tensor): (String, Tensor)| Entry { name, tensor: tensor.set_requires_grad(false), role: Role::Parameter };
        let parameters: Vec<Entry> = parameters.into_iter().map(fixed).collect();
        let weight = module.method_ts::<Tensor>("head_weight", &[]).map_err(|_| format!("has no method `head_weight`; {EXPORT}"))?;
        let Ok([classes, length]) = <[i64; 2]>::try_from(weight.size()) else {
            return Err(format!("has a `head_weight` of the shape {:?}, not [classes, features]; {EXPORT}", weight.size()));
        };
        let options = (Kind::Float, device);
        let weight = weight.detach().to_kind(Kind::Float).to_device(device);
        let mut program = Program { module: Arc::new(module), head: Linear { weight, bias: Tensor::zeros(classes, options) } };
        // Images that differ in every pixel.
        const SAMPLES: i64 = 3;
        let count = SAMPLES * channels * height * width;
        let pixels = (Tensor::arange(count, options) * 0.618_034).frac().view([SAMPLES, channels, height, width]);
        with_grad(|| {
            let images = pixels.set_requires_grad(true);
            let Output { features, logits } = program.try_forward(&images)?;
            for (what, tensor, expected) in [("features", &features, [SAMPLES, length]), ("logits", &logits, [SAMPLES, classes])] {
                if tensor.size() != expected {
                    return Err(format!(
                        "returns {what} of the shape {:?} for {SAMPLES} images, not {expected:?}; {EXPORT}",
                        tensor.size()
                    ));
                }
                if tensor.kind() != Kind::Float {
                    return Err(format!("returns {what} in {:?}, not in float32", tensor.kind()));
                }
            }
            let rest = (&logits - features.linear(&program.head.weight, None::<&Tensor>)).detach();
            let bias = rest.mean_dim([0i64].as_slice(), false, None::<Kind>);
            let apart = (rest - &bias).abs().max().double_value(&[]);
            let scale = logits.abs().max().double_value(&[]).max(1.0);
            if apart.is_nan() || apart > ROUNDING * scale {
                return Err(format!("returns logits that are not W g(x) + b of its features: they differ by up to {apart:.2e}; {EXPORT}"));
            }
            if !logits.requires_grad() {
                return Err("passes no gradient on to its images, as after `torch.jit.freeze` or inside `torch.no_grad`".to_owned());
            }
            let gradient = Tensor::f_run_backward(&[logits.sum(Kind::Float)], &[&images], false, false);
            let gradient = gradient.map_err(|error| failed("passes no gradient on to its images", &error))?;
            if !gradient[0].defined() || gradient[0].abs().max().double_value(&[]) == 0.0 {
                return Err("passes no gradient on to its images: it is 0 everywhere".to_owned());
            }
            program.head.bias = bias;
            Ok(())
        })?;
        Ok((program, parameters))
    }

    fn try_forward(&self, images: &Tensor) -> Result<Output, String> {
        let returned = self.module.forward_is(&[IValue::Tensor(images.shallow_clone())]);
        match returned.map_err(|error| failed("fails on images of the data set", &error))? {
            IValue::Tuple(parts) => match <[IValue; 2]>::try_from(parts) {
                Ok([IValue::Tensor(features), IValue::Tensor(logits)]) => Ok(Output { features, logits }),
                Ok(_) | Err(_) => Err(format!("returns a tuple other than (features, logits); {EXPORT}")),
            },
            IValue::Tensor(_) => Err(format!("returns one tensor and not (features, logits); {EXPORT}")),
            _ => Err(format!("returns no tensors; {EXPORT}")),
        }
    }
}

/// What makes a file that can be used.
const EXPORT: &str = "`crosslens.export` of the Python package writes programs that can be used";

/// The first line of what libtorch says.
fn failed(what: &str, error: &TchError) -> String {
    let said = error.to_string();
    // A program that fails is shown with its own lines; the last one is the reason.
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    format!("{what}: {last}")
}

impl Backbone for Program {
    fn features(&self, xs: &Tensor, mode: BatchNormMode, stages: Option<&mut Vec<Tensor>>) -> Tensor {
        self.output(xs, mode, stages).features
    }

    /// The program's own features and logits, in evaluation mode whatever `mode` is. It has no stages.
    fn output(&self, xs: &Tensor, _mode: BatchNormMode, _stages: Option<&mut Vec<Tensor>>) -> Output {
        self.try_forward(xs).unwrap_or_else(|problem| panic!("the program {problem}"))
    }

    fn linear(&self) -> &Linear {
        &self.head
    }

    /// The program as it is: it is only measured, in float32.
    fn cast(&self, _kind: Kind) -> Box<dyn Backbone> {
        Box::new(Program { module: Arc::clone(&self.module), head: self.head.share() })
    }
}
