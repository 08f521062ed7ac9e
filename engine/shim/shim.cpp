// What the engine needs of libtorch and tch does not reach. Each function returns null, or why it failed; the
// caller frees that with `crosslens_free`.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>

#include "failure.h"

#include <cstdlib>
#include <vector>

namespace {

// The values of a tensor without gaps, in the order in which they lie in memory. They are shared. The kernels for
// the CPU copy tensors that are not contiguous, and weights with channels last are not.
at::Tensor flat(const at::Tensor &tensor) { return tensor.as_strided({tensor.numel()}, {1}); }

} // namespace

extern "C" {

void crosslens_free(char *message) { std::free(message); }

// One step of torch.optim.SGD(fused=True) without dampening, in place.
char *crosslens_sgd(at::Tensor **parameters, at::Tensor **gradients, at::Tensor **velocities, size_t count,
                    double learning_rate, double momentum, double weight_decay) {
  return failure([&] {
    std::vector<at::Tensor> values, slopes, buffers;
    for (size_t i = 0; i < count; i++) {
      at::Tensor gradient = *gradients[i];
      if (gradient.strides() != parameters[i]->strides())
        gradient = at::empty_like(*parameters[i]).copy_(gradient);
      values.push_back(flat(*parameters[i]));
      slopes.push_back(flat(gradient));
      // The kernel takes none where there is no momentum.
      if (momentum > 0.0)
        buffers.push_back(flat(*velocities[i]));
    }
    const bool nesterov = false, maximize = false, first = false;
    at::_fused_sgd_(values, slopes, buffers, weight_decay, momentum, learning_rate, /*dampening=*/0.0, nesterov,
                    maximize, first);
  });
}

// Lets GPUs compute float32 as float32. By default cuDNN rounds the inputs of convolutions to TF32, which has 10
// bits.
char *crosslens_exact_float32() {
  return failure([] {
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setFloat32MatmulPrecision("highest");
  });
}
}
