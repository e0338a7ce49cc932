// What the tests of the scanner share: the list of known files, reading them, and a process that may neither start
// programs nor open connections.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "freehold/base/value.h"
#include "freehold/scan/report.h"
#include "freehold/scan/scan.h"

namespace freehold::scan_test {

namespace fs = std::filesystem;

inline std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write(const fs::path& path, const std::string& bytes) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
}

inline scan::FileResult look(const std::string& bytes, const std::string& name, const scan::Options& options = {}) {
    return scan::scan_bytes(std::as_bytes(std::span(bytes.data(), bytes.size())), name, options);
}

inline bool has(const scan::FileResult& result, std::string_view rule) {
    for (const scan::Finding& finding : result.findings)
        if (finding.rule->id == rule) return true;
    return false;
}

inline std::string shown(const scan::FileResult& result) {
    scan::Report report;
    report.files.push_back(result);
    return to_json(Value(scan::report_json(report, "test")), 1);
}

// Runs `work` in a child that is killed when it starts a program, makes a process or a connection, or writes to a file;
// true: it returned 0.
inline testing::AssertionResult sealed(const std::function<int()>& work) {
    const pid_t child = fork();
    if (child == 0) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        for (const char* name : {"execve", "execveat", "connect", "socket", "bind", "listen", "accept", "accept4",
                                 "sendto", "fork", "vfork", "ptrace"})
            seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, seccomp_syscall_resolve_name(name), 0);
        // Nothing is written either: no file is opened for it, made, renamed or taken away.
        for (const int mode : {O_WRONLY, O_RDWR})
            seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, static_cast<scmp_datum_t>(mode)));
        for (const char* name : {"open", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir",
                                 "mkdirat", "symlink", "symlinkat", "link", "linkat", "truncate", "ftruncate"})
            seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, seccomp_syscall_resolve_name(name), 0);
        if (seccomp_load(filter) != 0) _exit(99);
        _exit(work());
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return testing::AssertionFailure() << "no child";
    if (WIFSIGNALED(status)) return testing::AssertionFailure() << "killed by signal " << WTERMSIG(status);
    if (WEXITSTATUS(status) != 0) return testing::AssertionFailure() << "exit " << WEXITSTATUS(status);
    return testing::AssertionSuccess();
}

struct Known {
    fs::path path;
    std::string name, expected;
};

// The files of tests/data/scan (SOURCES.tsv there says where they come from), and all of the shared data if it is here.
inline std::vector<Known> known_files() {
    std::vector<Known> out;
    const auto from = [&](const fs::path& folder, const fs::path& list) {
        std::ifstream in(list);
        std::string line;
        std::getline(in, line);
        while (std::getline(in, line)) {
            std::vector<std::string> fields;
            for (std::size_t at = 0; at <= line.size();) {
                const std::size_t end = std::min(line.find('\t', at), line.size());
                fields.push_back(line.substr(at, end - at));
                at = end + 1;
            }
            if (fields.size() > 7) out.push_back({folder / fields[0], fields[0], fields[7]});
        }
    };
    const fs::path own = fs::path(FREEHOLD_TEST_DATA) / "scan";
    from(own, own / "SOURCES.tsv");
    if (const char* shared = std::getenv("FREEHOLD_SHARED_DATA"))
        from(fs::path(shared) / "scan", fs::path(shared) / "scan" / "EXPECTED.tsv");
    return out;
}

}  // namespace freehold::scan_test
