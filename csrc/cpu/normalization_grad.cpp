// Gradients of normalisation. With g = grad_out * weight and d = x - mean, over a group of n elements,
//   grad_x = (g - mean(g) - d * mean(g * d) / (var + eps)) / sqrt(var + eps),
// without mean(g) where nothing was centred, g / sqrt(var + eps) where mean and var were given. The
// sums of each line wait in the workspace: grad_weight and grad_bias are made of them too.
#include "cpu/normalization_grad_parts.h"
#include "cpu/normalization_grad_rows.h"

namespace kernelgrad::cpu {
namespace {

using namespace normalization;

constexpr std::int64_t kChannels = 64;  // whose sums are added up together

template <class T>
void sum_piece(const NormalizationGroups& groups, const NormalizationPiece& piece,
               const Operands<T>& operands, Sums* sums) {
  const T *const g = operands.g + piece.at, *const x = operands.x + piece.at;
  T mean[kPieceLines], of_g[kPieceLines], products[kPieceLines];
  for_each_line(groups, piece, [&](std::int64_t i, std::int64_t group, std::int64_t) {
    mean[i] = operands.centre(group);
  });
  if (groups.form == NormalizationGroups::Form::columns) {
    functions<T>().sum_columns(piece.n, piece.groups, groups.channels, g, x, mean, of_g, products);
  } else {
    functions<T>().sum_lines(piece.lines, piece.line_n, g, x, mean, of_g, products);
  }
  for (std::int64_t i = 0; i < piece.lines; ++i) {
    sums[(piece.line + i) * groups.parts + piece.part] = {of_g[i], products[i]};
  }
}

template <class T>
void write_piece(const NormalizationGroups& groups, const NormalizationPiece& piece,
                 const Operands<T>& operands, const Factors* factors, bool given, bool streamed) {
  const bool columns = groups.form == NormalizationGroups::Form::columns;
  const T *const g = operands.g + piece.at, *const x = operands.x + piece.at;
  T* const out = operands.grad_x + piece.at;
  T mean[kPieceLines], scale[kPieceLines], slope[kPieceLines], offset[kPieceLines];
  for_each_line(groups, piece, [&](std::int64_t i, std::int64_t group, std::int64_t channel) {
    const Factors& of_group = factors[group];
    mean[i] = operands.centre(group);
    scale[i] = static_cast<T>(of_group.scale * operands.weight_of(channel));
    slope[i] = static_cast<T>(of_group.slope);
    offset[i] = static_cast<T>(of_group.offset);
  });
  if (given) {
    const T zeros[kPieceLines] = {};
    if (columns) {
      kernel_table().normalization.of<T>().columns(piece.n, piece.groups, groups.channels, g, zeros,
                                                   scale, zeros, out);
    } else {
      kernel_table().normalization.of<T>().lines(piece.lines, piece.line_n, g, zeros, scale, zeros,
                                                 streamed, out);
    }
    return;
  }
  if (columns) {
    functions<T>().grad_columns(piece.n, piece.groups, groups.channels, g, x, mean, scale, slope,
                                offset, out);
  } else {
    functions<T>().grad_lines(piece.lines, piece.line_n, g, x, mean, scale, slope, offset, streamed,
                              out);
  }
}

// Of all parts of a line.
Sums sum_of_line(const NormalizationGroups& groups, const Sums* sums, std::int64_t line) {
  Sums total;
  for (std::int64_t part = 0; part < groups.parts; ++part) {
    total.g += sums[line * groups.parts + part].g;
    total.product += sums[line * groups.parts + part].product;
  }
  return total;
}

// Adds to total[k] the lines of group first + k, in a group of several channels times their weights.
template <class T>
void add_lines(const NormalizationGroups& groups, std::int64_t first, std::int64_t count,
               const Sums* sums, const Operands<T>& operands, Sums* total) {
  const bool weighted = groups.groups != 0;
  for (std::int64_t item = 0; item < groups.outer; ++item) {
    std::int64_t line = item * groups.channels + first * groups.group_lines;
    std::int64_t channel = groups.channels > 0 ? line % groups.channels : 0;
    for (std::int64_t k = 0; k < count; ++k) {
      for (std::int64_t i = 0; i < groups.group_lines; ++i, ++line) {
        const Sums more = sum_of_line(groups, sums, line);
        const double weight = weighted ? operands.weight_of(channel + i) : 1;
        total[k].g += weight * more.g;
        total[k].product += weight * more.product;
      }
      channel += groups.group_lines;
      if (channel == groups.channels) channel = 0;
    }
  }
}

template <class T>
void write_channel(const Operands<T>& operands, std::int64_t channel, double of_bias,
                   double of_weight) {
  if (operands.grad_bias != nullptr) operands.grad_bias[channel] = static_cast<T>(of_bias);
  if (operands.grad_weight != nullptr) operands.grad_weight[channel] = static_cast<T>(of_weight);
}

template <class T>
void grad_of_lines(const NormalizationGroups& groups, const Operands<T>& operands,
                   const NormalizationOptions& options, Factors* factors, Sums* sums) {
  const bool weighted = operands.grad_weight != nullptr || operands.grad_bias != nullptr;
  const bool streamed = is_streamed<T>(groups, 3);
  const std::int64_t channels = groups.channels, n = groups.group_elements();
  const bool summed = !options.given || weighted;
  visit_twice(
      groups, summed ? 2 * groups.elements() * static_cast<std::int64_t>(sizeof(T)) : 0,
      [&](std::int64_t block, std::int64_t i) {
        sum_piece<T>(groups, groups.piece(block, i), operands, sums);
      },
      [&](std::int64_t block) {
        const std::int64_t first = block * groups.block;
        const std::int64_t count = std::min(groups.block, groups.count - first);
        Sums total[kPieceLines];
        if (summed) add_lines(groups, first, count, sums, operands, total);
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t group = first + i;
          if (groups.groups == 0) {  // a group is a channel
            const double scale = scale_of(operands.var[group], options);
            write_channel(operands, group, total[i].g, n > 0 ? total[i].product * scale : 0);
            total[i].g *= operands.weight_of(group);
            total[i].product *= operands.weight_of(group);
          }
          factors[group] = Factors(operands.var[group], total[i], n, options);
        }
      },
      [&](std::int64_t block, std::int64_t i) {
        if (operands.grad_x == nullptr) return;
        write_piece<T>(groups, groups.piece(block, i), operands, factors, options.given, streamed);
      });
  if (groups.groups == 0 || !weighted) return;
  for_each_in_tasks(ceil_div(channels, kChannels), groups.items * channels, [&](std::int64_t i) {
    const std::int64_t first = i * kChannels, count = std::min(kChannels, channels - first);
    Sums total[kChannels];
    for (std::int64_t item = 0; item < groups.items && n > 0; ++item) {
      std::int64_t group = item * groups.groups + first / groups.group_lines;
      std::int64_t left = groups.group_lines - first % groups.group_lines;
      for (std::int64_t k = 0; k < count; ++k) {
        const Sums more = sum_of_line(groups, sums, item * channels + first + k);
        total[k].g += more.g;
        total[k].product += more.product * factors[group].scale;
        if (--left == 0) ++group, left = groups.group_lines;
      }
    }
    for (std::int64_t k = 0; k < count; ++k) {
      write_channel(operands, first + k, total[k].g, total[k].product);
    }
  });
}

}  // namespace

