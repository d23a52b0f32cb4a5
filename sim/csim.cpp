// C simulation of generated networks: csim FOLDER; runs the frames of FOLDER/NAME.in through each network of duts.inc.
// A line of JSON for each: frames, and what was wrong with its ports.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "duts.hpp"

template <int S_W, int M_W>
void run(
    const std::string &folder, const char *name, int beats_in, int beats_out, int keep_in, int keep_out,
    void (*top)(hls::stream<bnn_axis<S_W>> &, hls::stream<bnn_axis<M_W>> &, ap_uint<1> &)) {
  std::ifstream in(folder + "/" + name + ".in", std::ios::binary);
  std::ofstream out(folder + "/" + name + ".out", std::ios::binary);
  std::vector<char> frame(size_t(beats_in) * (S_W / 8));
  long frames = 0, errors = 0, bad_last = 0, bad_keep = 0, left = 0, missing = 0;
  hls::stream<bnn_axis<S_W>> s;
  hls::stream<bnn_axis<M_W>> m;
  while (in.read(frame.data(), long(frame.size()))) {
    for (int n = 0; n < beats_in; n++) {
      bnn_axis<S_W> word;
      word.data = 0;
      for (int b = 0; b < S_W / 8; b++) word.data.range(8 * b + 7, 8 * b) = (unsigned char)frame[size_t(n) * (S_W / 8) + size_t(b)];
      word.last = n == beats_in - 1;
      word.keep = word.strb = bnn_keep<S_W / 8>(word.last, keep_in);
      s.write(word);
    }
    ap_uint<1> err = 0;
    top(s, m, err);
    errors += err != 0;
    left += !s.empty();
    for (int n = 0; n < beats_out; n++) {
      if (m.empty()) {
        missing++;
        out.write(std::string(M_W / 8, 0).data(), M_W / 8);
        continue;
      }
      const bnn_axis<M_W> word = m.read();
      const bool last = n == beats_out - 1;
      bad_last += word.last != last;
      bad_keep += word.keep != bnn_keep<M_W / 8>(last, keep_out);
      for (int b = 0; b < M_W / 8; b++) out.put(char(word.data.range(8 * b + 7, 8 * b).to_uint()));
    }
    while (!m.empty()) {
      m.read();
      left++;
    }
    frames++;
    std::fprintf(stderr, "frames %ld\n", frames);
  }
  std::printf(
      "{\"network\": \"%s\", \"frames\": %ld, \"errors\": %ld, \"bad_last\": %ld, \"bad_keep\": %ld, \"left\": %ld, \"missing\": %ld}\n", name, frames, errors,
      bad_last, bad_keep, left, missing);
}

int main(int, char **arguments) {
  const std::string folder = arguments[1];
#include "duts.inc"
  return 0;
}
