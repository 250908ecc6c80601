#include <cmath>
#include <limits>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

constexpr std::int64_t kGuard = 64;

struct Problem {
  std::int64_t images, channels, filters, height, width;  // channels and filters of one group
  Window2d window;
  std::int64_t groups = 1;
  bool bias = false;
  bool sparse = false;  // three of four values of x and of the result's gradient are zero

  std::int64_t out_height() const { return window.height.output_size(height); }
  std::int64_t out_width() const { return window.width.output_size(width); }
  std::int64_t taps() const { return window.height.kernel * window.width.kernel; }
};

// function(index into x, index into w, index into out) for every product of the convolution.
template <class Function>
void for_each_product(const Problem& p, Function&& function) {
  const Window &h = p.window.height, &w = p.window.width;
  for (std::int64_t n = 0; n < p.images; ++n) {
    for (std::int64_t f = 0; f < p.groups * p.filters; ++f) {
      for (std::int64_t y = 0; y < p.out_height(); ++y) {
        for (std::int64_t x = 0; x < p.out_width(); ++x) {
          const std::int64_t out =
              ((n * p.groups * p.filters + f) * p.out_height() + y) * p.out_width() + x;
          for (std::int64_t c = 0; c < p.channels; ++c) {
            for (std::int64_t t = 0; t < p.taps(); ++t) {
              const std::int64_t row = y * h.stride - h.pad_before + t / w.kernel * h.dilation;
              const std::int64_t column = x * w.stride - w.pad_before + t % w.kernel * w.dilation;
              if (row < 0 || row >= p.height || column < 0 || column >= p.width) continue;
              const std::int64_t channel = f / p.filters * p.channels + c;
              const std::int64_t in =
                  ((n * p.groups * p.channels + channel) * p.height + row) * p.width + column;
              function(in, (f * p.channels + c) * p.taps() + t, out);
            }
          }
        }
      }
    }
  }
}

// A result between guard words, and what it must equal: sums of `terms` products of a and b.
template <class T>
struct Expected {
  std::vector<T> memory;
  std::vector<double> sums, magnitudes;

  explicit Expected(std::int64_t size)
      : memory(static_cast<std::size_t>(size + 2 * kGuard), T(-7)),
        sums(static_cast<std::size_t>(size)),
        magnitudes(sums.size()) {
    std::fill(memory.begin() + kGuard, memory.end() - kGuard, std::numeric_limits<T>::quiet_NaN());
  }
  T* data() { return memory.data() + kGuard; }
  void add(std::int64_t i, double term) { sums[i] += term, magnitudes[i] += std::abs(term); }

  void check(std::int64_t terms) const {
    const double eps = std::numeric_limits<T>::epsilon(), tiny = std::numeric_limits<T>::min();
    bool within = true, guarded = true;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const double error = std::abs(static_cast<double>(memory[i + kGuard]) - sums[i]);
      within = within && error <= static_cast<double>(terms) * (eps * magnitudes[i] + tiny);
    }
    for (std::int64_t i = 0; i < kGuard; ++i) {
      guarded = guarded && memory[i] == T(-7) && memory[memory.size() - 1 - i] == T(-7);
    }
    CHECK(within);
    CHECK(guarded);
  }
};

struct Scratch {
  std::vector<std::max_align_t> memory;
  Workspace workspace;
  explicit Scratch(std::size_t bytes) : memory((bytes + kAlign) / sizeof(std::max_align_t) + 1) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    workspace.ptr = reinterpret_cast<std::byte*>((address + kAlign - 1) / kAlign * kAlign);
    workspace.bytes = bytes;
  }
  static constexpr std::size_t kAlign = 64;
};

