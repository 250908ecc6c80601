# The CUDA kernels. KERNELGRAD_CUDA: ON demands nvcc; AUTO builds them where nvcc and a GPU are found;
# OFF does not look.
set(kernelgrad_cuda_sources
  ${CMAKE_SOURCE_DIR}/csrc/cuda/conv2d.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/conv2d_direct.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/conv2d_grad_weight.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/elementwise.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/matmul.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/normalization.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/normalization_grad.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/optimizer.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/pool2d.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/reduction.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/softmax.cu
  ${CMAKE_SOURCE_DIR}/csrc/cuda/softmax_cross_entropy.cu
)
# What their bindings are made of, for any library of arrays; see csrc/bindings/array.h.
set(kernelgrad_cuda_bindings
  ${CMAKE_SOURCE_DIR}/csrc/bindings/array.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/axes.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/builtin.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/conv2d.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/cuda_kernels.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/elementwise.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/matmul.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/normalization.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/optimizer.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/pool2d.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/reduction.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/softmax.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/softmax_cross_entropy.cpp
  ${CMAKE_SOURCE_DIR}/csrc/bindings/window.cpp
)
# FMA is written out here as on the CPU: results are the same bits on every architecture.
set(kernelgrad_cuda_flags -std=c++20 -fmad=false)
# All are assembled from PTX for the first, which has every instruction that a kernel uses: the PTX that
# the tests run is what each GPU runs, and nvcc compiles once.
set(kernelgrad_cuda_architectures 80 90 100)

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
    set(CMAKE_CUDA_ARCHITECTURES OFF)
    list(GET kernelgrad_cuda_architectures 0 first)
    list(TRANSFORM kernelgrad_cuda_architectures PREPEND sm_ OUTPUT_VARIABLE targets)
    list(JOIN targets "," targets)
    list(APPEND kernelgrad_cuda_flags "-gencode=arch=compute_${first},code=[${targets},compute_${first}]")
  endif()
  enable_language(CUDA)
  add_library(kernelgrad_cuda STATIC ${kernelgrad_cuda_sources})
  target_compile_options(kernelgrad_cuda PRIVATE ${kernelgrad_cuda_flags})
  target_include_directories(kernelgrad_cuda PRIVATE csrc)
  target_compile_definitions(kernelgrad_cuda PRIVATE KERNELGRAD_BACKEND=cuda)
  set_target_properties(kernelgrad_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)

  if(KERNELGRAD_PYTHON)
    find_package(CUDAToolkit REQUIRED)
    find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
    find_package(pybind11 3 CONFIG REQUIRED)
    pybind11_add_module(_cuda NO_EXTRAS
      ${kernelgrad_cuda_bindings} csrc/bindings/cuda_module.cpp csrc/bindings/device_array.cpp)
    target_compile_definitions(_cuda PRIVATE KERNELGRAD_BACKEND=cuda KERNELGRAD_DEVICE_ARRAYS=1)
    # The static runtime: the module loads, and says that there is no driver, where there is none.
    # kernelgrad_common as a file: the target would bring its definition of the backend.
    target_link_libraries(_cuda PRIVATE
      kernelgrad_base kernelgrad_cuda $<TARGET_FILE:kernelgrad_common> CUDA::cudart_static)
    set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
    set_target_properties(_cuda PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 9)
    if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT APPLE)
      target_link_options(_cuda PRIVATE -s)
    endif()
    install(TARGETS _cuda LIBRARY DESTINATION kernelgrad)
  endif()
endif()
