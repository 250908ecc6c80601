#include <cmath>
#include <limits>

#include "check.h"
#include "cpu/kernel_table.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

// function(o, i): result o of a plane sees position i, in the order of the taps.
template <class Function>
void for_each_tap(const Window2d& window, std::int64_t height, std::int64_t width,
                  std::int64_t out_height, std::int64_t out_width, Function&& function) {
  const Window &h = window.height, &w = window.width;
  for (std::int64_t o = 0; o < out_height * out_width; ++o) {
    for (std::int64_t t = 0; t < h.kernel * w.kernel; ++t) {
      const std::int64_t y = o / out_width * h.stride - h.pad_before + t / w.kernel * h.dilation;
      const std::int64_t x = o % out_width * w.stride - w.pad_before + t % w.kernel * w.dilation;
      if (y >= 0 && y < height && x >= 0 && x < width) function(o, y * width + x);
    }
  }
}

template <class T>
void check_pooling(const Window2d& window, std::int64_t height, std::int64_t width) {
  constexpr std::int64_t kPlanes = 5;
  const std::int64_t oh = window.height.output_size(height), ow = window.width.output_size(width);
  const std::int64_t plane = height * width, out_plane = oh * ow;
  std::vector<T> x = random_values<T>(kPlanes * plane, 1);
  for (T& value : x) value = std::round(4 * value);  // ties
  x[plane / 2] = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> grad = random_values<T>(kPlanes * out_plane, 2);
  std::vector<T> best(grad.size() + 1, T(-7)), grad_x(x.size() + 1, T(-7));
  std::vector<std::int64_t> indices(grad.size() + 1, -7);

  const TensorView x_view = view_of(x.data(), {1, kPlanes, height, width});
  const TensorView grad_view = view_of(grad.data(), {1, kPlanes, oh, ow});
  const TensorView grad_x_view = view_of(grad_x.data(), {1, kPlanes, height, width});
  const TensorView best_view = view_of(best.data(), {1, kPlanes, oh, ow});
  TensorView index_view = grad_view;
  index_view.ptr = indices.data();
  index_view.dtype = DType::i64;
  cpu::max_pool2d(x_view, window, best_view, index_view);
  CHECK(cpu::max_pool2d_grad(grad_view, index_view, grad_x_view) == -1);

  std::vector<std::int64_t> expected(grad.size(), -1);
  std::vector<T> expected_grad(x.size());
  for (std::int64_t p = 0; p < kPlanes; ++p) {
    for_each_tap(window, height, width, oh, ow, [&](std::int64_t o, std::int64_t i) {
      std::int64_t& at = expected[p * out_plane + o];
      const T value = x[p * plane + i];
      if (at < 0 || value > x[p * plane + at] || std::isnan(value)) at = i;
    });
    for (std::int64_t o = p * out_plane; o < (p + 1) * out_plane; ++o) {
      const T value = x[p * plane + expected[o]];
      CHECK(indices[o] == expected[o]);
      CHECK(std::isnan(value) ? std::isnan(best[o]) : best[o] == value);
      expected_grad[p * plane + expected[o]] += grad[o];
    }
  }
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(grad_x[i] == expected_grad[i]);
  CHECK(indices.back() == -7 && best.back() == T(-7) && grad_x.back() == T(-7));
  CHECK(cpu::first_bad_index(index_view, plane) == -1);
  indices[grad.size() / 2] = plane;
  CHECK(cpu::first_bad_index(index_view, plane) == std::int64_t(grad.size() / 2));
  CHECK(cpu::max_pool2d_grad(grad_view, index_view, grad_x_view) == std::int64_t(grad.size() / 2));
  indices[grad.size() / 3] = -1;
  CHECK(cpu::max_pool2d_grad(grad_view, index_view, grad_x_view) == std::int64_t(grad.size() / 3));
}

// <avg(x), g> == <x, avg_grad(g)>, and the mean of ones with its padding left out is one.
template <class T>
void check_average(const Window2d& window, std::int64_t height, std::int64_t width) {
  const std::int64_t oh = window.height.output_size(height), ow = window.width.output_size(width);
  const std::vector<T> x = random_values<T>(5 * height * width, 1), ones(x.size(), T(1));
  const std::vector<T> grad = random_values<T>(5 * oh * ow, 2);
  std::vector<T> mean(grad.size() + 1, T(-7)), grad_x(x.size() + 1, T(-7));
  const TensorView mean_view = view_of(mean.data(), {5, 1, oh, ow});
  for (const bool include_pad : {true, false}) {
    cpu::avg_pool2d(view_of(x.data(), {5, 1, height, width}), window, include_pad, mean_view);
    cpu::avg_pool2d_grad(view_of(grad.data(), {5, 1, oh, ow}), window, include_pad,
                         view_of(grad_x.data(), {5, 1, height, width}));
    double forward = 0, backward = 0, magnitude = 0;
    for (std::size_t i = 0; i < grad.size(); ++i) {
      forward += double(mean[i]) * double(grad[i]);
      magnitude += std::abs(double(grad[i]));
    }
    for (std::size_t i = 0; i < x.size(); ++i) backward += double(x[i]) * double(grad_x[i]);
    // |x| <= 1, so each side is a sum of terms below |grad|, each rounded a few times.
    const double terms = static_cast<double>(window.height.kernel * window.width.kernel + x.size());
    CHECK(std::abs(forward - backward) <= terms * std::numeric_limits<T>::epsilon() * magnitude);
  }
  cpu::avg_pool2d(view_of(ones.data(), {5, 1, height, width}), window, false, mean_view);
  for (std::size_t i = 0; i < grad.size(); ++i) CHECK(mean[i] == T(1));
  CHECK(mean.back() == T(-7) && grad_x.back() == T(-7));
}

