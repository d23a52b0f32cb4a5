// Counts how often every signal of one generated network changes while frames follow each other without a stall.
// Values are taken once a cycle, settled, before the rising edge; glitches within a cycle are not seen.
// Prints, tab-separated: `run` cycles frames whether-done; `signal` scope module-scope module name bits live toggles,
// live bits being those that ever changed; `high` scope name cycles; `memory` scope words bits.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "Vbench.h"
#include "verilated.h"
#include "verilated_syms.h"

namespace {

constexpr uint64_t SETTLING = 1000;  // cycles from the start in which live bits are looked for besides

struct Signal {
  std::string scope, name;
  const VerilatedScope *module;
  const uint8_t *data;
  size_t bytes, bits;
  std::vector<uint8_t> last, live;
  uint64_t toggles = 0;
};

struct High {  // a control signal whose high cycles count
  std::string scope, name;
  const uint8_t *data;
  uint64_t cycles = 0;
};

using Names = std::set<std::pair<std::string, std::string>>;

// The module that a scope, perhaps a block of code, lies in.
const VerilatedScope *module_of(const VerilatedScopeNameMap &scopes, std::string scope) {
  for (;;) {
    const auto found = scopes.find(scope.c_str());
    if (found != scopes.end() && found->second->type() == VerilatedScope::SCOPE_MODULE) return found->second;
    const size_t dot = scope.rfind('.');
    if (dot == std::string::npos) return nullptr;
    scope.resize(dot);
  }
}

struct Counted {
  std::vector<Signal> signals;
  std::vector<High> highs;
};

// All signals below `root` that are not to be skipped.
Counted find_signals(const VerilatedScopeNameMap &scopes, const std::string &root, const Names &skipped, const Names &watched) {
  Counted found;
  for (const auto &[path, scope] : scopes) {
    const std::string name = path;
    if (name.rfind(root, 0) != 0 || !scope->varsp()) continue;
    const VerilatedScope *const module = module_of(scopes, name);
    for (const auto &entry : *scope->varsp()) {
      const VerilatedVar &var = entry.second;
      const std::pair<std::string, std::string> key{module->defname(), var.name()};
      if (var.isParam()) continue;
      if (key.second == "mem") {
        if (var.udims()) std::printf("memory\t%s\t%d\t%u\n", name.c_str(), var.range(0)->elements(), var.entBits());
        continue;
      }
      const auto *data = static_cast<const uint8_t *>(var.datap());
      if (watched.count(key)) found.highs.push_back({name, key.second, data});
      if (skipped.count(key)) continue;
      size_t bits = var.entBits();
      for (int i = 0; i < var.udims(); ++i) bits *= var.range(i)->elements();
      const size_t bytes = var.totalSize();
      found.signals.push_back({name, key.second, module, data, bytes, bits, std::vector<uint8_t>(bytes), std::vector<uint8_t>(bytes)});
    }
  }
  return found;
}

template <class Word>
uint64_t step(Signal &s, size_t at, bool look) {
  Word now, last;
  std::memcpy(&now, s.data + at, sizeof now);
  std::memcpy(&last, &s.last[at], sizeof last);
  const Word changed = now ^ last;
  if (!changed) return 0;
  std::memcpy(&s.last[at], &now, sizeof now);
  if (look) {
    Word live;
    std::memcpy(&live, &s.live[at], sizeof live);
    live |= changed;
    std::memcpy(&s.live[at], &live, sizeof live);
  }
  return __builtin_popcountll(changed);
}

// Bits that changed since the last call.
uint64_t changes(Signal &s, bool look) {
  switch (s.bytes) {
    case 1: return step<uint8_t>(s, 0, look);
    case 2: return step<uint16_t>(s, 0, look);
  }
  uint64_t n = 0;
  size_t at = 0;
  for (; at + 8 <= s.bytes; at += 8) n += step<uint64_t>(s, at, look);
  for (; at + 4 <= s.bytes; at += 4) n += step<uint32_t>(s, at, look);
  for (; at < s.bytes; ++at) n += step<uint8_t>(s, at, look);
  return n;
}

uint64_t ones(const std::vector<uint8_t> &bytes) {
  uint64_t n = 0;
  for (uint8_t b : bytes) n += __builtin_popcount(b);
  return n;
}

void set_keep(uint8_t *keep, size_t bytes, size_t used) {
  for (size_t i = 0; i < bytes; i += 8) {
    const size_t n = used > i ? (used - i < 8 ? used - i : 8) : 0;
    keep[i / 8] = static_cast<uint8_t>((1u << n) - 1);
  }
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 12) {
    std::fprintf(stderr, "usage: %s IN SKIPPED WATCHED S_BYTES S_BEATS S_TAIL M_BEATS WARM FRAMES MOST_CYCLES LIMIT\n", argv[0]);
    return 2;
  }
  uint64_t number[12] = {};
  for (int i = 4; i < 12; ++i) number[i] = std::strtoull(argv[i], nullptr, 10);
  const uint64_t s_bytes = number[4], s_beats = number[5], s_tail = number[6], m_beats = number[7];
  const uint64_t warm = number[8], frames = number[9], most = number[10], limit = number[11];
  std::ifstream file(argv[1], std::ios::binary);
  const std::vector<uint8_t> in{std::istreambuf_iterator<char>(file), {}};
  const auto names = [](const char *path) {
    Names read;
    std::ifstream lines(path);
    for (std::string module, name; lines >> module >> name;) read.emplace(module, name);
    return read;
  };

