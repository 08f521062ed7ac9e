// CUDA graphs. A library of its own, opened after libtorch_cuda: linked into the worker, it would tie it to CUDA.
// Functions return null, or why they failed; the caller frees that with `crosslens_free`.

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include "failure.h"

#include <optional>

namespace {

// Kernels on a stream of its own, and the stream that was in use before.
struct Graph {
  at::cuda::CUDAGraph graph;
  std::optional<c10::cuda::CUDAStreamGuard> recording;
};

} // namespace

extern "C" {

// What this thread launches from now on is recorded, not run. Recording wants a stream other than the default one.
char *crosslens_graph_record(int device, Graph **made) {
  return failure([&] {
    auto graph = std::make_unique<Graph>();
    c10::cuda::device_synchronize();
    graph->recording.emplace(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, static_cast<c10::DeviceIndex>(device)));
    graph->graph.capture_begin();
    *made = graph.release();
  });
}

// Ends the recording, whether or not it was any good.
char *crosslens_graph_end(Graph *graph) {
  char *message = failure([&] { graph->graph.capture_end(); });
  graph->recording.reset();
  return message;
}

// Runs what was recorded, after what the current stream has to do.
char *crosslens_graph_replay(Graph *graph) {
  return failure([&] { graph->graph.replay(); });
}

void crosslens_graph_free(Graph *graph) { delete graph; }
}
