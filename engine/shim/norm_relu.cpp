// Batch normalization and ReLU in one, forward and backward, for float32 on the CPU with channels last.
//
// libtorch passes over the values five times forward and backward eight times, and waits for memory each time. Here it is
// three and five times. ReLU's mask is computed again from the input, which is read anyway.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// The loops below are compiled for each kind of processor, and the best is chosen when the program starts.
#define VECTORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"))) static

namespace {

// Values for which another thread is worth waking, as in libtorch.
constexpr int64_t GRAIN = 32768;
// Rows whose sums are taken in float32 before they go into float64.
constexpr int64_t BLOCK = 64;

// Adds to the two sums of W channels what `terms(x, dy, c)` gives for each row. The sums of one tile stay in registers.
template <int W, typename Terms>
[[gnu::always_inline]] inline void add_tile(const float *x, const float *dy, int64_t rows, int64_t channels, float *sum, float *other,
                                            Terms terms) {
  float sums[W] = {}, others[W] = {};
  for (int64_t row = 0; row < rows; row++, x += channels, dy += channels)
    for (int c = 0; c < W; c++) {
      const auto [one, two] = terms(x[c], dy[c], c);
      sums[c] += one;
      others[c] += two;
    }
  for (int c = 0; c < W; c++) {
    sum[c] += sums[c];
    other[c] += others[c];
  }
}

// The sums of offsets from `origin` and of their squares.
template <int W>
[[gnu::always_inline]] inline void moments_tile(const float *x, const float *origin, int64_t rows, int64_t channels, float *sum,
                                                float *square) {
  add_tile<W>(x, x, rows, channels, sum, square, [origin](float x, float, int c) {
    const float offset = x - origin[c];
    return std::pair<float, float>(offset, offset * offset);
  });
}

VECTORS void add_moments(const float *x, const float *origin, int64_t rows, int64_t channels, float *sum, float *square) {
  int64_t c = 0;
  for (; c + 32 <= channels; c += 32)
    moments_tile<32>(x + c, origin + c, rows, channels, sum + c, square + c);
  for (; c + 16 <= channels; c += 16)
    moments_tile<16>(x + c, origin + c, rows, channels, sum + c, square + c);
  for (; c < channels; c++)
    moments_tile<1>(x + c, origin + c, rows, channels, sum + c, square + c);
}

// The sums of the gradients that ReLU lets through, and of their products with offsets from `origin`.
template <int W>
[[gnu::always_inline]] inline void slopes_tile(const float *x, const float *dy, const float *scale, const float *shift, const float *origin,
                                               int64_t rows, int64_t channels, float *sum, float *product) {
  add_tile<W>(x, dy, rows, channels, sum, product, [=](float x, float dy, int c) {
    const float slope = x * scale[c] + shift[c] > 0.0f ? dy : 0.0f;
    return std::pair<float, float>(slope, slope * (x - origin[c]));
  });
}

VECTORS void add_slopes(const float *x, const float *dy, const float *scale, const float *shift, const float *origin, int64_t rows,
                        int64_t channels, float *sum, float *product) {
  int64_t c = 0;
  for (; c + 32 <= channels; c += 32)
    slopes_tile<32>(x + c, dy + c, scale + c, shift + c, origin + c, rows, channels, sum + c, product + c);
  for (; c + 16 <= channels; c += 16)
    slopes_tile<16>(x + c, dy + c, scale + c, shift + c, origin + c, rows, channels, sum + c, product + c);
  for (; c < channels; c++)
    slopes_tile<1>(x + c, dy + c, scale + c, shift + c, origin + c, rows, channels, sum + c, product + c);
}

VECTORS void norm_rows(const float *x, const float *scale, const float *shift, int64_t rows, int64_t channels, float *__restrict y) {
  for (int64_t row = 0; row < rows; row++, x += channels, y += channels)
    for (int64_t c = 0; c < channels; c++)
      y[c] = std::max(x[c] * scale[c] + shift[c], 0.0f);
}

// dx = scale · slope − by_x · (x − origin) − constant
VECTORS void slope_rows(const float *x, const float *dy, const float *scale, const float *shift, const float *origin, const float *by_x,
                          const float *constant, int64_t rows, int64_t channels, float *__restrict dx) {
  for (int64_t row = 0; row < rows; row++, x += channels, dy += channels, dx += channels)
    for (int64_t c = 0; c < channels; c++) {
      const float slope = x[c] * scale[c] + shift[c] > 0.0f ? dy[c] : 0.0f;
      dx[c] = scale[c] * slope - by_x[c] * (x[c] - origin[c]) - constant[c];
    }
}

// The values of a map as rows of channels.
struct Rows {
  int64_t rows, channels;
  explicit Rows(const Tensor &x) : rows(x.numel() / x.size(1)), channels(x.size(1)) {}

  int64_t grain() const { return std::max<int64_t>(1, GRAIN / channels); }

  template <typename Work> void each(Work work) const { at::parallel_for(0, rows, grain(), work); }

