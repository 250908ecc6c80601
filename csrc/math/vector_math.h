// Computes   exp, log, log1p, expm1, tanh, sigmoid and the normal distribution's cdf of a vector,
//            for float and double, from one template each, on the CPU and on CUDA.
// Layout     lanes are independent, so a value's result is the same bits in the body and in a tail.
// Edges      NaN passes; infinities, zeros, subnormals and overflow as IEEE 754 says, except where
//            a function's comment narrows its domain.
// Resources  registers only.
// Rounding   largest error in units in the last place, with FMA / without (SSE2), as the tests
//            assert: exp 1 / 1, log 1 / 1, tanh 3 / 3, sigmoid 3 / 3, normal_cdf 4 / 4 (a subnormal
//            result: + 1). Every level that has FMA, CUDA included, gives the same bits.
// Tried      -
// Source     polynomials fitted here (Chebyshev interpolation at 40 digits); the logarithm's use of
//            s = f / (2 + f) is that of P. T. P. Tang, ACM TOMS 16 (1990).
#pragma once

#ifndef KERNELGRAD_LANES
#error \
    "include cpu/simd.h or cuda/lane.cuh before: the formulas are for one ISA level's vectors or CUDA"
#endif

namespace kernelgrad::KERNELGRAD_LANES {

// The coefficients of a polynomial, lowest power first: from a function, since device code cannot refer to
// a constant array of the host.
template <class T, int N>
struct Terms {
  T at[N];
};

// What differs between float and double. ln2 is split so that an exponent times ln2_hi is exact.
template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr int mantissa_bits = 23;
  static constexpr int exponent_bias = 127;
  static constexpr float infinity = __builtin_inff();
  static constexpr float nan = __builtin_nanf("");
  static constexpr float smallest_normal = 0x1p-126f;
  static constexpr float round_magic = 0x1.8p23f;  // adding it rounds to an integer in the low bits
  static constexpr float integer_magic = 0x1p23f;  // its low bits hold an unsigned integer
  static constexpr std::uint32_t sqrt_half = 0x3F3504F3u;
  static constexpr std::uint32_t one = 0x3F800000u;
  static constexpr std::uint32_t high_half = 0xFFFFF000u;  // a square of what this keeps is exact
  static constexpr float log2_e = 0x1.715476p+0f;
  static constexpr float ln2_hi = 0x1.62e4p-1f;
  static constexpr float ln2_lo = 0x1.7f7d1cp-20f;
  static constexpr float exp_low = -104.0f, exp_high = 89.0f;
  static constexpr float exp_flush = -87.33654f;  // log(smallest_normal), rounded towards zero
  static constexpr float tanh_one = 10.0f;        // tanh rounds to 1 from here on
  static constexpr float cdf_zero = 14.5f;        // exp(-x*x/2) rounds to 0 from here on
  // (exp(r) - 1 - r) / r^2 on |r| <= ln2 / 2
  static KERNELGRAD_INLINE constexpr Terms<float, 5> exp_terms() {
    return {{0.5f, 0.16666576946435997504f, 0.041666554563159919537f, 0.008363186255580478635f,
             0.0013926192585280568362f}};
  }
  // (2^f - 1) / f on |f| <= 1/2
  static KERNELGRAD_INLINE constexpr Terms<float, 6> exp2_terms() {
    return {{0.6931471880352002849f, 0.24022650760645807262f, 0.055503570711525073233f,
             0.0096180825199904668781f, 0.0013390886332106697626f, 0.00015453182829959740588f}};
  }
  // (log((1 + s) / (1 - s)) - 2s) / s^3 as a polynomial in s^2 on |s| <= 3 - 2 sqrt 2
  static KERNELGRAD_INLINE constexpr Terms<float, 4> log_terms() {
    return {{0.66666666554451646331f, 0.4000012187697200149f, 0.28550816599711548665f,
             0.23330581938241893822f}};
  }
  // (x + c) exp(x^2/2) (1 - cdf(x)) as a polynomial in (x - c) / (x + c) on 0 <= x <= cdf_zero
  static constexpr float cdf_centre = 4.75f;
  static KERNELGRAD_INLINE constexpr Terms<float, 11> cdf_terms() {
    return {{0.76641629246508264441f, -0.65358932239764969567f, 0.47206332020437763809f,
             -0.28418491412251045284f, 0.13812553836084344603f, -0.050608999068705817231f,
             0.011444355167023504431f, 0.000085517982163703947456f, -0.0011712473651565723524f,
             0.00031198822353036946885f, 0.00013601180182512012363f}};
  }
};

