// Searches content for what no reader of its format would come across: pickles at any place, and encoded payloads.
#pragma once

#include "context.h"

namespace freehold::scan {

// Pickles that begin at or behind `from`, and digits that decode to something (anywhere). One pass over the bytes in
// windows, several at a time.
void sweep(Context& context, const Content& content, std::uint64_t from);
// Only pickles.
void search_pickles(Context& context, const Content& content, std::uint64_t from);
// Only digits that decode to something and begin at or behind `from`.
void search_encoded(Context& context, const Content& content, std::uint64_t from);

}  // namespace freehold::scan
