// Contiguous arrays in pieces, the tasks of an elementwise call.
#pragma once

#include <cstdint>

#include "common/thread_pool.h"

namespace kernelgrad::cpu {

constexpr std::int64_t kPiece = 1 << 15;  // elements

// function(begin, count) for each piece of n elements.
template <class Function>
void for_each_piece(std::int64_t n, Function&& function) {
  parallel_for((n + kPiece - 1) / kPiece, [&](std::int64_t task) {
    const std::int64_t begin = task * kPiece;
    function(begin, n - begin < kPiece ? n - begin : kPiece);
  });
}

}  // namespace kernelgrad::cpu
