// Computes   exp, log, log1p, expm1, tanh, sigmoid and the normal distribution's cdf of a vector,
//            for float and double, from one template each, on the CPU and on CUDA.
// Layout     lanes are independent, so a value's result is the same bits in the body and in a tail.
// Edges      NaN passes; infinities, zeros, subnormals and overflow as IEEE 754 says, except where
//            a function's comment narrows its domain.
// Resources  registers only.
// Rounding   largest error in units in the last place, with FMA / without (SSE2), as the tests
//            assert: exp 1.25 / 1.25, log 1 / 1, tanh 3 / 3, sigmoid 3 / 3, normal_cdf 4 / 4 (a subnormal
//            result: + 1). Every level that has FMA, CUDA included, gives the same bits.
// Tried      Zen 3, AVX2, times as long: erf's parts for cdf with a^2 split by hand and results scaled twice
//            (gelu 1.4); gelu's exponential as two shorter chains (1.05), cdf without the factor 1 - t (1.0, and
//            1.2 to 4 times the error); log1p by log (softplus 2); log and log1p without a division, by a
//            polynomial of five more terms (log 1.05, softplus 1.02).
// Source     polynomials fitted here (Chebyshev interpolation or Remez' exchange at 40 digits); the logarithm's
//            use of s = f / (2 + f) is that of P. T. P. Tang, ACM TOMS 16 (1990).
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
  static constexpr float lift = 0x1p64f, lift_exponent = 64.0f;  // of results that may be subnormal
  static constexpr float log2_e = 0x1.715476p+0f;
  static constexpr float ln2_hi = 0x1.62e4p-1f;
  static constexpr float ln2_lo = 0x1.7f7d1cp-20f;
  static constexpr float exp_low = -104.0f, exp_high = 89.0f;
  static constexpr float exp_flush = -87.33654f;  // log(smallest_normal), rounded towards zero
  static constexpr float tanh_one = 10.0f;        // tanh rounds to 1 from here on
  static constexpr float sigmoid_one = 40.0f;  // so does sigmoid, and x exp(-x) is nothing beside 1
  static constexpr float cdf_zero = 15.0f;     // x exp(-x*x/2) rounds to 0 from here on
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
  // The same on 0 <= s <= 1/3.
  static KERNELGRAD_INLINE constexpr Terms<float, 4> log1p_terms() {
    return {{0.66666640336699239788f, 0.40007560644911205766f, 0.28236619805310481437f,
             0.26851498022837151807f}};
  }
  // exp(x^2/2) (1 - cdf(x)) / (1 - t) as a polynomial in t = (x - c) / (x + c) on 0 <= x <= 14.5: up to
  // where x cdf(-x) rounds to 0
  static constexpr float cdf_centre = 4.0f;
  static KERNELGRAD_INLINE constexpr Terms<float, 10> cdf_terms() {
    return {{0.09441064192273460696f, -0.075987073532140438255f, 0.04839211265237379289f,
             -0.023315430203009650182f, 0.007550478685584808995f, -0.00094065883446195292315f,
             -0.00043906840886499840786f, 0.00019624056012995467072f, 0.000022418149438702941554f,
             -0.000016497142310120833306f}};
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
  static constexpr double lift = 0x1p128, lift_exponent = 128.0;
  static constexpr double log2_e = 0x1.71547652b82fep+0;
  static constexpr double ln2_hi = 0x1.62e42fefa38p-1;
  static constexpr double ln2_lo = 0x1.ef35793c7673p-45;
  static constexpr double exp_low = -746.0, exp_high = 710.0;
  static constexpr double exp_flush = -708.3964185322641;
  static constexpr double tanh_one = 20.0;
  static constexpr double sigmoid_one = 80.0;
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
  static KERNELGRAD_INLINE constexpr Terms<double, 10> log1p_terms() {
    return {{0.66666666666666658561, 0.40000000000014582672, 0.28571428567108757162,
             0.22222222717427862989, 0.18181789436132858169, 0.15385570064958623103,
             0.13314144209654936150, 0.12001072809590712535, 0.088007384861446738820,
             0.16164045611943532221}};
  }
  static constexpr double cdf_centre = 6.0;
  static KERNELGRAD_INLINE constexpr Terms<double, 23> cdf_terms() {
    return {{0.0647793143244468492,       -0.058417419132572129085,    0.047414074317898658950,
             -0.034491965481299189736,    0.022331187153470103785,     -0.01272335267204154373,
             0.006264326305776988287,     -0.002582109625625625997,    0.0008358183862800032174,
             -0.00017763376757459076370,  0.0000027391717497394746826, 0.00001511336834460010522,
             -0.000005396017761874812239, 8.9633008837953591205e-8,    5.664230848174678704e-7,
             -1.4997660261944507656e-7,   -3.5928189023851215115e-8,   2.5864369258515969702e-8,
             8.2283322659798848725e-10,   -3.5874741960184767150e-9,   7.58569140959763415e-13,
             3.9672283892514181802e-10,   5.8907582383929927195e-11}};
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
template <class T>
KERNELGRAD_INLINE Vec<T> minus_absolute(Vec<T> x) {
  return from_bits<T>(to_bits<T>(x) | to_bits<T>(sign_bit<T>()));
}
// |magnitude| must have a clear sign bit.
template <class T>
KERNELGRAD_INLINE Vec<T> with_sign_of(Vec<T> magnitude, Vec<T> sign) {
  return from_bits<T>(to_bits<T>(magnitude) | (to_bits<T>(sign) & to_bits<T>(sign_bit<T>())));
}

// Those of p(step x) factor.
template <class T, int N>
KERNELGRAD_INLINE constexpr Terms<T, N> scaled(Terms<T, N> terms, T factor, T step = T(1)) {
  for (T& term : terms.at) {
    term *= factor;
    factor *= step;
  }
  return terms;
}

// terms.at[0] + terms.at[1] x + ... by Horner's rule.
template <class T, int N>
KERNELGRAD_INLINE Vec<T> polynomial(Vec<T> x, Terms<T, N> terms) {
  Vec<T> sum = broadcast(terms.at[N - 1]);
  KERNELGRAD_UNROLL(32)
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, broadcast(terms.at[i]));
  return sum;
}
// The same as two chains in `square`, x^2, of the even and the odd powers: half as long a wait.
template <class T, int N>
KERNELGRAD_INLINE Vec<T> polynomial(Vec<T> x, Vec<T> square, Terms<T, N> terms) {
  constexpr int kHigh = N - 1, kNext = N - 2;
  Vec<T> high = broadcast(terms.at[kHigh]), next = broadcast(terms.at[kNext]);
  KERNELGRAD_UNROLL(32)
  for (int i = kHigh - 2; i >= 0; i -= 2) high = fma(high, square, broadcast(terms.at[i]));
  KERNELGRAD_UNROLL(32)
  for (int i = kNext - 2; i >= 0; i -= 2) next = fma(next, square, broadcast(terms.at[i]));
  return N % 2 == 0 ? fma(high, x, next) : fma(next, x, high);
}

// For exp(step x), step a power of two or minus that: step x = n ln2 + step r with |step r| <= ln2 / 2; the
// low bits of `power` hold n + lift_exponent.
template <class T>
struct ExpArgument {
  Bits<T> power;
  Vec<T> r;
};
template <class T>
KERNELGRAD_INLINE ExpArgument<T> reduce_exp_argument(Vec<T> x, T lift_exponent, T step = T(1)) {
  using C = MathConstants<T>;
  const T magic = C::round_magic + lift_exponent;
  const Vec<T> shifted = fma(x, broadcast(step * C::log2_e), broadcast(magic)), n = shifted - magic;
  const Vec<T> high = fma(n, broadcast(-C::ln2_hi / step), x);
  return {to_bits<T>(shifted), fma(n, broadcast(-C::ln2_lo / step), high)};
}

// exp(step r) and exp(r) - 1 for a reduced argument. No square of it: that may be subnormal, and twice the
// time.
template <class T>
KERNELGRAD_INLINE Vec<T> exp_reduced(Vec<T> r, T step = T(1)) {
  const auto terms = scaled(MathConstants<T>::exp_terms(), step * step, step);
  return fma(r, fma(r, polynomial<T>(r, terms), broadcast(step)), broadcast(T(1)));
}
template <class T>
KERNELGRAD_INLINE Vec<T> expm1_reduced(Vec<T> r) {
  return fma(r * polynomial<T>(r, MathConstants<T>::exp_terms()), r, r);
}

// 2^n for the integer that the low bits of `power` hold; the result must be a normal number.
template <class T>
KERNELGRAD_INLINE Vec<T> power_of_two(Bits<T> power) {
  using C = MathConstants<T>;
  return from_bits<T>((power << C::mantissa_bits) + C::one);
}

template <class T>
KERNELGRAD_INLINE Vec<T> exp(Vec<T> x) {
  using C = MathConstants<T>;
  x = greater<T>(broadcast(C::exp_low), lesser<T>(broadcast(C::exp_high), x));
  const ExpArgument<T> a = reduce_exp_argument<T>(x, T(0));
  // 2^n by two factors, so that results may be subnormal or infinite.
  const Bits<T> half = a.power >> 1;
  return exp_reduced<T>(a.r) * power_of_two<T>(half) * power_of_two<T>(a.power - half);
}

// exp for exp_low <= x <= sigmoid_one or NaN.
template <class T>
KERNELGRAD_INLINE Vec<T> exp_within(Vec<T> x) {
  using C = MathConstants<T>;
  const ExpArgument<T> a = reduce_exp_argument<T>(x, C::lift_exponent);
  return exp_reduced<T>(a.r) * power_of_two<T>(a.power) * (1 / C::lift);
}

// exp for x <= 0 or NaN where results below exp(flush) are to be 0; flush >= exp_flush, whose
// exponential is the smallest normal number. It never makes a subnormal, on which some processors
// stall: softmax's exponential. log2(e) is a single number here, so its relative error is
// eps (1 + |x| / 8) at most with FMA and eps (1 + 0.625 |x|) without; whoever subtracted a maximum
// has an error of that kind already.
template <class T>
KERNELGRAD_INLINE Vec<T> exp_nonpositive(Vec<T> x, Vec<T> flush) {
  using C = MathConstants<T>;
  // 2^(n + f), |f| <= 1/2. Where x < flush all of this is void, and dropped at the end.
  const Vec<T> shifted = fma(x, broadcast(C::log2_e), broadcast(C::round_magic));
  const Vec<T> f = fma(x, broadcast(C::log2_e), C::round_magic - shifted);
  const Vec<T> power = fma(f, polynomial(f, C::exp2_terms()), broadcast(T(1)));
  return zero_where<T>(x < flush, power * power_of_two<T>(to_bits<T>(shifted)));
}
template <class T>
KERNELGRAD_INLINE Vec<T> exp_nonpositive(Vec<T> x) {
  return exp_nonpositive<T>(x, broadcast(MathConstants<T>::exp_flush));
}

// exp(x) - 1 for |x| <= 2 * tanh_one.
template <class T>
KERNELGRAD_INLINE Vec<T> expm1_bounded(Vec<T> x) {
  const ExpArgument<T> a = reduce_exp_argument<T>(x, T(0));
  const Vec<T> scale = power_of_two<T>(a.power);
  return fma(scale, expm1_reduced<T>(a.r), scale - T(1));
}
// exp(x) - 1; beyond that bound it gives the value there.
template <class T>
KERNELGRAD_INLINE Vec<T> expm1(Vec<T> x) {
  const Vec<T> bound = broadcast(2 * MathConstants<T>::tanh_one);
  return expm1_bounded<T>(greater<T>(-bound, lesser<T>(bound, x)));
}

// log of a normal, positive x whose exponent is counted from `origin`.
template <class T>
KERNELGRAD_INLINE Vec<T> log_normal(Vec<T> x, Vec<T> origin) {
  using C = MathConstants<T>;
  // x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1.
  const Bits<T> biased = to_bits<T>(x) + (C::one - C::sqrt_half);
  const Bits<T> k_bits = (biased >> C::mantissa_bits) | to_bits<T>(broadcast(C::integer_magic));
  const Vec<T> k = from_bits<T>(k_bits) - origin;
  const Bits<T> mantissa = biased & (to_bits<T>(broadcast(C::smallest_normal)) - 1);
  const Vec<T> f = from_bits<T>(mantissa + C::sqrt_half) - T(1);
  const Vec<T> half_square = T(0.5) * f * f;
  const Vec<T> s = f / (T(2) + f);
  const Vec<T> z = s * s;
  const Vec<T> series = fma(z, polynomial<T>(z, C::log_terms()), half_square);
  const Vec<T> low = fma(s, series, fma(k, broadcast(C::ln2_lo), -half_square));
  return fma(k, broadcast(C::ln2_hi), f + low);
}

template <class T>
KERNELGRAD_INLINE Vec<T> log(Vec<T> x) {
  using C = MathConstants<T>;
  constexpr T lift = T(std::int64_t{1} << (C::mantissa_bits + 1));  // makes a subnormal normal
  const Mask<T> subnormal = x < C::smallest_normal;
  const Vec<T> normal = select<T>(subnormal, x * lift, x);
  constexpr T origin = C::integer_magic + T(C::exponent_bias);
  const Vec<T> lifted =
      select<T>(subnormal, broadcast(origin + T(C::mantissa_bits + 1)), broadcast(origin));
  Vec<T> y = log_normal<T>(normal, lifted);
  y = select<T>(x < C::infinity, y, x);  // infinity and NaN
  y = select<T>(x < T(0), broadcast(C::nan), y);
  return select<T>(x == T(0), broadcast(-C::infinity), y);
}

// log(1 + x) for 0 <= x <= 1 or NaN: with s = x / (2 + x), log((1 + s) / (1 - s)), where 2s = x - x s.
template <class T>
KERNELGRAD_INLINE Vec<T> log1p_unit(Vec<T> x) {
  const Vec<T> s = x / (x + T(2)), z = s * s;
  return fma(s, fma(z, polynomial<T>(z, MathConstants<T>::log1p_terms()), -x), x);
}

template <class T>
KERNELGRAD_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = lesser<T>(broadcast(MathConstants<T>::tanh_one), absolute<T>(x));
  const Vec<T> t = expm1_bounded<T>(a + a);
  return with_sign_of<T>(t / (t + T(2)), x);
}

