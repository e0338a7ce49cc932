// The one exception type of the program (law 7): what was wrong, where, and the way out.
// Thrown where the fault is seen; caught at the command line and at the HTTP edge only. Kernels never throw.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace freehold {

// What kind of fault it was; the command line turns it into an exit code (see exit_code), HTTP into a status.
enum class ErrorKind {
    usage,          // the caller asked for something that makes no sense
    not_found,      // a model, file, key or name that does not exist
    bad_file,       // a file that breaks its format, is truncated or contradicts itself
    unsupported,    // well formed, but of a kind that this build does not handle
    out_of_memory,  // would not fit into the budget
    io,             // the operating system refused to read or write
    network,        // a remote source could not be reached or answered wrongly
    conflict,       // somebody else holds it, or it exists already
    limit,          // a bound was reached (context, steps, output)
    denied,         // who asks may not do this: no key, a wrong one, too little rights
    busy,           // no place now, later there will be: a full queue, a quota of this minute
    cancelled,      // the user stopped it
    internal,       // a fault of Freehold itself
};

class Error : public std::exception {
 public:
    // `message` is one sentence that names the thing and the place; `hint` is the next step, or empty.
    Error(ErrorKind kind, std::string message, std::string hint = {})
        : kind_(kind), message_(std::move(message)), hint_(std::move(hint)) {}

    [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
    [[nodiscard]] const std::string& message() const noexcept { return message_; }
    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
    [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
    ErrorKind kind_;
    std::string message_;
    std::string hint_;
};

// The name of a kind as it appears in --json output, e.g. "bad_file".
[[nodiscard]] const char* kind_name(ErrorKind kind) noexcept;

// Process exit code of a kind: 2 usage, 3 not_found, 4 bad_file or unsupported, 5 out_of_memory or limit,
// 6 io, 7 network, 8 conflict, 9 denied, 10 busy, 130 cancelled, 70 internal.
[[nodiscard]] int exit_code(ErrorKind kind) noexcept;

}  // namespace freehold
