//! What the engine needs of libtorch and tch does not reach: the functions of `engine/shim`.

use std::ffi::{CStr, c_char};

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
