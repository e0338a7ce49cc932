// What a running template changes for a while and puts back, also when an error passes through.
#pragma once

#include <exception>
#include <memory>
#include <utility>

#include "runtime.h"

namespace freehold::jinja {

// Macros, recursive loops and blocks inside one another: bounded by TemplateLimits::depth.
class CallLevel {
 public:
    CallLevel(int& calls, const TemplateLimits& limits) : calls_(calls) {
        if (calls_ >= limits.depth)
            fail_limit("macros call one another more than " + std::to_string(limits.depth) + " deep");
        ++calls_;
    }
    ~CallLevel() { --calls_; }
    CallLevel(const CallLevel&) = delete;
    CallLevel& operator=(const CallLevel&) = delete;

 private:
    int& calls_;
};

// Nested bodies and expressions: a bound on the C++ stack.
class Runtime::Level {
 public:
    explicit Level(Runtime& runtime) : level_(runtime.level_) {
        if (level_ >= kMost) fail_limit("the template nests more than " + std::to_string(kMost) + " evaluations");
        ++level_;
    }
    ~Level() { --level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

 private:
    static constexpr int kMost = 1600;
    int& level_;
};

class Runtime::InActivation {
 public:
    InActivation(Runtime& runtime, std::shared_ptr<Activation> activation)
        : runtime_(runtime), before_(std::exchange(runtime.frame_, std::move(activation))) {}
    ~InActivation() { runtime_.frame_ = std::move(before_); }
    InActivation(const InActivation&) = delete;
    InActivation& operator=(const InActivation&) = delete;

 private:
    Runtime& runtime_;
    std::shared_ptr<Activation> before_;
};

class Runtime::InBuffer {
 public:
    InBuffer(Runtime& runtime, Buffer& buffer) : runtime_(runtime), before_(std::exchange(runtime.out_, &buffer)) {}
    ~InBuffer() { runtime_.out_ = before_; }
    InBuffer(const InBuffer&) = delete;
    InBuffer& operator=(const InBuffer&) = delete;

 private:
    Runtime& runtime_;
    Buffer* before_;
};

// An activation or loop may hold itself through its variables; when an error ends the rendering, it lets go of them.
class ClearOnError {
 public:
    explicit ClearOnError(Object* object) : object_(object), errors_(std::uncaught_exceptions()) {}
    ~ClearOnError() {
        if (object_ != nullptr && std::uncaught_exceptions() > errors_) object_->clear();
    }
    ClearOnError(const ClearOnError&) = delete;
    ClearOnError& operator=(const ClearOnError&) = delete;

 private:
    Object* object_;
    int errors_;
};

}  // namespace freehold::jinja
