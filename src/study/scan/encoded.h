// Payloads in disguise: long runs of base64, base32 or hexadecimal digits anywhere in a file, decoded and looked at
// again.
#pragma once

#include <vector>

#include "context.h"

namespace freehold::scan {

// Digits that decode to something that is worth a look.
struct EncodedRun {
    std::uint64_t begin = 0, end = 0;
    int bits = 6;  // of one digit: 4, 5 or 6
};
// Appends the runs that begin in [from, until). `from` is a multiple of 16.
void find_encoded(Bytes bytes, std::uint64_t from, std::uint64_t until, std::vector<EncodedRun>& out);
// Decodes one and looks at what is in it.
void scan_encoded(Context& context, const Content& content, const EncodedRun& run);

// Does it begin like something that could be dangerous (a pickle, an archive, a program)? What was only guessed to be
// encoded is not worth a look otherwise.
[[nodiscard]] bool begins_like_payload(Bytes bytes) noexcept;

// Is this a zlib stream whose first bytes, unpacked, are worth a look?
[[nodiscard]] bool begins_zlib_payload(Bytes bytes);

// zlib's own format, unpacked whole; empty: it is none, or larger than the bounds.
[[nodiscard]] std::string inflate_zlib(Context& context, const Content& content, bool speculative);

}  // namespace freehold::scan
