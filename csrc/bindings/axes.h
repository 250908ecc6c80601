// Reads `axis` arguments.
#pragma once

#include "bindings/array.h"

namespace kernelgrad::bindings {

// One axis of an array with ndim axes, counted from 0. TypeError for what is not an integer,
// ValueError for one out of range.
int parse_axis(const char* op, py::handle axis, int ndim);

// None (all axes), an integer or a tuple or list of them, as a bit set.
std::uint32_t parse_axes(const char* op, py::handle axis, int ndim);

}  // namespace kernelgrad::bindings
