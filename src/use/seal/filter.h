// The filter without the look at descriptors: for the attempts, which put a hole there on purpose.
#pragma once

namespace freehold::seal {

// As seal_process(), but takes descriptors as they are and does not look whether every thread was taken in.
void load_filter();

}  // namespace freehold::seal
