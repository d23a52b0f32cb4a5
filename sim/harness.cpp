// Runs generated networks at full speed: frames in from files, beats out to files.
// All networks of the bench run side by side; each has its own stalls, frames and taps.
// Prints one JSON line a network: cycles of its first output beat and of each frame's last.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vbench.h"
#include "Vbench___024root.h"
#include "verilated.h"

namespace {

struct Tap {
  std::string file;
  const uint8_t *data, *valid, *ready;
  size_t bytes, beats;
  FILE *out = nullptr;
  uint64_t seen = 0;
};

struct Queue {
  const uint8_t *s_valid, *s_ready;
  unsigned branch;  // bit of a fork's valid and ready
  const uint8_t *m_valid, *m_ready;
  uint64_t held = 0, most = 0;
};

struct Dut {
  std::string name;
  uint8_t *s_tdata, *s_tkeep, *s_tlast, *s_tvalid;
  const uint8_t *s_tready, *m_tdata, *m_tkeep, *m_tlast, *m_tvalid;
  uint8_t *m_tready;
  const uint8_t *err_frame;
  size_t s_bytes, s_beats, s_tail_bytes, m_bytes, m_beats, m_tail_bytes;
  std::vector<Tap> taps;
  std::vector<Queue> queues;

  std::vector<uint8_t> in;
  std::vector<uint64_t> frame_ends;
  uint64_t frames = 0, sent = 0, received = 0, first_output = 0, first_input = 0;
  FILE *out = nullptr;
  bool offering = false, bad_tlast = false, bad_tkeep = false;
};

template <class T>
uint8_t *raw(T &signal) {
  return reinterpret_cast<uint8_t *>(&signal);
}

template <class T>
const uint8_t *raw(const T &signal) {
  return reinterpret_cast<const uint8_t *>(&signal);
}

std::vector<Dut> bind(Vbench &top) {
  std::vector<Dut> duts;
#include "duts.inc"
  return duts;
}

bool bit(const uint8_t *signal, unsigned n) {
  return signal[n / 8] >> n % 8 & 1;
}

FILE *open_or_die(const std::string &path, const char *mode) {
  FILE *f = std::fopen(path.c_str(), mode);
  if (!f) {
    std::fprintf(stderr, "harness: cannot open %s\n", path.c_str());
    std::exit(2);
  }
  return f;
}

std::vector<uint8_t> read_all(const std::string &path) {
  FILE *f = open_or_die(path, "rb");
  std::vector<uint8_t> bytes;
  uint8_t block[1 << 16];
  while (size_t n = std::fread(block, 1, sizeof block, f)) bytes.insert(bytes.end(), block, block + n);
  std::fclose(f);
  return bytes;
}

// tkeep of a beat with `used` of `bytes` bytes.
void set_keep(uint8_t *keep, size_t bytes, size_t used) {
  for (size_t i = 0; i < bytes; i += 8) {
    const size_t n = used > i ? (used - i < 8 ? used - i : 8) : 0;
    keep[i / 8] = static_cast<uint8_t>((1u << n) - 1);
  }
}

bool keep_is(const uint8_t *keep, size_t bytes, size_t used) {
  std::vector<uint8_t> want((bytes + 7) / 8);
  set_keep(want.data(), bytes, used);
  return std::memcmp(keep, want.data(), want.size()) == 0;
}

struct Random {
  uint64_t state;
  uint32_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<uint32_t>(state >> 32);
  }
};

}  // namespace