template <>
struct MathConstants<double> {
  static constexpr int mantissa_bits = 52;
  static constexpr int exponent_bias = 1023;
  static constexpr double infinity = __builtin_inf();
  static constexpr double nan = __builtin_nan("");
  static constexpr double smallest_normal = 0x1p-1022;
  static constexpr double round_magic = 0x1.8p52;
  static constexpr double integer_magic = 0x1p52;
  static constexpr std::uint64_t sqrt_half = 0x3FE6A09E667F3BCDull;
  static constexpr std::uint64_t one = 0x3FF0000000000000ull;
  static constexpr std::uint64_t high_half = 0xFFFFFFFFF8000000ull;
  static constexpr double log2_e = 0x1.71547652b82fep+0;
  static constexpr double ln2_hi = 0x1.62e42fefa38p-1;
  static constexpr double ln2_lo = 0x1.ef35793c7673p-45;
  static constexpr double exp_low = -746.0, exp_high = 710.0;
  static constexpr double exp_flush = -708.3964185322641;
  static constexpr double tanh_one = 20.0;
  static constexpr double cdf_zero = 39.0;
  static KERNELGRAD_INLINE constexpr Terms<double, 10> exp_terms() {
    return {{0.50000000000000010233, 0.16666666666666667454, 0.041666666666624086845,
             0.0083333333333300586774, 0.0013888888917234205793, 0.00019841269863069373172,
             0.000024801521264122018574, 2.7557268435517562184e-6, 2.7620103584886964361e-7,
             2.5100397137931662895e-8}};
  }
  static KERNELGRAD_INLINE constexpr Terms<double, 11> exp2_terms() {
    return {{0.69314718055994530942, 0.24022650695910098274, 0.055504108664821594368,
             0.0096181291076068539459, 0.0013333558146416916877, 0.0001540353044179413737,
             0.000015252733829867080582, 1.3215442552522291478e-6, 1.0178062426976923424e-7,
             7.0725930278789965689e-9, 4.4549643712692967898e-10}};
  }
  static KERNELGRAD_INLINE constexpr Terms<double, 7> log_terms() {
    return {{0.66666666666666696883, 0.39999999999899443233, 0.28571428626003268742,
             0.22222211130259877029, 0.18182889455674946039, 0.15331710618210771568,
             0.14616585424888621989}};
  }
  static constexpr double cdf_centre = 6.0;
  static KERNELGRAD_INLINE constexpr Terms<double, 23> cdf_terms() {
    return {{0.77735177189336219336,      -0.70100902959086552432,    0.56896889181478290493,
             -0.41390358577559287,        0.26797424584169709389,     -0.15268023206441028123,
             0.075171915668125473892,     -0.030985315509016791814,   0.01002982064835193582,
             -0.0021316051957232981314,   0.000032869980622442494438, 0.0001813603248825166876,
             -0.000064751914293224855001, 1.0759772542319458735e-6,   6.7964094169584352501e-6,
             -1.8006860739293919864e-6,   -4.303060097260245505e-7,   3.1187244991295675252e-7,
             9.4557269033711705613e-9,    -4.4345529707855750132e-8,  -1.3445617291223300543e-10,
             5.2376366060102337949e-9,    8.8768408020238297665e-10}};
  }
};

template <class T>
KERNELGRAD_INLINE Vec<T> sign_bit() {
  return broadcast(T(-0.0));
}
template <class T>
KERNELGRAD_INLINE Vec<T> absolute(Vec<T> x) {
  return from_bits<T>(to_bits<T>(x) & ~to_bits<T>(sign_bit<T>()));
}
// |magnitude| must have a clear sign bit.
template <class T>
KERNELGRAD_INLINE Vec<T> with_sign_of(Vec<T> magnitude, Vec<T> sign) {
  return from_bits<T>(to_bits<T>(magnitude) | (to_bits<T>(sign) & to_bits<T>(sign_bit<T>())));
}

// terms.at[0] + terms.at[1] x + ... by Horner's rule.
template <class T, int N>
KERNELGRAD_INLINE Vec<T> polynomial(Vec<T> x, Terms<T, N> terms) {
  Vec<T> sum = broadcast(terms.at[N - 1]);
  KERNELGRAD_UNROLL(32)
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, broadcast(terms.at[i]));
  return sum;
}

