// The table of rules: what can be found, how bad it usually is, and the way out.
#include <array>
#include <string_view>

#include "context.h"
#include "freehold/base/error.h"

namespace freehold::scan {
namespace {

constexpr auto kLow = Severity::low;
constexpr auto kMedium = Severity::medium;
constexpr auto kHigh = Severity::high;
constexpr auto kCritical = Severity::critical;

constexpr const char* kAskSafetensors =
    "Do not load it. Ask its publisher for safetensors or GGUF, which cannot run code.";
constexpr const char* kReadCode = "Read this code before you let any program run it, or use the model without it.";
constexpr const char* kAgain = "Fetch it again from its publisher; if it stays so, do not use it.";

constexpr std::array kRules = {
    Rule{"pickle.dangerous-import", kCritical,
         "A pickle imports something that runs commands or code, opens files or connections.", kAskSafetensors},
    Rule{"pickle.unknown-import", kMedium, "A pickle imports something that is not known to be harmless.",
         "Load it only if you trust its publisher and know what the named class does; better, ask for safetensors or "
         "GGUF."},
    Rule{"pickle.library-class", kLow,
         "A pickle makes objects of a library for numbers, whose own code reads them when it is loaded.",
         "Load it with the version of the library that wrote it, and only if you trust its publisher."},
    Rule{"pickle.computed-import", kCritical,
         "A pickle computes the name of what it imports, which hides it from readers.", kAskSafetensors},
    Rule{"pickle.computed-call", kHigh, "A pickle calls something that it has made itself.", kAskSafetensors},
    Rule{"pickle.changes-code", kCritical, "A pickle changes a module, class or function of the program that loads it.",
         kAskSafetensors},
    Rule{"pickle.extension", kHigh, "A pickle names what it imports by a number of Python's extension registry.",
         kAskSafetensors},
    Rule{"pickle.nested-load", kHigh, "A pickle loads another pickle from bytes.", kAskSafetensors},
    Rule{"pickle.hidden", kHigh, "A pickle that imports something lies inside other data.", kAskSafetensors},
    Rule{"pickle.expansion", kHigh, "A pickle doubles itself again and again, to fill the memory of whoever loads it.",
         kAskSafetensors},
    Rule{"code.remote", kLow, "A configuration asks the loading program to run Python code of this repository.",
         "Freehold never runs it. Other programs do when told to trust remote code: read the named files first."},
    Rule{"code.exec", kHigh, "Code runs text as code.", kReadCode},
    Rule{"code.process", kHigh, "Code starts other programs.", kReadCode},
    Rule{"code.network", kMedium, "Code opens connections.", kReadCode},
    Rule{"code.deserialise", kMedium, "Code loads pickles or the like, which can run anything.",
         "Use safetensors, or torch.load with weights_only=True on a recent PyTorch."},
    Rule{"code.native", kMedium, "Code loads native libraries or writes to memory directly.", kReadCode},
    Rule{"code.hidden", kCritical, "Code unpacks hidden text and runs it.", "Do not run it."},
    Rule{"code.files", kHigh, "Code deletes or changes files that are not the model's.", kReadCode},
    Rule{"code.weak", kLow, "Code uses something that is known to be unsafe.", kReadCode},
    Rule{"code.unsafe-c", kLow, "C or C++ code calls a function without bounds.",
         "Have it read by somebody who knows the language before it is built."},
    Rule{"code.binary", kHigh, "A compiled program or library lies among model files.",
         "Do not run or load it; models do not need it."},
    Rule{"secret.key", kHigh, "A password, key or token lies open in a file.",
         "Tell its owner to revoke it; do not use it."},
    Rule{"template.escape", kCritical, "A chat template reaches for the insides of the program that renders it.",
         "Do not use the model with programs that render templates without a sandbox; Freehold refuses such access."},
    Rule{"template.hidden-text", kHigh, "A chat template holds characters that nobody sees.",
         "Look at it with an editor that shows them, or give the model another template."},
    Rule{"template.instructions", kMedium, "A chat template slips instructions or addresses into the conversation.",
         "Read the template (freehold template); give the model another one if in doubt."},
    Rule{"template.loop", kMedium, "A chat template counts so far that rendering would not end.",
         "Give the model another template."},
    Rule{"keras.lambda", kHigh,
         "A Keras model holds a Lambda layer: marshalled Python code that runs when it is loaded.", kAskSafetensors},
    Rule{"keras.custom", kMedium, "A Keras model names classes outside Keras, which are imported when it is loaded.",
         "Load it only in safe mode, and only if you know the named class."},
    Rule{"tensorflow.unknown-op", kMedium, "A TensorFlow graph holds operations that are not known to only compute.",
         "Load it only if you know the library that brings them."},
    Rule{"tensorflow.op", kHigh, "A TensorFlow graph holds operations that read or write files or run code.",
         "Do not load it; ask its publisher for weights without such operations."},
    Rule{"onnx.external-path", kHigh, "An ONNX model takes its data from outside its folder.",
         "Do not load it: the path could name any file of this machine."},
    Rule{"onnx.custom-domain", kMedium,
         "An ONNX model needs operators that are not part of ONNX, from a library of its maker.",
         "Load it only if you know where the library comes from."},
    Rule{"onnx.python-op", kHigh, "An ONNX model holds operators that run Python.", "Do not load it."},
    Rule{"hdf5.external", kHigh, "An HDF5 file takes data from other files of the machine that opens it.",
         "Do not load it: the path could name any file of this machine."},
    Rule{"torchscript.file", kHigh, "TorchScript code reads or writes files.", kAskSafetensors},
    Rule{"code.startup", kHigh, "A file that Python reads when it starts holds code.", kReadCode},
    Rule{"config.instantiate", kMedium,
         "A configuration names something that the loading program will import and call.",
         "Make sure that the name is harmless before a program that follows it reads this file."},
    Rule{"packages.elsewhere", kLow, "A list of packages takes some from an unusual place.",
         "Whoever installs them runs their code: take them from the usual index, or look at where they come from "
         "first."},
    Rule{"format.damaged", kMedium, "A model file breaks its own format; such files have been used against readers.",
         kAgain},
    Rule{"archive.traversal", kHigh, "An archive has a member that would be written outside its folder.",
         "Do not unpack it."},
    Rule{"archive.link", kHigh, "An archive has a link that points outside its folder.", "Do not unpack it."},
    Rule{"archive.bomb", kHigh, "An archive unpacks to far more than it should.", "Do not unpack it."},
    Rule{"archive.mismatch", kMedium,
         "An archive says one thing in its directory and another in its members, so that readers see different files.",
         kAgain},
    Rule{"archive.duplicate", kMedium,
         "An archive has two members of one name; which one counts depends on the reader.", kAgain},
    Rule{"link.outside", kMedium, "A symbolic link leads out of the folder.", "Replace it by the file that is meant."},
};

}  // namespace

std::span<const Rule> all_rules() noexcept {
    return kRules;
}

const Rule& rule_of(std::string_view id) {
    for (const Rule& rule : kRules) {
        if (id == rule.id) return rule;
    }
    throw Error(ErrorKind::internal, "A finding names a rule that does not exist: " + std::string(id));
}

const char* severity_name(Severity severity) noexcept {
    constexpr std::array kNames = {"low", "medium", "high", "critical"};
    return kNames[static_cast<std::size_t>(severity)];
}

const char* outcome_name(Outcome outcome) noexcept {
    constexpr std::array kNames = {"clean", "finding", "not scanned"};
    return kNames[static_cast<std::size_t>(outcome)];
}

}  // namespace freehold::scan