// sigmoid(x) = one / denominator and 1 - sigmoid(x) = complement / denominator, each without
// cancellation and without overflow: 1, exp(-x) and 1 + exp(-x), divided by `lift`. x is the argument up to
// where sigmoid is 0 or 1.
template <class T>
struct SigmoidParts {
  Vec<T> x, complement, denominator;
  static constexpr T one = 1 / MathConstants<T>::lift;
};
template <class T>
KERNELGRAD_INLINE SigmoidParts<T> sigmoid_parts(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> within = greater<T>(broadcast(C::exp_low), lesser<T>(broadcast(C::sigmoid_one), x));
  const ExpArgument<T> a = reduce_exp_argument<T>(within, -C::lift_exponent, T(-1));
  const Vec<T> power = exp_reduced<T>(a.r, T(-1)), scale = power_of_two<T>(a.power);
  return {within, power * scale, fma(power, scale, broadcast(SigmoidParts<T>::one))};
}

template <class T>
KERNELGRAD_INLINE Vec<T> sigmoid(Vec<T> x) {
  const SigmoidParts<T> parts = sigmoid_parts<T>(x);
  return parts.one / parts.denominator;
}

// a^2 - square, where square is a^2 rounded.
template <class T>
KERNELGRAD_INLINE Vec<T> rounding_of_square(Vec<T> a, Vec<T> square) {
  if constexpr (kHasFma) {
    return fma(a, a, -square);
  } else {
    const Vec<T> high = from_bits<T>(to_bits<T>(a) & (Bits<T>{} + MathConstants<T>::high_half));
    return (high * high - square) + (a - high) * (a + high);
  }
}

