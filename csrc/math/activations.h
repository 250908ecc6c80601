// Computes   each elementwise function and its gradient as a functor on one vector:
//            F::value<T>(x, parameter) and F::gradient<T>(grad_out, saved, parameter), where
//            `saved` is the function's output for exp, tanh, sigmoid and relu, and its input for
//            the others.
// Layout     lanes are independent.
// Edges      NaN passes; x * cdf(x) and the like give NaN at -infinity, as the formula does, but
//            gradients take their limits at both infinities.
// Resources  registers only.
// Rounding   a few roundings on top of vector_math.h; the tests state the bound of each.
// Tried      -
// Source     gelu: Hendrycks and Gimpel, arXiv:1606.08415; mish: Misra, arXiv:1908.08681.
#pragma once

#include "math/vector_math.h"

namespace kernelgrad::KERNELGRAD_LANES {

// Limits x to an interval outside of which every gradient here has reached its limit, so that
// x * 0 is not NaN at an infinity.
template <class T>
KERNELGRAD_INLINE Vec<T> limited(Vec<T> x, T bound) {
  return greater<T>(broadcast(-bound), lesser<T>(broadcast(bound), x));
}

struct Exp {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    return exp<T>(x);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> y, Vec<T>) {
    return grad_out * y;
  }
};

struct Log {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    return log<T>(x);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T>) {
    return grad_out / x;
  }
};

struct Tanh {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    return tanh<T>(x);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> y, Vec<T>) {
    return grad_out * fma(-y, y, broadcast(T(1)));
  }
};

struct Sigmoid {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    return sigmoid<T>(x);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> y, Vec<T>) {
    return grad_out * (y * (T(1) - y));
  }
};

struct Relu {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    return greater<T>(Vec<T>{}, x);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> y, Vec<T>) {
    return select<T>(y <= T(0), Vec<T>{}, grad_out);
  }
};

struct LeakyRelu {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T> slope) {
    return select<T>(x > T(0), x, x * slope);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T> slope) {
    return select<T>(x > T(0), grad_out, grad_out * slope);
  }
};

struct Elu {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T> alpha) {
    return select<T>(x > T(0), x, alpha * expm1<T>(x));
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T> alpha) {
    return select<T>(x > T(0), grad_out, grad_out * (alpha * exp<T>(x)));
  }
};

struct Gelu {
  // x - x cdf(-x) or x cdf(x): max(x, 0) - |x| cdf(-|x|), where x - min(0, x) is NaN at -infinity.
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    const NormalParts<T> parts = normal_parts<T>(x);
    const Vec<T> positive = x - lesser<T>(Vec<T>{}, x);
    return fma(parts.a * parts.exponential, parts.minus_mills, positive);
  }
  // cdf(x) + x density(x)
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T>) {
    constexpr T inverse_sqrt_two_pi = T(0.39894228040143267794);
    const NormalParts<T> parts = normal_parts<T>(x);
    const Vec<T> slope =
        fma(parts.a, broadcast(inverse_sqrt_two_pi / MathConstants<T>::lift), parts.minus_mills) *
        parts.exponential;
    return grad_out * select<T>(x > T(0), T(1) + slope, -slope);
  }
};

// x / 2 (1 + tanh u) = x sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> twice_u(Vec<T> x) {
    constexpr T linear = T(1.5957691216057307117), cubic = T(0.071354816272600249);
    return x * fma(x * x, broadcast(cubic), broadcast(linear));
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    const SigmoidParts<T> parts = sigmoid_parts<T>(twice_u<T>(x));
    return x * (parts.one / parts.denominator);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T>) {
    constexpr T linear = T(1.5957691216057307117), thrice_cubic = T(0.21406444881780075);
    const Vec<T> xl = limited<T>(x, T(32));
    const SigmoidParts<T> parts = sigmoid_parts<T>(twice_u<T>(xl));
    const Vec<T> inverse = T(1) / parts.denominator;
    const Vec<T> s = parts.one * inverse, complement = parts.complement * inverse;
    const Vec<T> slope = fma(xl * xl, broadcast(thrice_cubic), broadcast(linear));
    return grad_out * (s * fma(xl * slope, complement, broadcast(T(1))));
  }
};

struct Silu {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    const SigmoidParts<T> parts = sigmoid_parts<T>(x);
    return x * (parts.one / parts.denominator);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T>) {
    const SigmoidParts<T> parts = sigmoid_parts<T>(x);
    const Vec<T> inverse = T(1) / parts.denominator;
    const Vec<T> s = parts.one * inverse, complement = parts.complement * inverse;
    return grad_out * (s * fma(parts.x, complement, broadcast(T(1))));
  }
};

struct Softplus {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    const Vec<T> low = greater<T>(broadcast(MathConstants<T>::exp_low), minus_absolute<T>(x));
    return greater<T>(Vec<T>{}, x) + log1p_unit<T>(exp_within<T>(low));
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T>) {
    return grad_out * sigmoid<T>(x);
  }
};

// x tanh(softplus(x)) = x w / (w + 2) with w = e (e + 2), e = exp(x): no cancellation anywhere.
struct Mish {
  // From here on tanh(softplus(x)) rounds to 1 (and e^2 is far from overflow).
  template <class T>
  static constexpr T kOne = sizeof(T) == 4 ? T(20) : T(40);

  template <class T>
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> x, Vec<T>) {
    const Vec<T> e = exp_within<T>(within<T>(x));
    const Vec<T> w = e * (e + T(2));
    return x * (w / (w + T(2)));
  }
  // w / (w + 2) + 4 x e (e + 1) / (w + 2)^2
  template <class T>
  static KERNELGRAD_INLINE Vec<T> gradient(Vec<T> grad_out, Vec<T> x, Vec<T>) {
    const Vec<T> xl = within<T>(x), twice = xl + xl;
    const Vec<T> e = exp_within<T>(xl);
    const Vec<T> w = e * (e + T(2));
    const Vec<T> inverse = T(1) / (w + T(2));
    return grad_out * (inverse * fma((twice + twice) * fma(e, e, e), inverse, w));
  }

 private:
  template <class T>
  static KERNELGRAD_INLINE Vec<T> within(Vec<T> x) {
    return greater<T>(broadcast(MathConstants<T>::exp_low), lesser<T>(broadcast(kOne<T>), x));
  }
};

}  // namespace kernelgrad::KERNELGRAD_LANES
