// Does an adapter fit a model? From names and shapes alone, before any weight is loaded.
#pragma once

#include "freehold/formats/adapter_files.h"
#include "freehold/formats/model_files.h"

namespace freehold {

// Throws what Decoder::adapt would throw for a model of these files.
void check_adapter(const AdapterFiles& adapter, const ModelFiles& model);

}  // namespace freehold
