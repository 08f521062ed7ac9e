//! What the engine needs of libtorch and tch does not reach: the functions of `engine/shim`.

use std::ffi::{CStr, c_char};
use std::ptr;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn crosslens_free(message: *mut c_char);
    fn crosslens_sgd(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        velocities: *const *mut C_tensor,
        count: usize,
        learning_rate: f64,
        momentum: f64,
        weight_decay: f64,
    ) -> *mut c_char;
    fn crosslens_exact_float32() -> *mut c_char;
    fn crosslens_norm_relu(
        out: *mut *mut C_tensor,
        x: *mut C_tensor,
        weight: *mut C_tensor,
        bias: *mut C_tensor,
        running_mean: *mut C_tensor,
        running_var: *mut C_tensor,
        train: bool,
        momentum: f64,
        epsilon: f64,
    ) -> *mut c_char;
}

/// Takes one step of SGD without dampening, in place. The lists are in the same order.
pub(crate) fn sgd(parameters: &[Tensor], gradients: &[Tensor], velocities: &[Tensor], rate: f64, momentum: f64, weight_decay: f64) {
    assert!(parameters.len() == gradients.len() && parameters.len() == velocities.len(), "each parameter has a gradient and a velocity");
    let [parameters, gradients, velocities] = [parameters, gradients, velocities].map(pointers);
    // SAFETY: the pointers are those of tensors that live until the end of this function.
    unsafe {
        succeed(crosslens_sgd(
            parameters.as_ptr(),
            gradients.as_ptr(),
            velocities.as_ptr(),
            parameters.len(),
            rate,
            momentum,
            weight_decay,
        ));
    }
}

/// Parameters and running statistics of a batch normalization, each `[C]`.
pub(crate) struct Norm<'a> {
    pub(crate) weight: &'a Tensor,
    pub(crate) bias: &'a Tensor,
    pub(crate) running_mean: &'a Tensor,
    pub(crate) running_var: &'a Tensor,
    pub(crate) momentum: f64,
    pub(crate) epsilon: f64,
}

/// Normalizes `xs`, `[N, C, H, W]` in float32 on the CPU with channels last, and takes ReLU of it.
///
/// With `train`, by the statistics of the batch, which also move the running ones; otherwise by the running ones.
pub(crate) fn norm_relu(xs: &Tensor, norm: &Norm<'_>, train: bool) -> Tensor {
    let Norm { weight, bias, running_mean, running_var, momentum, epsilon } = norm;
    let mut out = ptr::null_mut();
    let [xs, weight, bias, mean, var] = [xs, weight, bias, running_mean, running_var].map(|tensor| tensor.as_ptr().cast_mut());
    // SAFETY: the pointers are those of living tensors; `out` is a new one unless the call fails.
    unsafe {
        succeed(crosslens_norm_relu(&mut out, xs, weight, bias, mean, var, train, *momentum, *epsilon));
        Tensor::from_ptr(out)
    }
}

/// Lets GPUs compute float32 as float32, not as TF32.
pub(crate) fn exact_float32() {
    // SAFETY: it only sets global options of libtorch.
    unsafe { succeed(crosslens_exact_float32()) }
}

fn pointers(tensors: &[Tensor]) -> Vec<*mut C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr().cast_mut()).collect()
}

/// Panics with the message of an exception, as tch does.
///
/// # Safety
///
/// `message` must be what a function of the shim returned, and must not be used again.
pub(crate) unsafe fn succeed(message: *mut c_char) {
    // SAFETY: as the caller says.
    if let Err(text) = unsafe { outcome(message) } {
        panic!("{:?}", TchError::Torch(text));
    }
}

/// Returns the message of an exception as an error.
///
/// # Safety
///
/// As of [`succeed`].
pub(crate) unsafe fn outcome(message: *mut c_char) -> Result<(), String> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the caller passes a string of the shim, which is freed once.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        crosslens_free(message);
        Err(text)
    }
}
