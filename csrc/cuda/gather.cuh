// A panel of a product whose operand is never in memory as a matrix: each element is looked up in a
// batch of images as it is brought to shared memory, the im2col of a convolution. The place of an
// element is the sum of what its column (an index beside k) and its depth (its index along k) add.
#pragma once

#include "cuda/matmul_tile.cuh"

namespace kernelgrad::cuda {

// An index as three digits. A step of the high one moves on by a plane or an image, of the middle one
// by some lines, of the low one by some positions in a line. Positions outside of the image are zeros.
struct Digits {
  std::int64_t high_stride;
  int middle, low;  // extents, at least 1
  int y_first, y_step, x_first, x_step;
};

struct Place {
  std::int64_t offset;  // y and x included
  int y, x;
};
__device__ __forceinline__ Place place_of(const Digits& digits, int width, std::int64_t index) {
  const std::int64_t lines = index / digits.low, high = lines / digits.middle;
  const int y = digits.y_first + static_cast<int>(lines - high * digits.middle) * digits.y_step;
  const int x = digits.x_first + static_cast<int>(index - lines * digits.low) * digits.x_step;
  return {high * digits.high_stride + static_cast<std::int64_t>(y) * width + x, y, x};
}

// How a place moves when its index moves on by a fixed number: without divisions, by carrying.
struct Stride {
  int x, y, x_end, x_span, y_end, y_span, y_carry;
  std::int64_t offset, x_carry_offset, y_carry_offset;

  Stride() = default;
  Stride(const Digits& d, std::int64_t width, int step)
      : x(step % d.low * d.x_step),
        y(step / d.low % d.middle * d.y_step),
        x_end(d.x_first + d.low * d.x_step),
        x_span(d.low * d.x_step),
        y_end(d.y_first + d.middle * d.y_step),
        y_span(d.middle * d.y_step),
        y_carry(d.y_step),
        offset(step / d.low / d.middle * d.high_stride + y * width + x),
        x_carry_offset(d.y_step * width - x_span),
        y_carry_offset(d.high_stride - y_span * width) {}

  __device__ __forceinline__ void advance(Place& place) const {
    place.x += x;
    place.y += y;
    place.offset += offset;
    if (place.x >= x_end) {
      place.x -= x_span;
      place.y += y_carry;
      place.offset += x_carry_offset;
    }
    if (place.y >= y_end) {
      place.y -= y_span;
      place.offset += y_carry_offset;
    }
  }
};

template <class T>
struct GatherOperand {
  const T* data;
  std::int64_t extent;  // of the columns
  int height, width;    // of an image
  Digits columns, depths;
  Stride stride;  // of the depth, by the loader's step
};

// Brings panels of Extent columns and BK depths as PanelLoader does, kAlongDepth where neighbouring
// depths are neighbours in an image.
template <class T, int Extent, int BK, int Threads, bool kAlongDepth>
class GatherLoader {
  using Own = Share<T, Extent, BK, Threads, kAlongDepth>;

 public:
  static constexpr int step = Own::step;

  __device__ __forceinline__ GatherLoader(const GatherOperand<T>& operand, const T* data,
                                          std::int64_t first, std::int64_t k)
      : operand_(operand), depth_(place_of(operand.depths, operand.width, k + Own::depth(0))) {
    KERNELGRAD_UNROLL(8)
    for (int i = 0; i < Own::rows; ++i) {
      const std::int64_t index = first + Own::row(i);
      const bool exists = index < operand.extent;
      const Place place = place_of(operand.columns, operand.width, exists ? index : 0);
      source_[i] = data + place.offset;
      y_[i] = exists ? place.y : -(1 << 30) - (1 << 29);  // no depth brings it inside
      x_[i] = place.x;
    }
  }

  __device__ __forceinline__ void load(T (&panel)[BK][kPanelPitch<Extent>], int depths) {
    KERNELGRAD_UNROLL(8)
    for (int s = 0; s < Own::steps; ++s) {
      const bool exists = Own::depth(s) < depths;
      KERNELGRAD_UNROLL(8)
      for (int i = 0; i < Own::rows; ++i) {
        const bool inside =
            exists &&
            static_cast<unsigned>(y_[i] + depth_.y) < static_cast<unsigned>(operand_.height) &&
            static_cast<unsigned>(x_[i] + depth_.x) < static_cast<unsigned>(operand_.width);
        copy_async(&panel[Own::depth(s)][Own::row(i)], source_[i] + depth_.offset, inside);
      }
      operand_.stride.advance(depth_);
    }
  }

 private:
  const GatherOperand<T>& operand_;
  Place depth_;
  const T* source_[Own::rows];
  int y_[Own::rows], x_[Own::rows];
};

// The same for rows that are planes of images: row r at depth (image, position) is
// data[image * image_stride + r * positions + position]. Filters are such rows, of one image.
template <class T>
struct PlaneOperand {
  const T* data;
  std::int64_t extent, positions, image_stride;
};

template <class T, int Extent, int BK, int Threads>
class PlaneLoader {
  using Own = Share<T, Extent, BK, Threads, true>;

 public:
  __device__ __forceinline__ PlaneLoader(const PlaneOperand<T>& operand, const T* data,
                                         std::int64_t first, std::int64_t k)
      : operand_(operand) {
    const std::int64_t depth = k + Own::depth(0), image = depth / operand.positions;
    position_ = depth - image * operand.positions;
    source_ =
        data + image * operand.image_stride + (first + Own::row(0)) * operand.positions + position_;
    const std::int64_t rest = operand.extent - first;
    rows_ = rest < Extent ? static_cast<int>(rest) : Extent;
  }

  __device__ __forceinline__ void load(T (&panel)[BK][kPanelPitch<Extent>], int depths) {
    KERNELGRAD_UNROLL(8)
    for (int s = 0; s < Own::steps; ++s) {
      KERNELGRAD_UNROLL(8)
      for (int i = 0; i < Own::rows; ++i) {
        copy_async(&panel[Own::depth(s)][Own::row(i)],
                   source_ + i * Own::apart * operand_.positions,
                   Own::depth(s) < depths && Own::row(i) < rows_);
      }
      source_ += Own::step;
      position_ += Own::step;
      while (position_ >= operand_.positions) {
        position_ -= operand_.positions;
        source_ += operand_.image_stride - operand_.positions;
      }
    }
  }

 private:
  const PlaneOperand<T>& operand_;
  const T* source_;
  std::int64_t position_;
  int rows_;
};

}  // namespace kernelgrad::cuda
