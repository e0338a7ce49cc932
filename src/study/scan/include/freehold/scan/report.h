// A report for programs: JSON of our own, and SARIF 2.1.0 (OASIS) for the viewers of code scanners.
#pragma once

#include <string>
#include <string_view>

#include "freehold/base/value.h"
#include "freehold/scan/scan.h"

namespace freehold::scan {

// {"target","outcome","files":[{"path","kind","bytes","outcome","findings":[...],"not_scanned":[...]}],"counts",...}
[[nodiscard]] ValueMap report_json(const Report& report, std::string_view version);

// One run. Findings are results with a fingerprint of rule, path, member and message; gaps are notifications of the
// invocation, so that a viewer does not take "not looked at" for "nothing there".
[[nodiscard]] ValueMap report_sarif(const Report& report, std::string_view version);

}  // namespace freehold::scan