std::size_t normalize_grad_workspace_bytes(const TensorView& x,
                                           const NormalizationOptions& options) {
  const auto bytes = [&](const NormalizationGroups& groups) {
    if (groups.form == NormalizationGroups::Form::rows) {
      const std::int64_t channels = x.sizes[1];
      return row_tasks(x.sizes[0], channels) * 2 * channels * item_size(x.dtype);
    }
    constexpr std::int64_t sums = sizeof(Sums), factors = sizeof(Factors);
    return groups.count * factors + groups.lines() * groups.parts * sums;
  };
  return static_cast<std::size_t>(std::max(bytes({x, options, false}), bytes({x, options, true})));
}

void normalize_grad(const TensorView& grad_out, const TensorView& x, const TensorView* mean,
                    const TensorView& var, const TensorView* weight,
                    const NormalizationOptions& options, const TensorView* grad_x,
                    const TensorView* grad_weight, const TensorView* grad_bias,
                    Workspace& workspace) {
  const bool weighted = weight != nullptr || grad_weight != nullptr || grad_bias != nullptr;
  const NormalizationGroups groups(x, options, weighted);
  with_type(x.dtype, [&]<class T>(T) {
    const Operands<T> operands{grad_out.data<T>(),           x.data<T>(),
                               data_or_null<T>(mean),        var.data<T>(),
                               data_or_null<T>(weight),      data_or_null<T>(grad_x),
                               data_or_null<T>(grad_weight), data_or_null<T>(grad_bias)};
    if (groups.form == NormalizationGroups::Form::rows) {
      grad_of_rows<T>(groups, operands, options, reinterpret_cast<T*>(workspace.ptr));
      return;
    }
    Factors* const factors = reinterpret_cast<Factors*>(workspace.ptr);
    grad_of_lines<T>(groups, operands, options, factors,
                     reinterpret_cast<Sums*>(factors + groups.count));
  });
}

}  // namespace kernelgrad::cpu
