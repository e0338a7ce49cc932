// Names and exit codes of the kinds of error.
#include "freehold/base/error.h"

namespace freehold {

const char* kind_name(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::usage:
            return "usage";
        case ErrorKind::not_found:
            return "not_found";
        case ErrorKind::bad_file:
            return "bad_file";
        case ErrorKind::unsupported:
            return "unsupported";
        case ErrorKind::out_of_memory:
            return "out_of_memory";
        case ErrorKind::io:
            return "io";
        case ErrorKind::network:
            return "network";
        case ErrorKind::conflict:
            return "conflict";
        case ErrorKind::limit:
            return "limit";
        case ErrorKind::denied:
            return "denied";
        case ErrorKind::busy:
            return "busy";
        case ErrorKind::cancelled:
            return "cancelled";
        case ErrorKind::internal:
            return "internal";
    }
    return "internal";
}

int exit_code(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::usage:
            return 2;
        case ErrorKind::not_found:
            return 3;
        case ErrorKind::bad_file:
        case ErrorKind::unsupported:
            return 4;
        case ErrorKind::out_of_memory:
        case ErrorKind::limit:
            return 5;
        case ErrorKind::io:
            return 6;
        case ErrorKind::network:
            return 7;
        case ErrorKind::conflict:
            return 8;
        case ErrorKind::denied:
            return 9;
        case ErrorKind::busy:
            return 10;
        case ErrorKind::cancelled:
            return 130;
        case ErrorKind::internal:
            return 70;
    }
    return 70;
}

}  // namespace freehold
