// Streams of limited depth for processes that run side by side, as dataflow hardware has them: a full one makes its writer wait.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace hls {
template <class T>
class stream {
  std::deque<T> beats;
  std::mutex mutex;
  std::condition_variable changed;

 public:
  std::size_t depth = std::size_t(1) << 30;
  T read() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return !beats.empty(); });
    T beat = beats.front();
    beats.pop_front();
    changed.notify_all();
    return beat;
  }
  void write(const T &beat) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return beats.size() < depth; });
    beats.push_back(beat);
    changed.notify_all();
  }
  bool empty() {
    std::unique_lock<std::mutex> lock(mutex);
    return beats.empty();
  }
};
}  // namespace hls
