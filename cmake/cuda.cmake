# The CUDA kernels. KERNELGRAD_CUDA: ON demands nvcc; AUTO builds them where nvcc and a GPU are found;
# OFF does not look.
set(kernelgrad_cuda_sources
  ${CMAKE_SOURCE_DIR}/csrc/cuda/elementwise.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/matmul.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/optimizer.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/softmax.cu
)
# FMA is written out here as on the CPU: results are the same bits on every architecture.
set(kernelgrad_cuda_flags -std=c++20 -fmad=false)
set(kernelgrad_cuda_architectures 80-real 90-real 100)

set(build_cuda OFF)
if(NOT KERNELGRAD_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(KERNELGRAD_CUDA STREQUAL "AUTO")
    file(GLOB gpus /dev/nvidia[0-9]*)
    if(CMAKE_CUDA_COMPILER AND gpus)
      set(build_cuda ON)
    endif()
  elseif(CMAKE_CUDA_COMPILER)
    set(build_cuda ON)
  else()
    message(FATAL_ERROR "KERNELGRAD_CUDA=${KERNELGRAD_CUDA}, but there is no nvcc; install the CUDA "
                        "toolkit, set CMAKE_CUDA_COMPILER, or choose AUTO or OFF.")
  endif()
endif()
message(STATUS "kernelgrad: CUDA kernels in this build: ${build_cuda}")

if(build_cuda)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES ${kernelgrad_cuda_architectures})
  endif()
  enable_language(CUDA)
  add_library(kernelgrad_cuda STATIC ${kernelgrad_cuda_sources})
  target_link_libraries(kernelgrad_cuda PRIVATE $<LINK_ONLY:kernelgrad_common>)
  target_compile_options(kernelgrad_cuda PRIVATE ${kernelgrad_cuda_flags})
  target_include_directories(kernelgrad_cuda PRIVATE csrc)
  target_compile_definitions(kernelgrad_cuda PRIVATE KERNELGRAD_BACKEND=cuda)
  set_target_properties(kernelgrad_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
endif()
