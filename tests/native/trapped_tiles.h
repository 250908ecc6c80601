// AMX's instructions on a CPU that has none: see trapped_tiles.cpp.
#pragma once

namespace kernelgrad::test {

// From now on a tile instruction that the CPU refuses is performed in software, on every thread.
void trap_tile_instructions();

// Instructions performed so far.
long trapped_tile_instructions();

// Exit status of a process whose instruction the reference says must fault (with the reason on stderr).
constexpr int kTileFault = 99;

}  // namespace kernelgrad::test
