// freehold doctor --sealed: the seal against outgoing connections, tried here and looked for on servers that run.
#pragma once

namespace freehold::cli {

// Tries every way out in a sealed child, then looks at process `pid`, or with 0 at every `freehold serve` that this
// user may look at. Returns the exit code: 0 when all ways are shut and every server found is sealed, else that of a
// fault.
int report_seal(int pid, bool json);

}  // namespace freehold::cli
