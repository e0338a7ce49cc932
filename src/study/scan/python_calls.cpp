// The tables behind python_calls.h.
#include "python_calls.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

namespace freehold::scan {
namespace {

constexpr std::array kCalls = {
    Call{"eval", "code.exec", "runs text as code"},
    Call{"exec", "code.exec", "runs text as code"},
    Call{"execfile", "code.exec", "runs a file as code"},
    Call{"compile", "code.exec", "makes code of text"},
    Call{"__import__", "code.exec", "imports by a computed name"},
    Call{"builtins.compile", "code.exec", "makes code of text"},
    Call{"builtins.eval", "code.exec", "runs text as code"},
    Call{"builtins.exec", "code.exec", "runs text as code"},
    Call{"builtins.__import__", "code.exec", "imports by a computed name"},
    Call{"runpy.*", "code.exec", "runs a module"},
    Call{"code.InteractiveInterpreter", "code.exec", "runs text as code"},
    Call{"types.CodeType", "code.exec", "makes code"},
    Call{"types.FunctionType", "code.exec", "makes code"},
    Call{"code.interact", "code.exec", "reads code from the terminal"},
    Call{"codeop.compile_command", "code.exec", "makes code of text"},
    Call{"pdb.run", "code.exec", "runs text as code"},
    Call{"pdb.runeval", "code.exec", "runs text as code"},
    Call{"pdb.runctx", "code.exec", "runs text as code"},
    Call{"numpy.testing.runstring", "code.exec", "runs text as code"},
    Call{"pip.main", "code.process", "installs packages"},
    Call{"pip._internal.main", "code.process", "installs packages"},
    Call{"pip._internal.cli.main.main", "code.process", "installs packages"},
    Call{"distutils.spawn.spawn", "code.process", "starts a program"},
    Call{"setuptools._distutils.spawn.spawn", "code.process", "starts a program"},
    Call{"numpy.distutils.exec_command.exec_command", "code.process", "runs a command"},
    Call{"numpy.f2py.compile", "code.native", "builds native code"},
    Call{"os.system", "code.process", "runs a command"},
    Call{"os.popen", "code.process", "runs a command"},
    Call{"os.execl", "code.process", "starts a program"},
    Call{"os.execle", "code.process", "starts a program"},
    Call{"os.execlp", "code.process", "starts a program"},
    Call{"os.execlpe", "code.process", "starts a program"},
    Call{"os.execv", "code.process", "starts a program"},
    Call{"os.execve", "code.process", "starts a program"},
    Call{"os.execvp", "code.process", "starts a program"},
    Call{"os.execvpe", "code.process", "starts a program"},
    Call{"os.spawnl", "code.process", "starts a program"},
    Call{"os.spawnle", "code.process", "starts a program"},
    Call{"os.spawnlp", "code.process", "starts a program"},
    Call{"os.spawnlpe", "code.process", "starts a program"},
    Call{"os.spawnv", "code.process", "starts a program"},
    Call{"os.spawnve", "code.process", "starts a program"},
    Call{"os.spawnvp", "code.process", "starts a program"},
    Call{"os.spawnvpe", "code.process", "starts a program"},
    Call{"os.posix_spawn", "code.process", "starts a program"},
    Call{"os.posix_spawnp", "code.process", "starts a program"},
    Call{"os.startfile", "code.process", "opens a file by its program"},
    Call{"subprocess.*", "code.process", "starts a program"},
    Call{"asyncio.create_subprocess_shell", "code.process", "runs a command"},
    Call{"asyncio.create_subprocess_exec", "code.process", "starts a program"},
    Call{"pty.spawn", "code.process", "starts a program"},
    Call{"commands.*", "code.process", "runs a command"},
    Call{"socket.socket", "code.network", "opens a connection"},
    Call{"socket.create_connection", "code.network", "opens a connection"},
    Call{"socket.gethostbyname", "code.network", "asks for an address"},
    Call{"socket.getaddrinfo", "code.network", "asks for an address"},
    Call{"urllib.request.*", "code.network", "fetches an address"},
    Call{"urllib2.urlopen", "code.network", "fetches an address"},
    Call{"requests.*", "code.network", "fetches an address"},
    Call{"httpx.*", "code.network", "fetches an address"},
    Call{"aiohttp.ClientSession", "code.network", "fetches addresses"},
    Call{"http.client.HTTPConnection", "code.network", "opens a connection"},
    Call{"http.client.HTTPSConnection", "code.network", "opens a connection"},
    Call{"ftplib.*", "code.network", "opens a connection"},
    Call{"smtplib.*", "code.network", "sends mail"},
    Call{"telnetlib.*", "code.network", "opens a connection"},
    Call{"paramiko.*", "code.network", "opens a connection"},
    Call{"webbrowser.open", "code.network", "opens an address"},
    Call{"torch.hub.load", "code.network", "fetches code and runs it"},
    Call{"pickle.load", "code.deserialise", "loads a pickle"},
    Call{"pickle.loads", "code.deserialise", "loads a pickle"},
    Call{"pickle.Unpickler", "code.deserialise", "loads a pickle"},
    Call{"cPickle.load", "code.deserialise", "loads a pickle"},
    Call{"cPickle.loads", "code.deserialise", "loads a pickle"},
    Call{"_pickle.loads", "code.deserialise", "loads a pickle"},
    Call{"dill.load", "code.deserialise", "loads a pickle"},
    Call{"dill.loads", "code.deserialise", "loads a pickle"},
    Call{"cloudpickle.load", "code.deserialise", "loads a pickle"},
    Call{"cloudpickle.loads", "code.deserialise", "loads a pickle"},
    Call{"joblib.load", "code.deserialise", "loads a pickle"},
    Call{"marshal.load", "code.deserialise", "loads compiled code"},
    Call{"marshal.loads", "code.deserialise", "loads compiled code"},
    Call{"shelve.open", "code.deserialise", "loads pickles"},
    Call{"pandas.read_pickle", "code.deserialise", "loads a pickle"},
    Call{"yaml.unsafe_load", "code.deserialise", "makes objects of any class"},
    Call{"keras.config.enable_unsafe_deserialization", "code.deserialise", "lets models bring code of their own"},
    Call{"tensorflow.keras.config.enable_unsafe_deserialization", "code.deserialise",
         "lets models bring code of their own"},
    Call{"jsonpickle.decode", "code.deserialise", "makes objects of any class"},
    Call{"ctypes.CDLL", "code.native", "loads a native library"},
    Call{"ctypes.cdll.LoadLibrary", "code.native", "loads a native library"},
    Call{"ctypes.WinDLL", "code.native", "loads a native library"},
    Call{"cffi.FFI", "code.native", "reaches native memory"},
    Call{"torch.utils.cpp_extension.load", "code.native", "builds and loads native code"},
    Call{"torch.utils.cpp_extension.load_inline", "code.native", "builds and loads native code"},
    Call{"torch.ops.load_library", "code.native", "loads a native library"},
    Call{"torch.classes.load_library", "code.native", "loads a native library"},
    Call{"tensorflow.load_op_library", "code.native", "loads a native library"},
    Call{"tensorflow.load_library", "code.native", "loads a native library"},
    Call{"tensorflow.python.framework.load_library.load_op_library", "code.native", "loads a native library"},
    Call{"tempfile.mktemp", "code.weak", "makes a name that somebody else can take"},
};

// What unpacks hidden text on its way to exec.
constexpr std::array<std::string_view, 14> kUnpackers = {
    "b64decode", "b85decode",   "a85decode", "b32decode", "b16decode", "decompress", "fromhex",
    "unhexlify", "decodebytes", "decode",    "loads",     "chr",       "rot13",      "urlopen"};

// Functions of a module; its classes (capital letters) are mostly types and errors.
bool is_below(std::string_view name, std::string_view stem) {
    if (!name.starts_with(stem) || name.size() == stem.size()) return false;
    return std::isupper(static_cast<unsigned char>(name[stem.size()])) == 0 || name == "subprocess.Popen" ||
           stem == "ftplib." || stem == "smtplib." || stem == "telnetlib." || stem == "paramiko.";
}

template <std::size_t N>
bool is_in(const std::array<std::string_view, N>& all, std::string_view one) noexcept {
    return std::ranges::find(all, one) != all.end();
}

}  // namespace

const Call* python_call(std::string_view name) noexcept {
    // The modules behind os, on this and on other systems.
    const bool behind_os = name.starts_with("posix.") || name.starts_with("nt.");
    const std::string_view last = behind_os ? name.substr(name.find('.') + 1) : std::string_view();
    for (const Call& call : kCalls) {
        if (behind_os && call.name.starts_with("os.") && call.name.substr(3) == last) return &call;
        const bool all = call.name.ends_with(".*");
        const std::string_view stem = all ? call.name.substr(0, call.name.size() - 1) : call.name;
        if (all ? is_below(name, stem) : name == stem) return &call;
    }
    return nullptr;
}

bool runs_its_text(std::string_view name) noexcept {
    static constexpr std::array<std::string_view, 12> kRunners = {
        "timeit.timeit",   "timeit.repeat",    "timeit.Timer",     "cProfile.run",
        "cProfile.runctx", "profile.run",      "profile.runctx",   "sympy.sympify",
        "pandas.eval",     "numexpr.evaluate", "sympy.parse_expr", "sympy.parsing.sympy_parser.parse_expr"};
    return is_in(kRunners, name);
}

std::string_view inner_module(std::string_view name) noexcept {
    for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
        std::string_view rest = name.substr(dot + 1);
        while (rest.starts_with('_')) rest.remove_prefix(1);
        const std::string_view module = rest.substr(0, rest.find('.'));
        if (module.size() < rest.size() && (is_dangerous_module(module) || module == "runpy")) return rest;
    }
    return {};
}

