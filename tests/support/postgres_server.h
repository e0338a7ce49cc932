// A PostgreSQL server of its own for a test: data, socket and log in a temporary folder, by an unprivileged user.
// Gone with the process that started it, however that ends.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace freehold::testing {

namespace fs = std::filesystem;

class PostgresServer {
 public:
    // The folder with initdb; empty: PostgreSQL's server is not installed.
    static fs::path programs() {
        fs::path newest;
        std::error_code ec;
        for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ec)) {
            if (fs::exists(entry.path() / "bin" / "initdb", ec)) newest = std::max(newest, entry.path() / "bin");
        }
        return newest;
    }

    PostgresServer() {
        std::string pattern = (fs::temp_directory_path() / "freehold-pg-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder for PostgreSQL");
        folder_ = pattern;
        if (::geteuid() == 0) {
            const passwd* user = ::getpwnam("postgres");
            if (user == nullptr) throw std::runtime_error("no user postgres");
            user_ = user->pw_uid;
            group_ = user->pw_gid;
            if (::chown(folder_.c_str(), user_, group_) != 0) throw std::runtime_error("chown");
        }
        port_ = free_port();
        write("password", "the-words-of-the-owner\n");
        finish(
            start({programs() / "initdb", "-D", data(), "-U", "freehold", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                   "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=" + (folder_ / "password").string()}),
            "initdb");
        launch();
    }
    ~PostgresServer() {
        stop(SIGQUIT);
        std::error_code ec;
        fs::remove_all(folder_, ec);
    }
    PostgresServer(const PostgresServer&) = delete;
    PostgresServer& operator=(const PostgresServer&) = delete;

    void launch() {
        server_ = start({programs() / "postgres", "-D", data(), "-k", folder_, "-p", std::to_string(port_), "-c",
                         "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c",
                         "max_connections=40"});
        for (int i = 0; i < 600; ++i) {
            const pid_t ready =
                start({programs() / "pg_isready", "-h", folder_, "-p", std::to_string(port_), "-q", "-t", "1"});
            int status = 0;
            ::waitpid(ready, &status, 0);
            if (status == 0) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        throw std::runtime_error("PostgreSQL did not start: " + log());
    }
    void stop(int signal = SIGINT) {
        if (server_ <= 0) return;
        ::kill(server_, signal);
        ::waitpid(server_, nullptr, 0);
        server_ = 0;
    }
    // A new, empty database's name.
    std::string create() {
        const std::string name = "t" + std::to_string(++databases_);
        finish(start({programs() / "createdb", "-h", folder_, "-p", std::to_string(port_), "-U", "freehold", name}),
               "createdb");
        return name;
    }
    [[nodiscard]] std::string local(const std::string& database) const {
        return "postgres://freehold@/" + database + "?host=" + folder_.string() + "&port=" + std::to_string(port_);
    }
    [[nodiscard]] std::string tcp(const std::string& database) const {
        return "postgres://freehold@127.0.0.1:" + std::to_string(port_) + "/" + database;
    }
    [[nodiscard]] static std::string password() { return "the-words-of-the-owner"; }
    [[nodiscard]] int port() const { return port_; }

 private:
    [[nodiscard]] std::string data() const { return (folder_ / "data").string(); }
    [[nodiscard]] std::string log() const {
        std::ifstream in(folder_ / "log");
        std::stringstream text;
        text << in.rdbuf();
        return text.str();
    }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(folder_ / name) << text;
        if (user_ != 0 && ::chown((folder_ / name).c_str(), user_, group_) != 0) throw std::runtime_error("chown");
    }

    pid_t start(const std::vector<std::string>& words) const {
        std::vector<char*> argv;
        argv.reserve(words.size() + 1);
        for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        const std::string file = (folder_ / "log").string();
        const pid_t child = ::fork();
        if (child < 0) throw std::runtime_error("fork");
        if (child > 0) return child;
        if (user_ != 0 && (::setgroups(0, nullptr) != 0 || ::setgid(group_) != 0 || ::setuid(user_) != 0)) ::_exit(126);
        ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
        const int log = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(log, 1);
        ::dup2(log, 2);
        if (::chdir("/") != 0) ::_exit(126);
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    void finish(pid_t child, const char* what) const {
        int status = 0;
        ::waitpid(child, &status, 0);
        if (status != 0) throw std::runtime_error(std::string(what) + " failed: " + log());
    }
    static int free_port() {
        const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        const bool bound = ::bind(probe, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
                           ::getsockname(probe, reinterpret_cast<sockaddr*>(&at), &size) == 0;
        ::close(probe);
        if (!bound) throw std::runtime_error("no free port");
        return ntohs(at.sin_port);
    }

    fs::path folder_;
    uid_t user_ = 0;
    gid_t group_ = 0;
    int port_ = 0, databases_ = 0;
    pid_t server_ = 0;
};

}  // namespace freehold::testing