// x + low = n ln2 + r with |r| <= ln2 / 2; `shifted` holds n in its low bits.
template <class T>
struct ExpArgument {
  Vec<T> shifted, n, r;
};
template <class T>
KERNELGRAD_INLINE ExpArgument<T> reduce_exp_argument(Vec<T> x) {
  using C = MathConstants<T>;
  ExpArgument<T> a;
  a.shifted = fma(x, broadcast(C::log2_e), broadcast(C::round_magic));
  a.n = a.shifted - C::round_magic;
  a.r = fma(a.n, broadcast(-C::ln2_lo), fma(a.n, broadcast(-C::ln2_hi), x));
  return a;
}
template <class T>
KERNELGRAD_INLINE ExpArgument<T> reduce_exp_argument(Vec<T> x, Vec<T> low) {
  using C = MathConstants<T>;
  ExpArgument<T> a;
  a.shifted = fma(x + low, broadcast(C::log2_e), broadcast(C::round_magic));
  a.n = a.shifted - C::round_magic;
  a.r = fma(a.n, broadcast(-C::ln2_lo), fma(a.n, broadcast(-C::ln2_hi), x) + low);
  return a;
}

// exp(r) - 1 for a reduced argument.
template <class T>
KERNELGRAD_INLINE Vec<T> expm1_reduced(Vec<T> r) {
  return fma(r * r, polynomial<T>(r, MathConstants<T>::exp_terms()), r);
}

// 2^n for the integer that the low bits of `shifted` hold; the result must be a normal number.
template <class T>
KERNELGRAD_INLINE Vec<T> power_of_two(Vec<T> shifted) {
  using C = MathConstants<T>;
  return from_bits<T>((to_bits<T>(shifted) << C::mantissa_bits) + C::one);
}

// p 2^n in two steps, so that results may be subnormal or infinite.
template <class T>
KERNELGRAD_INLINE Vec<T> scale_by_power(Vec<T> p, Vec<T> n) {
  const Vec<T> magic = broadcast(MathConstants<T>::round_magic);
  const Vec<T> half = fma(n, broadcast(T(0.5)), magic);
  const Vec<T> rest = n - (half - magic) + magic;
  return p * power_of_two<T>(half) * power_of_two<T>(rest);
}

template <class T>
KERNELGRAD_INLINE Vec<T> exp(Vec<T> x) {
  using C = MathConstants<T>;
  x = greater<T>(broadcast(C::exp_low), lesser<T>(broadcast(C::exp_high), x));
  const ExpArgument<T> a = reduce_exp_argument<T>(x);
  return scale_by_power<T>(T(1) + expm1_reduced<T>(a.r), a.n);
}

// exp for x <= 0 or NaN where results below exp(flush) are to be 0; flush >= exp_flush, whose
// exponential is the smallest normal number. It never makes a subnormal, on which some processors
// stall: softmax's exponential. Its argument is rounded once more than exp's, so its relative error
// is eps (1 + 0.625 |x|) at most; whoever subtracted a maximum has an error of that kind already.
template <class T>
KERNELGRAD_INLINE Vec<T> exp_nonpositive(Vec<T> x, Vec<T> flush) {
  using C = MathConstants<T>;
  // 2^y with y = n + f, |f| <= 1/2. Where x < flush all of this is void, and dropped at the end.
  const Vec<T> y = x * C::log2_e;
  const Vec<T> shifted = y + C::round_magic;
  const Vec<T> f = y - (shifted - C::round_magic);
  const Vec<T> power = fma(f, polynomial(f, C::exp2_terms()), broadcast(T(1)));
  return zero_where<T>(x < flush, power * power_of_two<T>(shifted));
}
template <class T>
KERNELGRAD_INLINE Vec<T> exp_nonpositive(Vec<T> x) {
  return exp_nonpositive<T>(x, broadcast(MathConstants<T>::exp_flush));
}

// exp(x) - 1 for x <= 2 * tanh_one; larger arguments give the value there.
template <class T>
KERNELGRAD_INLINE Vec<T> expm1(Vec<T> x) {
  const Vec<T> bound = broadcast(2 * MathConstants<T>::tanh_one);
  const ExpArgument<T> a = reduce_exp_argument<T>(greater<T>(-bound, lesser<T>(bound, x)));
  const Vec<T> scale = power_of_two<T>(a.shifted);
  return fma(scale, expm1_reduced<T>(a.r), scale - T(1));
}