// What goes past the caches is what goes through them, wherever a result begins.
template <class T>
void check_streamed(const Window2d& window, std::int64_t height, std::int64_t width,
                    const cpu::Pool2dFunctions<T>& kernels) {
  const std::int64_t oh = window.height.output_size(height), ow = window.width.output_size(width);
  const std::int64_t planes = 11, n = planes * height * width, outputs = planes * oh * ow;
  const PoolAxis h = pool_axis(window.height, height, oh), w = pool_axis(window.width, width, ow);
  const std::vector<T> x = random_values<T>(n, 1), grad = random_values<T>(outputs, 2);
  std::vector<std::int64_t> indices(grad.size());
  for (std::size_t i = 0; i < indices.size(); ++i)
    indices[i] = std::int64_t(i * 7) % (height * width);
  for (const std::int64_t offset : {0, 1, 5, 17}) {
    const auto check = [&](std::int64_t results, auto&& run) {
      std::vector<T> cached(offset + results + 1, T(-7)), streamed = cached;
      run(cpu::Traffic::near, cached.data() + offset);
      run(cpu::Traffic::far, streamed.data() + offset);
      CHECK(cached == streamed);
      streamed.assign(streamed.size(), T(-7));
      run(cpu::Traffic::streamed, streamed.data() + offset);
      CHECK(cached == streamed);
      for (std::int64_t i = 0; i < offset; ++i) CHECK(streamed[i] == T(-7));
      CHECK(streamed.back() == T(-7));
    };
    std::vector<std::int64_t> places(offset + outputs + 1, -7), cached_places;
    check(outputs, [&](cpu::Traffic traffic, T* out) {
      kernels.max_planes(h, w, planes, x.data(), traffic, out, places.data() + offset);
      if (traffic != cpu::Traffic::near) CHECK(places == cached_places);
      cached_places.swap(places);
      places.assign(offset + outputs + 1, -7);
    });
    check(outputs, [&](cpu::Traffic traffic, T* out) {
      kernels.average_planes(h, w, true, planes, x.data(), traffic, out);
    });
    check(n, [&](cpu::Traffic traffic, T* out) {
      kernels.average_planes_grad(h, w, true, planes, grad.data(), traffic, out);
    });
    check(n, [&](cpu::Traffic traffic, T* out) {
      CHECK(kernels.max_planes_grad(planes, oh * ow, height * width, grad.data(), indices.data(),
                                    traffic, out) == -1);
    });
  }
}

}  // namespace

TEST(pool2d_streamed) {
  const Window2d all[] = {{{2, 2, 0, 0, 1}, {2, 2, 0, 0, 1}}, {{3, 1, 1, 1, 1}, {3, 2, 1, 1, 1}}};
  for (const Window2d& window : all) {
    for (const std::int64_t size : {2, 7, 24, 61, 130}) {
      check_streamed<float>(window, size, size, cpu::kernel_table().pool2d.f32);
      check_streamed<double>(window, size, size + 1, cpu::kernel_table().pool2d.f64);
    }
  }
}

TEST(pool2d) {
  const Window2d all[] = {{{2, 2, 0, 0, 1}, {2, 2, 0, 0, 1}}, {{3, 2, 1, 1, 1}, {3, 2, 1, 0, 1}},
                          {{2, 1, 1, 1, 1}, {3, 1, 1, 1, 1}}, {{3, 3, 0, 1, 1}, {4, 3, 2, 1, 1}},
                          {{3, 1, 0, 0, 1}, {3, 1, 0, 0, 1}}, {{5, 2, 2, 2, 1}, {5, 2, 2, 2, 1}},
                          {{1, 3, 0, 0, 1}, {2, 3, 1, 0, 1}}};
  for (const Window2d& window : all) {
    for (const std::int64_t width : {4, 7, 16, 17, 24, 35}) {
      check_pooling<float>(window, 7, width);
      check_pooling<double>(window, 7, width);
      check_average<float>(window, 7, width);
      check_average<double>(window, 7, width);
    }
  }
  for (const std::int64_t width : {1, 7, 24}) {  // one window over a plane
    check_average<float>({{7, 7, 0, 0, 1}, {width, 1, 0, 0, 1}}, 7, width);
    check_average<double>({{7, 7, 0, 0, 1}, {width, 1, 0, 0, 1}}, 7, width);
  }
  check_pooling<float>({{2, 1, 1, 1, 2}, {3, 2, 1, 1, 3}}, 9, 40);
}
