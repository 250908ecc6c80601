// Batch, group, layer and root-mean-square normalisation. A group's mean and variance are joined from
// those of pieces that are read twice while a cache holds them, after Chan, Golub and LeVeque (The
// American Statistician 37, 1983); then the group is visited again (normalization_groups.h).
#include <cmath>

#include "cpu/kernel_table.h"
#include "cpu/normalization_groups.h"

namespace kernelgrad::cpu {
namespace {

// Of a piece of a group: its mean and the sum of squared deviations from it.
struct Moments {
  double mean, squares;
};

template <class T>
struct Operands {
  const T *x, *weight, *bias;
  T *mean, *var, *out;
};

// sums[i] = the fold of the i-th group's elements in a piece, whose deviations are from centre[i].
template <class T>
void fold_piece(Fold fold, const NormalizationGroups& groups, const NormalizationPiece& piece,
                const T* x, const T* centre, T* sums) {
  const auto& functions = kernel_table().reduction.of<T>();
  const int index = static_cast<int>(fold);
  if (groups.form == NormalizationGroups::Form::columns) {
    functions.columns[index](piece.n, piece.groups, groups.channels, x, centre, sums);
  } else {
    functions.rows[index](piece.groups, piece.n, piece.n, x, centre, 1, sums);
  }
}

template <class T>
void measure(const NormalizationGroups& groups, const NormalizationPiece& piece, const T* x,
             bool centred, Moments* moments) {
  T sums[kPieceLines] = {}, centre[kPieceLines];
  if (centred) fold_piece<T>(Fold::sum, groups, piece, x, nullptr, sums);
  const auto n = static_cast<double>(piece.n);
  for (std::int64_t i = 0; i < piece.groups; ++i) {
    moments[i].mean = sums[i] / n;
    centre[i] = static_cast<T>(moments[i].mean);
  }
  fold_piece<T>(Fold::centred_squares, groups, piece, x, centre, sums);
  for (std::int64_t i = 0; i < piece.groups; ++i) {
    const double beside = moments[i].mean - centre[i];
    moments[i].squares = std::max(sums[i] - n * beside * beside, 0.0);  // in this order: NaN stays
  }
}

// Mean and variance of the groups of a block from the moments of its pieces.
template <class T>
void join(const NormalizationGroups& groups, std::int64_t block, const Moments* moments, T* mean,
          T* var) {
  double means[kPieceLines] = {}, squares[kPieceLines] = {}, n = 0;
  const std::int64_t first = block * groups.block;
  const std::int64_t count = std::min(groups.block, groups.count - first);
  for (std::int64_t i = 0; i < groups.pieces(); ++i, moments += groups.block) {
    const auto more = static_cast<double>(groups.piece(block, i).n);
    const double share = more / (n + more), weight = n * share;
    for (std::int64_t k = 0; k < count; ++k) {
      const double apart = moments[k].mean - means[k];
      squares[k] += moments[k].squares + apart * apart * weight;
      means[k] += apart * share;
    }
    n += more;
  }
  for (std::int64_t k = 0; k < count; ++k) {
    if (mean != nullptr) mean[first + k] = static_cast<T>(n > 0 ? means[k] : std::nan(""));
    var[first + k] = static_cast<T>(squares[k] / n);
  }
}

template <class T>
void write(const NormalizationGroups& groups, const NormalizationPiece& piece,
           const Operands<T>& operands, const double* factors, bool streamed) {
  const auto& functions = kernel_table().normalization.of<T>();
  const T* const x = operands.x + piece.at;
  T* const out = operands.out + piece.at;
  const bool rows = groups.form == NormalizationGroups::Form::rows;
  T mean[kPieceLines], scale[kPieceLines], shift[kPieceLines];
  for_each_line(groups, piece, [&](std::int64_t i, std::int64_t group, std::int64_t channel) {
    const bool weighted = operands.weight != nullptr && !rows;
    mean[i] = operands.mean != nullptr ? operands.mean[group] : T(0);
    scale[i] =
        static_cast<T>(weighted ? factors[group] * operands.weight[channel] : factors[group]);
    shift[i] = operands.bias != nullptr && !rows ? operands.bias[channel] : T(0);
  });
  if (rows) {
    for_each_row_run(
        groups, piece,
        [&](std::int64_t i, std::int64_t count, std::int64_t step, std::int64_t channel) {
          const auto from = [&](const T* p) { return p != nullptr ? p + channel : p; };
          const std::int64_t at = i * groups.length;
          functions.rows(count, piece.line_n, step * groups.length, step, x + at, mean + i,
                         scale + i, from(operands.weight), from(operands.bias), streamed, out + at);
        });
    return;
  }
  if (groups.form == NormalizationGroups::Form::columns) {
    functions.columns(piece.n, piece.groups, groups.channels, x, mean, scale, shift, out);
  } else {
    functions.lines(piece.lines, piece.line_n, x, mean, scale, shift, streamed, out);
  }
}

template <class T>
void run(const NormalizationGroups& groups, const Operands<T>& operands,
         const NormalizationOptions& options, double* factors, Moments* moments) {
  const bool streamed = is_streamed<T>(groups, 2);
  visit_twice(
      groups, options.given ? 0 : groups.elements() * static_cast<std::int64_t>(sizeof(T)),
      [&](std::int64_t block, std::int64_t i) {
        const NormalizationPiece piece = groups.piece(block, i);
        measure<T>(groups, piece, operands.x + piece.at, options.centred,
                   moments + (block * groups.pieces() + i) * groups.block);
      },
      [&](std::int64_t block) {
        if (!options.given) {
          join<T>(groups, block, moments + block * groups.pieces() * groups.block, operands.mean,
                  operands.var);
        }
        const std::int64_t end = std::min((block + 1) * groups.block, groups.count);
        for (std::int64_t group = block * groups.block; group < end; ++group) {
          factors[group] = 1 / std::sqrt(operands.var[group] + options.eps);
        }
      },
      [&](std::int64_t block, std::int64_t i) {
        write<T>(groups, groups.piece(block, i), operands, factors, streamed);
      });
}

std::size_t workspace_bytes(const NormalizationGroups& groups) {
  return static_cast<std::size_t>(groups.count) * sizeof(double) +
         static_cast<std::size_t>(groups.blocks() * groups.pieces() * groups.block) *
             sizeof(Moments);
}

}  // namespace

std::size_t normalize_workspace_bytes(const TensorView& x, const NormalizationOptions& options) {
  return std::max(workspace_bytes({x, options, false}), workspace_bytes({x, options, true}));
}

void normalize(const TensorView& x, const TensorView* weight, const TensorView* bias,
               const NormalizationOptions& options, const TensorView* mean, const TensorView& var,
               const TensorView& out, Workspace& workspace) {
  const NormalizationGroups groups(x, options, weight != nullptr || bias != nullptr);
  with_type(x.dtype, [&]<class T>(T) {
    double* const factors = reinterpret_cast<double*>(workspace.ptr);
    run<T>(groups,
           {x.data<T>(), data_or_null<T>(weight), data_or_null<T>(bias), data_or_null<T>(mean),
            var.data<T>(), out.data<T>()},
           options, factors, reinterpret_cast<Moments*>(factors + groups.count));
  });
}

}  // namespace kernelgrad::cpu