int main(int argc, char **argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s FOLDER none|random|source|sink SEED MAX_CYCLES TAPS(0|1) FRAMES\n", argv[0]);
    return 2;
  }
  const std::string folder = argv[1], stalls = argv[2];
  const uint64_t seed = std::strtoull(argv[3], nullptr, 10), max_cycles = std::strtoull(argv[4], nullptr, 10);
  const bool taps = argv[5][0] == '1';
  const uint64_t wanted = std::strtoull(argv[6], nullptr, 10);
  const bool slow_source = stalls == "random" || stalls == "source";
  const bool slow_sink = stalls == "random" || stalls == "sink";

  VerilatedContext context;
  context.randReset(2);
  context.randSeed(static_cast<int>(seed % 0x7ffffffe) + 1);
  Vbench top{&context};
  std::vector<Dut> duts = bind(top);
  for (Dut &d : duts) {
    d.in = read_all(folder + "/" + d.name + ".in");
    d.frames = d.in.size() / (d.s_bytes * d.s_beats);
    if (wanted && wanted < d.frames) d.frames = wanted;
    d.out = open_or_die(folder + "/" + d.name + ".out", "wb");
    if (taps)
      for (Tap &t : d.taps) t.out = open_or_die(folder + "/" + t.file, "wb");
  }

  Random random{seed * 0x9e3779b97f4a7c15u + 0x1234567u};
  // Until every input beat is taken, every output beat given and every tap has seen whole frames: a
  // layer whose last rows nobody needs still owes them.
  uint64_t cycle = 0, done_frames = 0, pending = 0;
  for (const Dut &d : duts) {
    pending += d.frames * (d.s_beats + d.m_beats);
    if (taps)
      for (const Tap &t : d.taps) pending += d.frames * t.beats;
  }
  top.aresetn = 0;
  for (; pending && cycle < max_cycles; ++cycle) {
    top.aclk = 0;
    if (cycle == 4) top.aresetn = 1;
    for (Dut &d : duts) {
      const bool more = cycle > 4 && d.sent < d.frames * d.s_beats;
      if (!d.offering) {  // an offer stands until it is taken
        d.offering = more && (!slow_source || random.next() % 2);
        *d.s_tvalid = d.offering;
        if (d.offering) {
          const bool last = (d.sent + 1) % d.s_beats == 0;
          std::memcpy(d.s_tdata, &d.in[d.sent * d.s_bytes], d.s_bytes);
          set_keep(d.s_tkeep, d.s_bytes, last ? d.s_tail_bytes : d.s_bytes);
          *d.s_tlast = last;
        }
      }
      *d.m_tready = cycle > 4 && (!slow_sink || random.next() % 4 == 0);
    }
    top.eval();
    for (Dut &d : duts) {
      if (d.offering && *d.s_tready) {
        if (d.sent++ == 0) d.first_input = cycle;
        --pending;
        d.offering = false;
      }
      if (*d.m_tvalid && *d.m_tready) {
        if (d.received == 0) d.first_output = cycle;
        if (++d.received > d.frames * d.m_beats) {
          std::fprintf(stderr, "harness: %s gave more beats than its frames have\n", d.name.c_str());
          return 3;
        }
        --pending;
        const bool last = d.received % d.m_beats == 0;
        std::fwrite(d.m_tdata, 1, d.m_bytes, d.out);
        if (*d.m_tlast != last) d.bad_tlast = true;
        if (!keep_is(d.m_tkeep, d.m_bytes, last ? d.m_tail_bytes : d.m_bytes)) d.bad_tkeep = true;
        if (last) {
          d.frame_ends.push_back(cycle);
          if (++done_frames % 16 == 0) {
            std::fprintf(stderr, "frames %llu\n", static_cast<unsigned long long>(done_frames));
          }
        }
      }
      if (taps && cycle > 4) {  // before, registers hold anything
        for (Tap &t : d.taps)
          if (*t.valid && *t.ready && t.seen < d.frames * t.beats) {
            std::fwrite(t.data, 1, t.bytes, t.out);
            ++t.seen;
            --pending;
          }
        for (Queue &q : d.queues) {
          q.held += bit(q.s_valid, q.branch) && bit(q.s_ready, q.branch);
          q.held -= *q.m_valid && *q.m_ready;
          q.most = std::max(q.most, q.held);
        }
      }
    }
    top.aclk = 1;
    top.eval();
  }
  for (Dut &d : duts) {
    std::fclose(d.out);
    if (taps)
      for (Tap &t : d.taps) std::fclose(t.out);
    std::printf("{\"name\": \"%s\", \"frames\": %zu, \"first_input\": %llu, \"first_output\": %llu, \"err_frame\": %d, \"sent\": %llu, ", d.name.c_str(),
                d.frame_ends.size(), static_cast<unsigned long long>(d.first_input), static_cast<unsigned long long>(d.first_output),
                *d.err_frame, static_cast<unsigned long long>(d.sent));
    std::printf("\"bad_tlast\": %d, \"bad_tkeep\": %d, \"ends\": [", d.bad_tlast, d.bad_tkeep);
    for (size_t i = 0; i < d.frame_ends.size(); ++i) {
      std::printf("%s%llu", i ? ", " : "", static_cast<unsigned long long>(d.frame_ends[i]));
    }
    std::printf("], \"queues\": [");
    for (size_t i = 0; i < d.queues.size(); ++i) std::printf("%s%llu", i ? ", " : "", static_cast<unsigned long long>(d.queues[i].most));
    std::printf("]}\n");
  }
  top.final();
  return 0;
}
