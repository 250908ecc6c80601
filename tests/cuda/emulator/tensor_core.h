// What tensor cores do, for csrc/cuda/device.cuh; fragments are laid out as the PTX ISA says.
#pragma once

#include <cstdint>

namespace emulator {

std::uint32_t to_tf32(float value);
std::uint32_t to_bf16x2(float high, float low);

// Warp operations. Products are exact, and an instruction's sums rounded once: hardware may round more.
void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

}  // namespace emulator
