// A CPU without AMX raises #UD at its instructions, which Linux delivers as SIGILL. The handler decodes
// the instruction, checks what Intel's instruction set reference has it check, performs it in software
// and goes on after it. So the machine code of the kernels runs: the order of its operands, its strides,
// its configuration of the tiles.
#include "trapped_tiles.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "tile_unit.h"

namespace kernelgrad::test {
namespace {

using kernelgrad_emulated::TileUnit;

thread_local TileUnit unit;  // each thread has a tile unit of its own, as each thread has registers
std::atomic<long> performed{0};

// The instruction faults: #UD or #GP, and why.
[[noreturn]] void fault(const char* why) {
  (void)!write(STDERR_FILENO, why, strlen(why));
  (void)!write(STDERR_FILENO, "\n", 1);
  _exit(kTileFault);
}

void require(bool condition, const char* why) {
  if (!condition) fault(why);
}

std::int64_t general_register(const ucontext_t& context, int number) {
  constexpr int kPlace[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
  return context.uc_mcontext.gregs[kPlace[number]];
}

// The fields of a VEX instruction of map 0F38, as AMX's are encoded.
struct Instruction {
  std::uint8_t opcode;
  int prefix;         // pp: 0 none, 1 66, 2 F3, 3 F2
  int reg, rm, vvvv;  // numbers of registers, extended by VEX
  bool memory, has_sib;
  std::int64_t base;   // what the address is made of
  std::int64_t index;  // 0 without an index register
  int length;
};

// False if it is not such an instruction.
bool decode(const ucontext_t& context, Instruction& i) {
  const auto* const code =
      reinterpret_cast<const std::uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  if (code[0] != 0xC4 || (code[1] & 0x1F) != 2) return false;  // three bytes of VEX, map 0F38
  const bool w = code[2] >> 7 & 1, l = code[2] >> 2 & 1;
  if (w || l) return false;
  const int r = (~code[1] >> 7 & 1) * 8, x = (~code[1] >> 6 & 1) * 8, b = (~code[1] >> 5 & 1) * 8;
  i.prefix = code[2] & 3, i.vvvv = ~code[2] >> 3 & 15;
  i.opcode = code[3];
  const int mod = code[4] >> 6, low = code[4] & 7;
  i.reg = (code[4] >> 3 & 7) + r, i.rm = low + b;
  i.memory = mod != 3, i.has_sib = i.memory && low == 4;
  i.base = 0, i.index = 0, i.length = 5;
  if (!i.memory) return true;
  bool has_base = true;
  int base = i.rm;
  if (i.has_sib) {
    const std::uint8_t sib = code[i.length++];
    base = (sib & 7) + b;
    has_base = !(mod == 0 && (sib & 7) == 5);
    const int index = (sib >> 3 & 7) + x;
    if (index != 4) i.index = general_register(context, index) << (sib >> 6);
  }
  const bool of_rip = mod == 0 && low == 5;
  std::int64_t offset = 0;
  if (mod == 1) {
    offset = static_cast<std::int8_t>(code[i.length]), i.length += 1;
  } else if (mod == 2 || of_rip || !has_base) {
    std::int32_t wide;
    memcpy(&wide, code + i.length, sizeof wide);
    offset = wide, i.length += 4;
  }
  if (of_rip) {
    i.base = context.uc_mcontext.gregs[REG_RIP] + i.length + offset;
  } else {
    i.base = (has_base ? general_register(context, base) : 0) + offset;
  }
  return true;
}

void check_tile(int tile) {
  require(unit.configured, "#UD: tiles are not configured");
  require(tile < kernelgrad_emulated::kTiles, "#UD: there is no such tile");
  require(unit.rows[tile] != 0 && unit.row_bytes[tile] != 0, "#UD: the tile has no extent");
}

void configure(const std::uint8_t* memory) {
  unit = {};
  const std::uint8_t palette = memory[0];
  require(palette <= 1, "#GP: there is no such palette");
  if (palette == 0) return;
  for (int byte = 1; byte < 16; ++byte) require(memory[byte] == 0, "#GP: reserved bytes are set");
  for (int tile = 0; tile < 16; ++tile) {
    std::uint16_t row_bytes;
    memcpy(&row_bytes, memory + 16 + 2 * tile, sizeof row_bytes);
    const std::uint8_t rows = memory[48 + tile];
    if (tile >= kernelgrad_emulated::kTiles) {
      require(row_bytes == 0 && rows == 0, "#GP: there is no such tile to configure");
      continue;
    }
    require(row_bytes <= kernelgrad_emulated::kTileRowBytes, "#GP: a row is too long");
    require(rows <= kernelgrad_emulated::kTileRows, "#GP: there are too many rows");
    require((row_bytes == 0) == (rows == 0), "#GP: rows without bytes, or bytes without rows");
    unit.row_bytes[tile] = row_bytes, unit.rows[tile] = rows;
  }
  unit.configured = true;
}

void store_configuration(std::uint8_t* memory) {
  memset(memory, 0, 64);
  if (!unit.configured) return;
  memory[0] = 1;
  memcpy(memory + 16, unit.row_bytes, sizeof unit.row_bytes);
  memcpy(memory + 48, unit.rows, sizeof unit.rows);
}

void check_dot(int c, int a, int b) {
  for (int tile : {c, a, b}) check_tile(tile);
  require(c != a && c != b && a != b, "#UD: operands are the same tile");
  require(unit.row_bytes[c] % 4 == 0 && unit.row_bytes[a] % 4 == 0 && unit.row_bytes[b] % 4 == 0,
          "#UD: rows are not of whole pairs");
  require(unit.rows[a] == unit.rows[c], "#UD: rows of A and C differ");
  require(unit.row_bytes[b] == unit.row_bytes[c], "#UD: columns of B and C differ");
  require(unit.row_bytes[a] / 4 == unit.rows[b], "#UD: columns of A are not the rows of B");
}

// False if it is not one of AMX.
bool perform(const Instruction& i) {
  auto* const memory = reinterpret_cast<std::uint8_t*>(i.base);
  const bool no_vvvv = i.vvvv == 0;
  if (i.opcode == 0x49 && i.memory && i.reg == 0 && no_vvvv && i.prefix <= 1) {
    i.prefix == 0 ? configure(memory + i.index) : store_configuration(memory + i.index);
    return true;
  }
  if (i.opcode == 0x49 && !i.memory && no_vvvv && i.prefix == 0 && i.reg == 0 && i.rm == 0) {
    unit = {};  // TILERELEASE
    return true;
  }
  if (i.opcode == 0x49 && !i.memory && no_vvvv && i.prefix == 3 && i.rm == 0) {
    check_tile(i.reg);
    zero_tile(unit, i.reg);
    return true;
  }
  if (i.opcode == 0x4B && i.has_sib && no_vvvv && i.prefix != 0) {
    check_tile(i.reg);
    if (i.prefix == 2) {
      store_tile(unit, i.reg, memory, i.index);
    } else {
      load_tile(unit, i.reg, memory, i.index);  // TILELOADD, TILELOADDT1
    }
    return true;
  }
  if (i.opcode == 0x5C && !i.memory && i.prefix == 2) {
    check_dot(i.reg, i.rm, i.vvvv);
    dot_tiles(unit, i.reg, i.rm, i.vvvv);
    return true;
  }
  return false;
}

void on_illegal_instruction(int, siginfo_t*, void* raw) {
  ucontext_t& context = *static_cast<ucontext_t*>(raw);
  Instruction instruction{};
  if (!decode(context, instruction) || !perform(instruction)) {
    fault("#UD: an instruction that is not of AMX");
  }
  context.uc_mcontext.gregs[REG_RIP] += instruction.length;
  performed.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void trap_tile_instructions() {
  struct sigaction action{};
  action.sa_sigaction = on_illegal_instruction;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, nullptr);
}

long trapped_tile_instructions() { return performed; }

}  // namespace kernelgrad::test