  // Adds up two numbers for each channel. `add(first, rows, sum, other)` adds rows to sums in float32. The parts of
  // threads are added in their order, so that a number of threads always gives the same result.
  template <typename Add> std::array<std::vector<double>, 2> sums(Add add) const {
    std::vector<std::pair<int64_t, std::vector<double>>> parts;
    std::mutex mutex;
    each([&](int64_t begin, int64_t end) {
      std::vector<double> total(2 * channels, 0.0);
      std::vector<float> part(2 * channels);
      for (int64_t first = begin; first < end; first += BLOCK) {
        std::fill(part.begin(), part.end(), 0.0f);
        add(first, std::min(BLOCK, end - first), part.data(), part.data() + channels);
        for (int64_t c = 0; c < 2 * channels; c++)
          total[c] += part[c];
      }
      const std::lock_guard<std::mutex> lock(mutex);
      parts.emplace_back(begin, std::move(total));
    });
    std::sort(parts.begin(), parts.end(), [](auto &a, auto &b) { return a.first < b.first; });
    std::array<std::vector<double>, 2> result{std::vector<double>(channels), std::vector<double>(channels)};
    for (auto &[begin, total] : parts)
      for (int64_t c = 0; c < channels; c++) {
        result[0][c] += total[c];
        result[1][c] += total[channels + c];
      }
    return result;
  }
};

// Scale, shift and mean of each channel as rows of one tensor.
struct Channels {
  Tensor values;
  int64_t channels;
  explicit Channels(int64_t count) : values(at::empty({3, count}, at::kFloat)), channels(count) {}
  explicit Channels(const Tensor &saved) : values(saved), channels(saved.size(1)) {}
  float *scale() { return values.data_ptr<float>(); }
  float *shift() { return scale() + channels; }
  float *mean() { return shift() + channels; }
};

struct NormRelu : torch::autograd::Function<NormRelu> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &weight, const Tensor &bias, Tensor running_mean,
                        Tensor running_var, bool train, double momentum, double epsilon) {
    const Rows map(x);
    Channels of(map.channels);
    Tensor deviation = at::empty({map.channels}, at::kFloat);
    const float *in = x.const_data_ptr<float>(), *gamma = weight.const_data_ptr<float>(), *beta = bias.const_data_ptr<float>();
    float *mean = running_mean.data_ptr<float>(), *var = running_var.data_ptr<float>(), *inverse = deviation.data_ptr<float>();
    if (train) {
      // Offsets from one of the values: sums of squares of the values themselves would cancel.
      auto [sum, square] = map.sums([&](int64_t first, int64_t rows, float *sum, float *square) {
        add_moments(in + first * map.channels, in, rows, map.channels, sum, square);
      });
      const double count = static_cast<double>(map.rows);
      for (int64_t c = 0; c < map.channels; c++) {
        const double offset = sum[c] / count, spread = std::max(square[c] / count - offset * offset, 0.0);
        of.mean()[c] = static_cast<float>(in[c] + offset);
        inverse[c] = static_cast<float>(1.0 / std::sqrt(spread + epsilon));
        mean[c] = static_cast<float>((1.0 - momentum) * mean[c] + momentum * (in[c] + offset));
        var[c] = static_cast<float>((1.0 - momentum) * var[c] + momentum * spread * count / (count - 1.0));
      }
    } else {
      for (int64_t c = 0; c < map.channels; c++) {
        of.mean()[c] = mean[c];
        inverse[c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(var[c]) + epsilon));
      }
    }
    for (int64_t c = 0; c < map.channels; c++) {
      of.scale()[c] = gamma[c] * inverse[c];
      of.shift()[c] = beta[c] - of.mean()[c] * of.scale()[c];
    }
    Tensor y = at::empty_like(x);
    float *out = y.data_ptr<float>();
    map.each([&](int64_t begin, int64_t end) {
      const int64_t first = begin * map.channels;
      norm_rows(in + first, of.scale(), of.shift(), end - begin, map.channels, out + first);
    });
    context->save_for_backward({x, of.values, deviation});
    context->saved_data["train"] = train;
    return y;
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const Tensor x = saved[0], deviation = saved[2];
    const Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const bool train = context->saved_data["train"].toBool();
    const bool wants_parameters = context->needs_input_grad(1) || context->needs_input_grad(2);
    const Rows map(x);
    Channels of(saved[1]);
    const float *in = x.const_data_ptr<float>(), *slopes = dy.const_data_ptr<float>(), *inverse = deviation.const_data_ptr<float>();

    std::vector<float> by_x(map.channels, 0.0f), constant(map.channels, 0.0f);
    tensor_list result(8);
    if (train || wants_parameters) {
      auto [sum, product] = map.sums([&](int64_t first, int64_t rows, float *sum, float *product) {
        const int64_t at = first * map.channels;
        add_slopes(in + at, slopes + at, of.scale(), of.shift(), of.mean(), rows, map.channels, sum, product);
      });
      const double count = static_cast<double>(map.rows);
      for (int64_t c = 0; train && c < map.channels; c++) {
        by_x[c] = static_cast<float>(of.scale()[c] * product[c] * inverse[c] * inverse[c] / count);
        constant[c] = static_cast<float>(of.scale()[c] * sum[c] / count);
      }
      if (wants_parameters) {
        result[1] = at::empty({map.channels}, at::kFloat);
        result[2] = at::empty({map.channels}, at::kFloat);
        for (int64_t c = 0; c < map.channels; c++) {
          result[1].data_ptr<float>()[c] = static_cast<float>(product[c] * inverse[c]);
          result[2].data_ptr<float>()[c] = static_cast<float>(sum[c]);
        }
      }
    }
    if (context->needs_input_grad(0)) {
      result[0] = at::empty_like(x);
      float *out = result[0].data_ptr<float>();
      map.each([&](int64_t begin, int64_t end) {
        const int64_t first = begin * map.channels;
        slope_rows(in + first, slopes + first, of.scale(), of.shift(), of.mean(), by_x.data(), constant.data(), end - begin,
                     map.channels, out + first);
      });
    }
    return result;
  }
};

} // namespace

extern "C" {

// max(batch_norm(x), 0) as a new tensor.
char *crosslens_norm_relu(Tensor **out, Tensor *x, Tensor *weight, Tensor *bias, Tensor *running_mean, Tensor *running_var, bool train,
                          double momentum, double epsilon) {
  try {
    *out = new Tensor(NormRelu::apply(*x, *weight, *bias, *running_mean, *running_var, train, momentum, epsilon));
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}
}
