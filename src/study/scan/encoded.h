// Payloads in disguise: long runs of base64, base32 or hexadecimal digits anywhere in a file, decoded and looked at
// again.
#pragma once

#include "context.h"

namespace freehold::scan {

void scan_encoded(Context& context, const Content& content);

// Does it begin like something that could be dangerous (a pickle, an archive, a program)? What was only guessed to be
// encoded is not worth a look otherwise.
[[nodiscard]] bool begins_like_payload(Bytes bytes) noexcept;

// zlib's own format, unpacked whole; empty: it is none, or larger than the bounds.
[[nodiscard]] std::string inflate_zlib(Context& context, const Content& content, bool speculative);

}  // namespace freehold::scan
