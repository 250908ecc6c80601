// Declares one thing in the namespace of each ISA level that the architecture has.
#pragma once

#if defined(__x86_64__)
#define KERNELGRAD_FOR_EACH_ISA(declaration) \
  namespace sse2 {                           \
  declaration                                \
  }                                          \
  namespace avx2 {                           \
  declaration                                \
  }                                          \
  namespace avx512 {                         \
  declaration                                \
  }
#elif defined(__aarch64__)
#define KERNELGRAD_FOR_EACH_ISA(declaration) \
  namespace neon {                           \
  declaration                                \
  }
#endif
