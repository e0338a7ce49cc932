// Which imports of a pickle are harmless, which are known weapons. What is in neither list is unknown, and told.
#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>

#include "pickle.h"

namespace freehold::scan {
namespace {

// What weights, arrays and configurations of the common libraries are made of. Whole names only: "collections" is here
// for four of its classes, not for what else can be reached through it.
const std::unordered_set<std::string_view>& harmless() {
    static const std::unordered_set<std::string_view> kNames = {
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.Counter",
        "collections.deque",
        "builtins.set",
        "builtins.frozenset",
        "builtins.bytearray",
        "builtins.complex",
        "builtins.slice",
        "builtins.range",
        "builtins.list",
        "builtins.dict",
        "builtins.tuple",
        "builtins.int",
        "builtins.float",
        "builtins.bool",
        "builtins.str",
        "builtins.bytes",
        "builtins.object",
        "__builtin__.set",
        "__builtin__.frozenset",
        "__builtin__.bytearray",
        "__builtin__.complex",
        "__builtin__.slice",
        "__builtin__.xrange",
        "__builtin__.range",
        "__builtin__.list",
        "__builtin__.dict",
        "__builtin__.tuple",
        "__builtin__.int",
        "__builtin__.long",
        "__builtin__.float",
        "__builtin__.bool",
        "__builtin__.str",
        "__builtin__.unicode",
        "__builtin__.object",
        "__builtin__.bytes",
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "copyreg.__newobj__",
        "copy_reg.__newobj__",
        "_codecs.encode",
        "datetime.datetime",
        "datetime.date",
        "datetime.time",
        "datetime.timedelta",
        "datetime.timezone",
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        "uuid.SafeUUID",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "pathlib.WindowsPath",
        "pathlib.PureWindowsPath",
        "pathlib.Path",
        "argparse.Namespace",
        "types.SimpleNamespace",
        // numpy
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.bool_",
        "numpy.bool",
        "numpy.int8",
        "numpy.int16",
        "numpy.int32",
        "numpy.int64",
        "numpy.uint8",
        "numpy.uint16",
        "numpy.uint32",
        "numpy.uint64",
        "numpy.float16",
        "numpy.float32",
        "numpy.float64",
        "numpy.longdouble",
        "numpy.complex64",
        "numpy.complex128",
        "numpy.str_",
        "numpy.bytes_",
        "numpy.void",
        "numpy.datetime64",
        "numpy.timedelta64",
        "numpy.object_",
        "numpy.matrix",
        "numpy.matrixlib.defmatrix.matrix",
        "numpy.core.defmatrix.matrix",
        "numpy.core._internal._reconstruct",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._frombuffer",
        "numpy.core.numeric._frombuffer",
        "numpy.core.numeric._unpickle_array",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.numeric._frombuffer",
        "numpy._core.numeric._unpickle_array",
        "numpy.ma.core._mareconstruct",
        "numpy.ma.core.MaskedArray",
        "numpy.random._pickle.__randomstate_ctor",
        "numpy.random._pickle.__generator_ctor",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._mt19937.MT19937",
        "numpy.random._pcg64.PCG64",
        "numpy.random._pcg64.PCG64DXSM",
        "numpy.random._philox.Philox",
        "numpy.random._sfc64.SFC64",
        "numpy.random._generator.Generator",
        "numpy.random.mtrand.RandomState",
        "numpy.random.bit_generator.SeedSequence",
        "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
        "numpy.dtypes.Float32DType",
        "numpy.dtypes.Float64DType",
        "numpy.dtypes.Int64DType",
        "ml_dtypes.bfloat16",
        "ml_dtypes.float8_e4m3fn",
        "ml_dtypes.float8_e5m2",
        "joblib.numpy_pickle.NumpyArrayWrapper",
        "joblib.numpy_pickle.ndarray",
        "scipy.sparse._csr.csr_matrix",
        "scipy.sparse.csr.csr_matrix",
        "scipy.sparse._csc.csc_matrix",
        "scipy.sparse.csc.csc_matrix",
        "scipy.sparse._coo.coo_matrix",
        "scipy.sparse._csr.csr_array",
        "scipy.sparse._csc.csc_array",
        // torch
        "torch.Size",
        "torch.Tensor",
        "torch.device",
        "torch.Generator",
        "torch._C.Generator",
        "torch.nn.parameter.Parameter",
        "torch.nn.parameter.Buffer",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_sparse_csr_tensor",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._utils._rebuild_nested_tensor",
        "torch._utils._rebuild_wrapper_subclass",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        "torch._utils._rebuild_xla_tensor",
        "torch._tensor._rebuild_from_type_v2",
        "torch._tensor._rebuild_from_type",
        "torch.serialization._get_layout",
        "torch.storage.UntypedStorage",
        "torch.storage.TypedStorage",
        "torch.storage._UntypedStorage",
        "torch.storage._TypedStorage",
        "torch.UntypedStorage",
        "torch.TypedStorage",
        "torch.ByteStorage",
        "torch.CharStorage",
        "torch.ShortStorage",
        "torch.IntStorage",
        "torch.LongStorage",
        "torch.HalfStorage",
        "torch.FloatStorage",
        "torch.DoubleStorage",
        "torch.BoolStorage",
        "torch.BFloat16Storage",
        "torch.ComplexFloatStorage",
        "torch.ComplexDoubleStorage",
        "torch.QUInt8Storage",
        "torch.QInt8Storage",
        "torch.QInt32Storage",
        "torch.QUInt4x2Storage",
        "torch.QUInt2x4Storage",
        "torch.cuda.ByteStorage",
        "torch.cuda.HalfStorage",
        "torch.cuda.FloatStorage",
        "torch.cuda.LongStorage",
        "torch.cuda.IntStorage",
        "torch.cuda.DoubleStorage",
        "torch.cuda.BoolStorage",
        "torch.cuda.BFloat16Storage",
        "torch.float32",
        "torch.float64",
        "torch.float16",
        "torch.bfloat16",
        "torch.float",
        "torch.double",
        "torch.half",
        "torch.int8",
        "torch.int16",
        "torch.int32",
        "torch.int64",
        "torch.uint8",
        "torch.uint16",
        "torch.uint32",
        "torch.uint64",
        "torch.bool",
        "torch.complex64",
        "torch.complex128",
        "torch.float8_e4m3fn",
        "torch.float8_e5m2",
        "torch.float8_e4m3fnuz",
        "torch.float8_e5m2fnuz",
        "torch.float8_e8m0fnu",
        "torch.qint8",
        "torch.quint8",
        "torch.qint32",
        "torch.strided",
        "torch.sparse_coo",
        "torch.sparse_csr",
        "torch.contiguous_format",
        "torch.preserve_format",
        "torch.channels_last",
        "torch.per_tensor_affine",
        "torch.per_tensor_symmetric",
        "torch.per_channel_affine",
        "torch.per_channel_symmetric",
        "torch.per_channel_affine_float_qparams",
        "torch.FloatTensor",
        "torch.HalfTensor",
        "torch.LongTensor",
        "torch.IntTensor",
        "torch.ByteTensor",
        "torch.DoubleTensor",
        "torch.BoolTensor",
        "torch.BFloat16Tensor",
        "torch.nn.functional.relu",
        "torch.nn.functional.gelu",
        "torch.nn.functional.silu",
        "torch.nn.functional.tanh",
        "torch.nn.functional.softmax",
        "torch.nn.functional.leaky_relu",
        "torch._C._nn.gelu",
        "torch.relu",
        "torch.tanh",
        "torch.sigmoid",
        "torch.jit._pickle.build_intlist",
        "torch.jit._pickle.build_tensorlist",
        "torch.jit._pickle.build_doublelist",
        "torch.jit._pickle.build_boollist",
        "torch.jit._pickle.build_tensor_from_id",
        "torch.jit._pickle.restore_type_tag",
    };
    return kNames;
}

struct Group {
    const char* why;
    std::vector<std::string_view> modules;  // with everything below them
};

const std::vector<Group>& dangerous_modules() {
    static const std::vector<Group> kGroups = {
        {"runs code",
         {"builtins",
          "__builtin__",
          "__builtins__",
          "code",
          "codeop",
          "runpy",
          "timeit",
          "profile",
          "cProfile",
          "pstats",
          "trace",
          "bdb",
          "pdb",
          "doctest",
          "pydoc",
          "idlelib",
          "lib2to3",
          "importlib",
          "imp",
          "pkgutil",
          "zipimport",
          "ast",
          "dis",
          "site",
          "sitecustomize",
          "test",
          "unittest",
          "IPython",
          "types",
          "marshal",
          "new",
          "_frozen_importlib",
          "_frozen_importlib_external"}},
        {"runs commands",
         {"os",         "posix",       "nt",        "ntpath",   "posixpath",       "subprocess",   "_posixsubprocess",
          "_winapi",    "pty",         "popen2",    "commands", "multiprocessing", "concurrent",   "sh",
          "pexpect",    "fabric",      "invoke",    "plumbum",  "_aix_support",    "_osx_support", "_pyrepl",
          "platform",   "venv",        "ensurepip", "pip",      "setuptools",      "distutils",    "pkg_resources",
          "webbrowser", "antigravity", "uuid",      "imaplib",  "crypt",           "pwd",          "signal",
          "resource"}},
        {"opens connections",
         {"socket",    "_socket",      "ssl",          "http",     "httplib",   "urllib",   "urllib2",   "urllib3",
          "requests",  "aiohttp",      "httpx",        "asyncio",  "smtplib",   "ftplib",   "poplib",    "nntplib",
          "telnetlib", "socketserver", "SocketServer", "xmlrpc",   "xmlrpclib", "paramiko", "websocket", "websockets",
          "selectors", "wsgiref",      "asyncore",     "asynchat", "boto3",     "botocore"}},
        {"reaches files",
         {"shutil",  "io",      "_io",   "_pyio",   "tempfile", "logging",   "sqlite3",     "dbm",
          "zipfile", "tarfile", "gzip",  "bz2",     "lzma",     "fileinput", "glob",        "linecache",
          "mmap",    "codecs",  "netrc", "mailbox", "fcntl",    "stat",      "configparser"}},
        {"reaches any attribute or function by name",
         {"operator",  "_operator", "functools", "_functools", "itertools",  "inspect",   "gc",
          "sys",       "weakref",   "copyreg",   "copy_reg",   "contextlib", "string",    "__main__",
          "threading", "_thread",   "thread",    "sched",      "atexit",     "traceback", "warnings"}},
        {"loads further pickles",
         {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "jsonpickle", "pickletools",
          "klepto", "hickle"}},
        {"reaches native memory or libraries", {"ctypes", "_ctypes", "cffi", "_cffi_backend", "cppyy"}},
        {"runs code",
         {"torch.hub",
          "torch._dynamo",
          "torch._inductor",
          "torch.jit",
          "torch.fx",
          "torch.utils.collect_env",
          "torch.utils.bottleneck",
          "torch.utils._config_module",
          "torch.utils.cpp_extension",
          "torch.utils.data",
          "torch.utils.model_zoo",
          "torch.distributed",
          "torch.multiprocessing",
          "torch.package",
          "torch.ops",
          "torch.classes",
          "torch.serialization",
          "torch._C",
          "torch.testing",
          "torch.utils.hipify",
          "torch.cuda._sanitizer",
          "numpy.testing",
          "numpy.f2py",
          "numpy.distutils",
          "numpy.ctypeslib",
          "numpy.lib",
          "scipy.weave",
          "tensorflow.python.eager",
          "tensorflow.io",
          "keras.utils",
          "sympy.parsing",
          "sympy.core.sympify",
          "pandas.core.computation",
          "numexpr",
          "theano"}},
        {"hinders scanners", {"fickling", "picklescan", "modelscan", "modelaudit"}},
    };
    return kGroups;
}

constexpr std::array<std::string_view, 8> kDangerousNames = {"torch.load",     "torch.compile",     "numpy.load",
                                                             "numpy.fromfile", "numpy.memmap",      "numpy.loadtxt",
                                                             "pandas.eval",    "pandas.read_pickle"};
constexpr std::array<std::string_view, 3> kNestedLoads = {"torch.storage._load_from_bytes", "torch.serialization._load",
                                                          "torch._utils._load_from_bytes"};

bool below(std::string_view module, std::string_view root) {
    return module == root || (module.starts_with(root) && module[root.size()] == '.');
}

bool is_class_name(std::string_view name) {
    const std::size_t first = name.find_first_not_of('_');
    return first != std::string_view::npos && name[first] >= 'A' && name[first] <= 'Z' &&
           name.find('.') == std::string_view::npos;
}

// Layers of torch are made without a call of theirs and keep what they are given: what could run is imported by a name
// of its own.
bool is_torch_layer(std::string_view module, std::string_view name) {
    return below(module, "torch.nn.modules") && is_class_name(name);
}

bool is_array_of_joblib(std::string_view module, std::string_view name) {
    return (module == "joblib.numpy_pickle" || module == "joblib.numpy_pickle_compat" ||
            module == "sklearn.externals.joblib.numpy_pickle") &&
           (name == "NDArrayWrapper" || name == "ZNDArrayWrapper" || name == "NumpyArrayWrapper");
}

constexpr std::array<std::string_view, 14> kLibraries = {
    "sklearn",          "scipy",       "pandas.core",      "xgboost.core", "xgboost.sklearn", "lightgbm.basic",
    "lightgbm.sklearn", "torch.optim", "numpy.polynomial", "numpy.ma",     "statsmodels.tsa", "statsmodels.regression",
    "catboost.core",    "hmmlearn"};
// Parts of them that fetch, load or run.
constexpr std::array<std::string_view, 6> kNotLibraries = {
    "sklearn.datasets", "sklearn.externals", "sklearn.utils", "scipy.io", "scipy.weave", "pandas.core.computation"};

NameClass library_class(std::string_view module, std::string_view name) {
    // Most words that are taken for modules when text is searched end here.
    if (module.empty() || std::string_view("sxlptnch").find(module.front()) == std::string_view::npos)
        return NameClass::unknown;
    const auto in = [&](std::string_view root) { return below(module, root); };
    if (module == "sklearn.utils._bunch" && name == "Bunch") return NameClass::library;
    if (std::ranges::none_of(kLibraries, in) || std::ranges::any_of(kNotLibraries, in)) return NameClass::unknown;
    // Compiled classes are pickled as calls of themselves.
    for (const std::string_view root : {"sklearn.tree._tree", "sklearn.linear_model._sgd_fast", "sklearn._loss"})
        if (in(root)) return NameClass::maker;
    if (is_class_name(name)) return NameClass::library;
    constexpr std::array<std::string_view, 5> kMakers = {"newObj", "_unpickle_block", "_new_Index",
                                                         "_new_DatetimeIndex", "_new_PeriodIndex"};
    const bool maker = name.starts_with("__pyx_unpickle_") || std::ranges::find(kMakers, name) != kMakers.end();
    return maker ? NameClass::maker : NameClass::unknown;
}

}  // namespace

bool is_dotted_name(std::string_view text) noexcept {
    bool begins = true;
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || u >= 0x80;
        const bool digit = c >= '0' && c <= '9';
        if (c == '.') {
            if (begins) return false;
            begins = true;
        } else if (letter || (digit && !begins)) {
            begins = false;
        } else {
            return false;
        }
    }
    return !begins && text.size() <= 512;
}

