#include "bindings/array.h"
#include "bindings/bind.h"
#include "ops.h"

namespace kernelgrad::bindings {

void bind_elementwise(py::module_& m) {
  m.def(
      "relu",
      [](py::handle x, py::handle out) {
        Input input(x, "relu", "x", Layout::contiguous);
        Output output(out, "relu", input->dtype, sizes_of(input.view()), {&input});
        without_gil(input->size(), [&] { KERNELGRAD_BACKEND::relu(input.view(), output.view()); });
        return output.finish();
      },
      py::arg("x"), py::arg("out") = py::none());
}

}  // namespace kernelgrad::bindings