  VerilatedContext context;
  context.randReset(2);
  context.randSeed(1);
  Vbench top{&context};
  auto *const tdata = reinterpret_cast<uint8_t *>(&top.u0_s_tdata);
  auto *const tkeep = reinterpret_cast<uint8_t *>(&top.u0_s_tkeep);
  top.aresetn = 0;
  top.aclk = 0;
  top.u0_s_tvalid = 0;
  top.u0_m_tready = 0;
  top.eval();
  Counted counted = find_signals(*context.scopeNameMap(), "TOP.bench.u0.", names(argv[2]), names(argv[3]));
  for (Signal &s : counted.signals) std::memcpy(s.last.data(), s.data, s.bytes);

  uint64_t sent = 0, received = 0, cycles = 0;
  bool counting = false, done = false;
  const uint64_t all = in.size() / s_bytes;
  for (uint64_t cycle = 0; !done && cycle < limit; ++cycle) {
    top.aclk = 0;
    if (cycle == 4) top.aresetn = 1;
    if (cycle > 4) {
      const bool last = (sent + 1) % s_beats == 0;
      top.u0_s_tvalid = 1;
      top.u0_m_tready = 1;
      std::memcpy(tdata, &in[sent % all * s_bytes], s_bytes);
      set_keep(tkeep, s_bytes, last ? s_tail : s_bytes);
      top.u0_s_tlast = last;
    }
    top.eval();
    if (counting || cycle < SETTLING) {
      for (Signal &s : counted.signals) {
        const uint64_t n = changes(s, true);
        if (counting) s.toggles += n;
      }
    }
    if (counting) {
      ++cycles;
      for (High &h : counted.highs) h.cycles += *h.data & 1;
    }
    if (cycle > 4 && top.u0_s_tready) ++sent;
    if (cycle > 4 && top.u0_m_tvalid && ++received % m_beats == 0) {
      if (received == warm * m_beats) {
        counting = true;
        for (Signal &s : counted.signals) std::memcpy(s.last.data(), s.data, s.bytes);
      }
      done = received == (warm + frames) * m_beats;
    }
    done = done || cycles == most;
    if (cycle % 4096 == 0) std::fprintf(stderr, "cycles %llu\n", static_cast<unsigned long long>(cycle));
    top.aclk = 1;
    top.eval();
  }
  const uint64_t whole = received / m_beats;
  std::printf("run\t%llu\t%llu\t%d\n", static_cast<unsigned long long>(cycles), static_cast<unsigned long long>(whole > warm ? whole - warm : 0), done);
  for (const Signal &s : counted.signals)
    std::printf("signal\t%s\t%s\t%s\t%s\t%zu\t%llu\t%llu\n", s.scope.c_str(), s.module->name(), s.module->defname(), s.name.c_str(), s.bits,
                static_cast<unsigned long long>(ones(s.live)), static_cast<unsigned long long>(s.toggles));
  for (const High &h : counted.highs) std::printf("high\t%s\t%s\t%llu\n", h.scope.c_str(), h.name.c_str(), static_cast<unsigned long long>(h.cycles));
  top.final();
  return 0;
}