bool could_be_dangerous(std::string_view module, std::string_view name) {
    static const auto kRoots = [] {
        std::unordered_set<std::string_view> roots;
        for (const Group& group : dangerous_modules())
            for (const std::string_view root : group.modules) roots.insert(root.substr(0, root.find('.')));
        for (const std::string_view whole : kDangerousNames) roots.insert(whole.substr(0, whole.find('.')));
        return roots;
    }();
    return name.find('.') != std::string_view::npos || kRoots.contains(module.substr(0, module.find('.')));
}

NameVerdict judge_name(std::string_view module, std::string_view name, bool torchscript) {
    std::string whole(module);
    whole += '.';
    whole += name;
    // A dot in the name walks through attributes, which is a way around any list of names.
    if (name.find('.') == std::string_view::npos && harmless().contains(whole)) return {NameClass::harmless, ""};
    if (torchscript && below(module, "__torch__")) return {NameClass::harmless, ""};
    if (is_torch_layer(module, name)) return {NameClass::harmless, ""};
    if (std::ranges::find(kNestedLoads, whole) != kNestedLoads.end())
        return {NameClass::nested_load, "loads a pickle from bytes"};
    // Old versions of joblib kept each array in a file beside the pickle, which these read.
    if (is_array_of_joblib(module, name)) return {NameClass::library, ""};
    if (std::ranges::find(kDangerousNames, whole) != kDangerousNames.end())
        return {NameClass::dangerous, "runs code or reads files"};
    if (!could_be_dangerous(module, name)) return {library_class(module, name), ""};
    // Some names of these modules were let through above; all the others of them are not wanted.
    for (const Group& group : dangerous_modules()) {
        for (const std::string_view root : group.modules) {
            if (below(module, root)) return {NameClass::dangerous, group.why};
            // "torch" + "hub.load" is the same as "torch.hub" + "load".
            if (root.find('.') != std::string_view::npos && below(whole, root))
                return {NameClass::dangerous, group.why};
        }
    }
    // A walk through attributes can end in a module that was imported there ("x" + "os.system").
    if (name.find('.') != std::string_view::npos) {
        for (std::size_t at = 0; at < name.size();) {
            const std::size_t end = std::min(name.find('.', at), name.size());
            const std::string_view part = name.substr(at, end - at);
            for (const std::string_view bad :
                 {"os", "sys", "subprocess", "builtins", "eval", "exec", "system", "popen"}) {
                if (part == bad) return {NameClass::dangerous, "walks through attributes to something that runs code"};
            }
            if (part.starts_with("__")) return {NameClass::dangerous, "walks through attributes of Python's insides"};
            at = end + 1;
        }
    }
    return {library_class(module, name), ""};
}

}  // namespace freehold::scan
