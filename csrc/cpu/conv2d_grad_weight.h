// The ways to compute conv2d_grad_weight: by a product, by dot products, and by the non-zero values of
// a sparse grad_out (conv2d_sparse.h). Each is a set of tasks that can run on any range of the images;
// conv2d_grad_weight.cpp cuts the images into parts and joins their sums.
#pragma once

#include <cstddef>

#include "common/thread_pool.h"
#include "cpu/conv2d_geometry.h"
#include "cpu/conv2d_ukernel.h"

namespace kernelgrad::cpu {

// grad_w(group * rows + m, channel, tap) = sum over images and positions of grad_out * image.
template <class T>
struct GradWeight {
  ConvAxis h, w;  // as in the forward direction
  std::int64_t images, groups;
  std::int64_t channels, rows;  // of the input and of grad_out, in one group
  const T* image;               // (images, groups * channels, h.size, w.size)
  const T* grad_out;            // (images, groups * rows, positions)

  std::int64_t taps() const { return h.taps * w.taps; }
  std::int64_t depth() const { return channels * taps(); }
  std::int64_t positions() const { return h.outputs * w.outputs; }
};

// What is summed at a time: whole images, or lines of one image.
struct GradWeightChunk {
  std::int64_t images, lines;
};

constexpr std::int64_t kGradWeightTasks = 32;  // enough to keep many cores busy

struct GradWeightPlan {
  GradWeightChunk chunk;
  std::int64_t tasks, tasks_of_group;
  std::int64_t columns;  // (channel, tap) pairs of one task or block; a multiple of nr, or of taps
  std::int64_t rows, blocks;  // of one task of a product
  std::int64_t copy_lines, pitch;
  std::size_t copy, panels, points, offsets, taps, bytes;  // places in a task's scratch memory
};

// Each way's tasks write to grad_w, and say whether they could.
template <class T>
GradWeightPlan plan_grad_weight_product(const GradWeight<T>& g);
template <class T>
bool grad_weight_product(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task,
                         Range images, T* grad_w, std::byte* scratch);

template <class T>
bool is_by_dots(const GradWeight<T>& g);
template <class T>
GradWeightPlan plan_grad_weight_dots(const GradWeight<T>& g);
template <class T>
bool grad_weight_dots(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task,
                      Range images, T* grad_w, std::byte* scratch);

template <class T>
bool may_be_sparse(const GradWeight<T>& g);
template <class T>
GradWeightPlan plan_grad_weight_sparse(const GradWeight<T>& g);
// False, with nothing written to grad_w, if an image holds NaN or infinity.
template <class T>
bool grad_weight_sparse(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task,
                        Range images, T* grad_w, std::byte* scratch);

// function(images, lines) for each chunk of a range of images, in order.
template <class Function>
void for_each_chunk(const GradWeightChunk& chunk, Range images, std::int64_t lines,
                    Function&& function) {
  for (std::int64_t n = images.begin; n < images.end; n += chunk.images) {
    const Range some{n, std::min(images.end, n + chunk.images)};
    for (std::int64_t y = 0; y < lines; y += chunk.lines) {
      function(some, Range{y, std::min(lines, y + chunk.lines)});
    }
  }
}

}  // namespace kernelgrad::cpu