template <class T>
void check_problem(const Problem& p) {
  const std::int64_t cin = p.groups * p.channels, cout = p.groups * p.filters;
  const std::int64_t kh = p.window.height.kernel, kw = p.window.width.kernel;
  const std::int64_t x_size = p.images * cin * p.height * p.width;
  const std::int64_t w_size = cout * p.channels * kh * kw;
  const std::int64_t plane = p.out_height() * p.out_width(), out_size = p.images * cout * plane;
  auto x = random_values<T>(x_size, 1), grad = random_values<T>(out_size, 3);
  const auto w = random_values<T>(w_size, 2), bias = random_values<T>(cout, 4);
  if (p.sparse) {
    for (T& value : x) value = std::abs(value) < T(0.75) ? T(0) : value;
    for (T& value : grad) value = std::abs(value) < T(0.75) ? T(0) : value;
  }
  Expected<T> out(out_size), grad_x(x_size), grad_w(w_size), grad_bias(cout);
  for_each_product(p, [&](std::int64_t i, std::int64_t j, std::int64_t o) {
    out.add(o, double(x[i]) * double(w[j]));
    grad_x.add(i, double(grad[o]) * double(w[j]));
    grad_w.add(j, double(grad[o]) * double(x[i]));
  });
  for (std::int64_t i = 0; i < out_size; ++i) {
    if (p.bias) out.add(i, bias[i / plane % cout]);
    grad_bias.add(i / plane % cout, grad[i]);
  }
  const TensorView x_view = view_of(x.data(), {p.images, cin, p.height, p.width});
  const TensorView w_view = view_of(w.data(), {cout, p.channels, kh, kw});
  const TensorView bias_view = view_of(bias.data(), {cout});
  const auto out_sizes = {p.images, cout, p.out_height(), p.out_width()};
  const TensorView grad_view = view_of(grad.data(), out_sizes);

  Scratch scratch(cpu::conv2d_workspace_bytes(x_view, w_view, p.window, p.groups));
  cpu::conv2d(x_view, w_view, p.bias ? &bias_view : nullptr, p.window, p.groups, Activation::none,
              view_of(out.data(), out_sizes), scratch.workspace);
  out.check(p.channels * p.taps() + 1);

  const TensorView grad_x_view = view_of(grad_x.data(), {p.images, cin, p.height, p.width});
  Scratch input_scratch(
      cpu::conv2d_grad_input_workspace_bytes(grad_view, w_view, p.window, p.groups, grad_x_view));
  cpu::conv2d_grad_input(grad_view, w_view, p.window, p.groups, grad_x_view,
                         input_scratch.workspace);
  grad_x.check(p.filters * p.taps());

  const TensorView grad_w_view = view_of(grad_w.data(), {cout, p.channels, kh, kw});
  Scratch weight_scratch(
      cpu::conv2d_grad_weight_workspace_bytes(grad_view, x_view, p.window, p.groups, grad_w_view));
  cpu::conv2d_grad_weight(grad_view, x_view, p.window, p.groups, grad_w_view,
                          weight_scratch.workspace);
  grad_w.check(p.images * plane);

  Scratch bias_scratch(cpu::conv2d_grad_bias_workspace_bytes(grad_view));
  cpu::conv2d_grad_bias(grad_view, view_of(grad_bias.data(), {cout}), bias_scratch.workspace);
  grad_bias.check(p.images * plane);
}

Window2d windows(std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                 std::int64_t dilation) {
  return {{kernel, stride, pad, pad, dilation}, {kernel, stride, pad, pad, dilation}};
}

void check_both(const Problem& p) {
  check_problem<float>(p);
  check_problem<double>(p);
}

}  // namespace

TEST(conv2d_product) {
  check_both({2, 22, 7, 9, 11, windows(3, 1, 1, 1), 1, true});
  check_both({9, 22, 5, 5, 5, windows(3, 1, 1, 1)});      // tiles of several images
  check_both({1, 75, 13, 6, 6, windows(3, 1, 1, 1)});     // several passes
  check_both({1, 50, 131, 4, 5, windows(2, 1, 0, 1)});    // several blocks of rows
  check_both({1, 40, 3, 5, 5, windows(3, 1, 1, 1), 32});  // several blocks of columns in a task
  check_both({2, 3, 4, 13, 12, {{3, 2, 0, 2, 2}, {2, 3, 3, 1, 1}}, 2, true});
  check_both({2, 3, 4, 23, 25, {{3, 4, 1, 0, 5}, {3, 6, 0, 2, 7}}});
  check_both({2, 3, 4, 7, 5, {{3, 50, 0, 0, 1}, {2, 60, 0, 0, 1}}});
  check_both({8, 22, 5, 12, 12, windows(3, 1, 0, 1)});  // parts of the reduction
  check_both({0, 3, 4, 5, 5, windows(3, 1, 0, 1)});
}

TEST(conv2d_direct) {
  check_both({2, 3, 21, 13, 22, windows(3, 2, 1, 1), 1, true});
  check_both({8, 1, 5, 20, 20, windows(3, 1, 0, 1)});   // in place, parts of the reduction
  check_both({2, 3, 7, 6, 3, windows(3, 1, 1, 1)});     // lines shorter than a vector
  check_both({1, 70, 6, 23, 41, windows(1, 1, 0, 1)});  // one long line in parts
  check_both({2, 1, 1, 11, 43, windows(3, 1, 1, 1), 5, true});
  check_both({2, 1, 2, 15, 23, {{3, 2, 1, 1, 1}, {5, 2, 2, 0, 2}}, 3});
  check_both({1, 10, 1, 12, 13, windows(5, 1, 2, 1)});
  check_both({2, 1, 1, 13, 38, windows(3, 2, 1, 1), 3});  // two to five values in turn
  check_both({1, 5, 3, 33, 131, {{3, 2, 1, 1, 1}, {4, 3, 0, 2, 1}}});
  check_both({1, 2, 3, 14, 75, windows(5, 4, 2, 1), 2});
  check_both({1, 1, 2, 7, 49, {{2, 1, 0, 0, 1}, {3, 5, 1, 1, 1}}, 2});
  check_both({0, 1, 1, 5, 5, windows(3, 1, 0, 1), 2});
}

TEST(conv2d_sparse) {
  const Window2d window = {{2, 1, 0, 1, 1}, {3, 1, 2, 0, 1}};
  check_both({2, 33, 59, 8, 9, window, 1, true, true});
  check_both({3, 27, 28, 9, 10, windows(3, 1, 1, 2), 2, true, true});
  check_both({4, 32, 32, 11, 12, windows(4, 2, 2, 1), 1, false, true});
}
