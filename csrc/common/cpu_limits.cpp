#include "common/cpu_limits.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace kernelgrad {
namespace {

int affinity_cpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

// CPUs that "quota period" grants; 0 where there is no limit.
int quota_cpus(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>(quota / period)) : 0;
}

int read_cgroup_v2(const std::string& directory) {
  std::ifstream file(directory + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return 0;
  return quota_cpus(std::atof(quota.c_str()), period);
}

int read_cgroup_v1(const std::string& directory) {
  std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
  std::ifstream period_file(directory + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  return quota_file >> quota && period_file >> period ? quota_cpus(quota, period) : 0;
}

// The tightest quota on the way from this process's cgroup to the root; 0 where there is none.
int cgroup_cpus() {
  int limit = 0;
  const auto tighten = [&](int cpus) {
    if (cpus > 0 && (limit == 0 || cpus < limit)) limit = cpus;
  };
  std::ifstream cgroups("/proc/self/cgroup");
  for (std::string line; std::getline(cgroups, line);) {
    std::istringstream fields(line);
    std::string hierarchy, controllers, path;
    std::getline(fields, hierarchy, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    for (;;) {
      tighten(v2 ? read_cgroup_v2(root + path) : read_cgroup_v1(root + path));
      const std::size_t slash = path.rfind('/');
      if (path.empty() || slash == std::string::npos) break;
      path.resize(slash);
    }
  }
  return limit;
}

// A positive integer at the start of `text` followed by its end (or by `separator`); 0 otherwise.
int positive(const char* text, char separator) {
  if (text == nullptr) return 0;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || (*end != '\0' && *end != separator) || value < 1) return 0;
  return static_cast<int>(std::min<long>(value, kMaxThreads));
}

}  // namespace

int default_num_threads() {
  if (const char* text = std::getenv("KERNELGRAD_NUM_THREADS"); text != nullptr && *text != '\0') {
    const int count = positive(text, '\0');
    if (count == 0) {
      throw std::invalid_argument("KERNELGRAD_NUM_THREADS: '" + std::string(text) +
                                  "' is not a number of threads; need an integer of at least 1.");
    }
    return count;
  }
  if (const int count = positive(std::getenv("OMP_NUM_THREADS"), ','); count > 0) return count;
  const int cpus = std::clamp(affinity_cpus(), 1, kMaxThreads);
  const int quota = cgroup_cpus();
  return quota > 0 ? std::min(cpus, quota) : cpus;
}

}  // namespace kernelgrad