// What the normal distribution's cdf and density are made of, a = |x| up to where both are 0:
// cdf(-a) = -minus_mills exponential and exp(-a^2 / 2) = exponential / lift, so that a product of both and a
// factor rounds once where it is subnormal.
template <class T>
struct NormalParts {
  Vec<T> a, minus_mills, exponential;
};
template <class T>
KERNELGRAD_INLINE NormalParts<T> normal_parts(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> a = lesser<T>(broadcast(C::cdf_zero), absolute<T>(x)), square = a * a;
  constexpr T step = T(-0.5);
  const ExpArgument<T> argument = reduce_exp_argument<T>(square, C::lift_exponent, step);
  // exp would magnify the rounding of the square.
  const Vec<T> power = exp_reduced<T>(argument.r + rounding_of_square<T>(a, square), step);
  // Whoever uses it takes care of NaN, which adding to an exponent may lose.
  const Vec<T> exponential = from_bits<T>(to_bits<T>(power) + (argument.power << C::mantissa_bits));
  const Vec<T> t = (a - C::cdf_centre) / (a + C::cdf_centre);
  const Vec<T> series = polynomial<T>(t, t * t, scaled(C::cdf_terms(), -1 / C::lift));
  return {a, series * (T(1) - t), exponential};
}

}  // namespace kernelgrad::KERNELGRAD_LANES
