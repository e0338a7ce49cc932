// Another runner's benchmark beside ours: llama-bench of llama.cpp or of a fork of it, run turn by turn with our own
// measurements, so that both see the same machine in the same minute.
#pragma once

#include <string>
#include <vector>

namespace freehold::cli {

struct PeerCase {
    int n_prompt = 0, n_gen = 0, depth = 0, threads = 0;
};

class PeerBench {
 public:
    // `command`: the program and what is put before our arguments, separated by blanks ("path/llama-bench -fa 1").
    // Throws Error{usage} when it is empty.
    PeerBench(const std::string& command, std::string model_file);
    // Tokens per second of one repetition. Throws Error{io} with the program's last words when it fails or prints no
    // figure.
    [[nodiscard]] double measure(const PeerCase& what) const;
    [[nodiscard]] const std::string& program() const noexcept { return command_.front(); }

 private:
    std::vector<std::string> command_;
    std::string model_file_;
};

}  // namespace freehold::cli