// k_offset + log(x) + relative, for a normal, positive x and a small `relative` error of x to put
// right; k_offset counts octaves.
template <class T>
KERNELGRAD_INLINE Vec<T> log_normal(Vec<T> x, Vec<T> k_offset, Vec<T> relative) {
  using C = MathConstants<T>;
  // x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1.
  const Bits<T> biased = to_bits<T>(x) + (C::one - C::sqrt_half);
  const Bits<T> k_bits = (biased >> C::mantissa_bits) | to_bits<T>(broadcast(C::integer_magic));
  const Vec<T> k = from_bits<T>(k_bits) - (C::integer_magic + T(C::exponent_bias)) + k_offset;
  const Bits<T> mantissa = biased & (to_bits<T>(broadcast(C::smallest_normal)) - 1);
  const Vec<T> f = from_bits<T>(mantissa + C::sqrt_half) - T(1);
  const Vec<T> half_square = T(0.5) * f * f;
  const Vec<T> s = f / (T(2) + f);
  const Vec<T> z = s * s;
  const Vec<T> series = half_square + z * polynomial<T>(z, C::log_terms());
  const Vec<T> low = fma(s, series, fma(k, broadcast(C::ln2_lo), relative));
  return fma(k, broadcast(C::ln2_hi), f - (half_square - low));
}

template <class T>
KERNELGRAD_INLINE Vec<T> log(Vec<T> x) {
  using C = MathConstants<T>;
  constexpr T lift = T(std::int64_t{1} << (C::mantissa_bits + 1));  // makes a subnormal normal
  const Mask<T> subnormal = x < C::smallest_normal;
  const Vec<T> normal = select<T>(subnormal, x * lift, x);
  const Vec<T> k_offset = select<T>(subnormal, broadcast(T(-C::mantissa_bits - 1)), Vec<T>{});
  Vec<T> y = log_normal<T>(normal, k_offset, Vec<T>{});
  y = select<T>(x < C::infinity, y, x);  // infinity and NaN
  y = select<T>(x < T(0), broadcast(C::nan), y);
  return select<T>(x == T(0), broadcast(-C::infinity), y);
}

// log(1 + x) for 0 <= x <= 1 or NaN.
template <class T>
KERNELGRAD_INLINE Vec<T> log1p_unit(Vec<T> x) {
  const Vec<T> u = T(1) + x;
  const Vec<T> lost = x - (u - T(1));  // exact
  return log_normal<T>(u, Vec<T>{}, lost / u);
}

template <class T>
KERNELGRAD_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = lesser<T>(broadcast(MathConstants<T>::tanh_one), absolute<T>(x));
  const Vec<T> t = expm1<T>(a + a);
  return with_sign_of<T>(t / (t + T(2)), x);
}

// sigmoid(x) = numerator / denominator and 1 - sigmoid(x) = complement / denominator, each without
// cancellation and without overflow.
template <class T>
struct SigmoidParts {
  Vec<T> numerator, complement, denominator;
};
template <class T>
KERNELGRAD_INLINE SigmoidParts<T> sigmoid_parts(Vec<T> x) {
  const Vec<T> one = broadcast(T(1));
  const Vec<T> e = exp<T>(-absolute<T>(x));
  const Mask<T> negative = x < T(0);
  return {select<T>(negative, e, one), select<T>(negative, one, e), one + e};
}

template <class T>
KERNELGRAD_INLINE Vec<T> sigmoid(Vec<T> x) {
  const SigmoidParts<T> parts = sigmoid_parts<T>(x);
  return parts.numerator / parts.denominator;
}

// The normal distribution's cdf, and exp(-x^2 / 2), of which its density is a multiple.
template <class T>
struct NormalParts {
  Vec<T> cdf, exponential;
};
template <class T>
KERNELGRAD_INLINE NormalParts<T> normal_parts(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> a = lesser<T>(broadcast(C::cdf_zero), absolute<T>(x));
  // -a^2 / 2 as an exact part and a small one: exp would magnify the rounding of a single number.
  const Vec<T> a_hi = from_bits<T>(to_bits<T>(a) & (Bits<T>{} + C::high_half));
  const Vec<T> hi = T(-0.5) * a_hi * a_hi, lo = T(-0.5) * (a - a_hi) * (a + a_hi);
  const ExpArgument<T> argument = reduce_exp_argument<T>(hi, lo);
  const Vec<T> exponential = scale_by_power<T>(T(1) + expm1_reduced<T>(argument.r), argument.n);
  const Vec<T> q = T(1) / (a + C::cdf_centre);
  const Vec<T> t = (a - C::cdf_centre) * q;
  const Vec<T> tail = exponential * (polynomial<T>(t, C::cdf_terms()) * q);
  return {select<T>(x > T(0), T(1) - tail, tail), exponential};
}

}  // namespace kernelgrad::KERNELGRAD_LANES