const Call* python_star_call(std::string_view module, std::string_view name) noexcept {
    static constexpr std::array<std::string_view, 21> kFunctions = {
        "run",        "call",     "check_call",   "check_output", "Popen",   "getoutput", "getstatusoutput",
        "get",        "post",     "put",          "delete",       "request", "urlopen",   "urlretrieve",
        "run_module", "run_path", "build_opener", "patch",        "head",    "FTP",       "SMTP"};
    for (const Call& call : kCalls) {
        if (!call.name.starts_with(module) || call.name.size() <= module.size() || call.name[module.size()] != '.')
            continue;
        const std::string_view last = call.name.substr(module.size() + 1);
        if (last == "*" ? is_in(kFunctions, name) : last == name) return &call;
    }
    return nullptr;
}

bool unpacks_text(std::string_view name) noexcept {
    return is_in(kUnpackers, name);
}

bool is_dangerous_module(std::string_view name) noexcept {
    static constexpr std::array<std::string_view, 12> kModules = {"os",     "subprocess", "sys",      "socket",
                                                                  "pty",    "ctypes",     "builtins", "posix",
                                                                  "shutil", "pickle",     "marshal",  "importlib"};
    return is_in(kModules, name);
}

bool names_private_file(std::string_view text) noexcept {
    static constexpr std::array<std::string_view, 17> kFiles = {
        "/.ssh/",        "authorized_keys", "/.bashrc",        "/.bash_profile",  "/.zshrc",      "/.profile",
        "/etc/cron",     "/etc/passwd",     "/etc/shadow",     "/etc/sudoers",    "/.aws/cred",   "/.netrc",
        "LaunchAgents/", "/.git-cred",      "/.config/gcloud", "/.docker/config", "/.kube/config"};
    return text.size() < 300 &&
           std::ranges::any_of(kFiles, [&](std::string_view f) { return text.find(f) != std::string_view::npos; });
}

}  // namespace freehold::scan
