// A request is what the lanes of a warp ask for at one instruction: here the n-th access of each lane at
// one place in the code since the last barrier. Global memory is moved in sectors of 32 bytes; ideal are
// as many as the bytes asked for fill. Shared memory has 32 banks of 4 bytes; accesses of 8 bytes take
// half a warp at a time, of 16 bytes a quarter; each such part takes as many wavefronts as its busiest
// bank has different words, at best as many as its words fill banks.
#include "traffic.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

namespace emulator {
namespace {

constexpr unsigned kLanes = 32, kBanks = 32, kMaxThreads = 1024;
constexpr std::uintptr_t kSector = 32, kWord = 4;

using Request = std::array<std::uintptr_t, kLanes>;  // addresses; 0: the lane takes no part

// A place in the code and its requests since the last barrier.
struct Site {
  Traffic total;
  std::array<unsigned, kMaxThreads> accesses{};
  std::map<std::pair<unsigned, unsigned>, Request> requests;  // by warp and number
};

bool counting = false;
std::string kernel_name;
std::map<std::tuple<std::string, const void*, bool>, Site> sites;

std::uint64_t rounded_up(std::uint64_t count, std::uint64_t multiple) {
  return (count + multiple - 1) / multiple;
}

void add_global(const Request& request, Traffic& total) {
  std::set<std::uintptr_t> sectors, words;
  for (std::uintptr_t address : request) {
    if (address == 0) continue;
    for (std::uintptr_t at = address; at < address + total.bytes; at += kWord) {
      words.insert(at / kWord);
      sectors.insert(at / kSector);
    }
  }
  total.transfers += sectors.size();
  total.ideal += rounded_up(words.size() * kWord, kSector);
}

void add_shared(const Request& request, Traffic& total) {
  const unsigned lanes = kLanes / std::clamp<unsigned>(unsigned(total.bytes / kWord), 1, 4);
  for (unsigned first = 0; first < kLanes; first += lanes) {
    std::set<std::uintptr_t> words;
    for (unsigned lane = first; lane < first + lanes; ++lane) {
      if (request[lane] == 0) continue;
      for (std::uintptr_t at = 0; at < total.bytes; at += kWord) {
        words.insert((request[lane] + at) / kWord);
      }
    }
    std::array<std::uint64_t, kBanks> of_bank{};
    for (std::uintptr_t word : words) ++of_bank[word % kBanks];
    total.transfers += *std::max_element(of_bank.begin(), of_bank.end());
    total.ideal += rounded_up(words.size(), kBanks);
  }
}

}  // namespace

void count_traffic(bool on) {
  sites.clear();
  counting = on;
}

std::vector<Traffic> counted_traffic() {
  traffic_ordered();
  std::vector<Traffic> found;
  for (const auto& [key, site] : sites) found.push_back(site.total);
  return found;
}

void traffic_grid_begins(const char* kernel) {
  traffic_ordered();
  kernel_name = kernel;
}

void traffic_ordered() {
  for (auto& [key, site] : sites) {
    for (const auto& [number, request] : site.requests) {
      ++site.total.requests;
      site.total.shared ? add_shared(request, site.total) : add_global(request, site.total);
    }
    site.requests.clear();
    site.accesses.fill(0);
  }
}

void traffic_access(const void* address, std::size_t bytes, bool write, bool shared,
                    unsigned thread, const void* code) {
  if (!counting) return;
  const auto [entry, fresh] = sites.try_emplace({kernel_name, code, shared});
  Site& site = entry->second;
  if (fresh) {
    Dl_info module{};
    dladdr(code, &module);
    const auto offset =
        reinterpret_cast<std::uintptr_t>(code) - reinterpret_cast<std::uintptr_t>(module.dli_fbase);
    site.total = {kernel_name, offset, shared, write, bytes};
  }
  const unsigned number = site.accesses[thread]++;
  site.requests[{thread / kLanes, number}][thread % kLanes] =
      reinterpret_cast<std::uintptr_t>(address);
}

}  // namespace emulator
