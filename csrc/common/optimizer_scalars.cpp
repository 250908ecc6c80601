#include "common/optimizer_scalars.h"

#include <cmath>

#include "ops.h"

namespace kernelgrad {

template <class T>
SgdScalars<T> scalars_of(const SgdOptions& o) {
  return {static_cast<T>(o.lr),
          static_cast<T>(o.momentum),
          static_cast<T>(1 - o.dampening),
          static_cast<T>(o.weight_decay),
          o.maximize ? T(-1) : T(1),
          o.nesterov,
          o.first_step};
}

template <class T>
AdamScalars<T> scalars_of(const AdamOptions& o) {
  const double correction1 = 1 - std::pow(o.beta1, static_cast<double>(o.step));
  const double correction2 = 1 - std::pow(o.beta2, static_cast<double>(o.step));
  return {static_cast<T>(o.beta1),
          static_cast<T>(1 - o.beta1),
          static_cast<T>(o.beta2),
          static_cast<T>(1 - o.beta2),
          static_cast<T>(o.lr / correction1),
          static_cast<T>(std::sqrt(correction2)),
          static_cast<T>(o.eps),
          static_cast<T>(o.decoupled ? 1 - o.lr * o.weight_decay : o.weight_decay),
          o.maximize ? T(-1) : T(1),
          o.decoupled};
}

template SgdScalars<float> scalars_of(const SgdOptions&);
template SgdScalars<double> scalars_of(const SgdOptions&);
template AdamScalars<float> scalars_of(const AdamOptions&);
template AdamScalars<double> scalars_of(const AdamOptions&);

}  // namespace kernelgrad
