// The formats of JSON Schema as patterns. Names that no standard knows are notes; standard ones without a pattern here
// are refused.
#include <array>

#include "schema.h"

namespace freehold::grammar {

namespace {

struct Row {
    std::string_view name, pattern;
};

// RFC 3339: months of 30 and 31 days, and February of 29 in leap years only.
#define FREEHOLD_LEAP "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
#define FREEHOLD_DATE                                                                               \
    "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|" \
    "02-(?:0[1-9]|1\\d|2[0-8]))|" FREEHOLD_LEAP "-02-29)"
#define FREEHOLD_ZONE "(?:[zZ]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define FREEHOLD_TIME "(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?" FREEHOLD_ZONE "|23:59:60(?:\\.\\d+)?[zZ])"
#define FREEHOLD_LABEL "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)"
#define FREEHOLD_OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define FREEHOLD_V4 "(?:" FREEHOLD_OCTET "\\.){3}" FREEHOLD_OCTET
#define FREEHOLD_H "[0-9a-fA-F]{1,4}"
#define FREEHOLD_LS "(?:" FREEHOLD_H ":" FREEHOLD_H "|" FREEHOLD_V4 ")"
#define FREEHOLD_V6                                                                                         \
    "(?:(?:" FREEHOLD_H ":){6}" FREEHOLD_LS "|::(?:" FREEHOLD_H ":){5}" FREEHOLD_LS "|(?:" FREEHOLD_H       \
    ")?::(?:" FREEHOLD_H ":){4}" FREEHOLD_LS "|(?:(?:" FREEHOLD_H ":){0,1}" FREEHOLD_H ")?::(?:" FREEHOLD_H \
    ":){3}" FREEHOLD_LS "|(?:(?:" FREEHOLD_H ":){0,2}" FREEHOLD_H ")?::(?:" FREEHOLD_H ":){2}" FREEHOLD_LS  \
    "|(?:(?:" FREEHOLD_H ":){0,3}" FREEHOLD_H ")?::" FREEHOLD_H ":" FREEHOLD_LS "|(?:(?:" FREEHOLD_H        \
    ":){0,4}" FREEHOLD_H ")?::" FREEHOLD_LS "|(?:(?:" FREEHOLD_H ":){0,5}" FREEHOLD_H ")?::" FREEHOLD_H     \
    "|(?:(?:" FREEHOLD_H ":){0,6}" FREEHOLD_H ")?::)"
// RFC 3986, appendix A.
#define FREEHOLD_UNRESERVED "a-zA-Z0-9._~\\-"
#define FREEHOLD_SUB "!$&'()*+,;="
#define FREEHOLD_PCT "%[0-9a-fA-F]{2}"
#define FREEHOLD_PCHAR "(?:[" FREEHOLD_UNRESERVED FREEHOLD_SUB ":@]|" FREEHOLD_PCT ")"
#define FREEHOLD_AUTHORITY                                                                                   \
    "(?:(?:[" FREEHOLD_UNRESERVED FREEHOLD_SUB ":]|" FREEHOLD_PCT ")*@)?(?:\\[(?:" FREEHOLD_V6               \
    "|[vV][0-9a-fA-F]+\\.[" FREEHOLD_UNRESERVED FREEHOLD_SUB ":]+)\\]|(?:[" FREEHOLD_UNRESERVED FREEHOLD_SUB \
    "]|" FREEHOLD_PCT ")*)(?::\\d*)?"
#define FREEHOLD_TAIL "(?:\\?(?:" FREEHOLD_PCHAR "|[/?])*)?(?:#(?:" FREEHOLD_PCHAR "|[/?])*)?"
#define FREEHOLD_ABEMPTY "(?:/" FREEHOLD_PCHAR "*)*"
#define FREEHOLD_URI                                                                                                \
    "[a-zA-Z][a-zA-Z0-9+.-]*:(?://" FREEHOLD_AUTHORITY FREEHOLD_ABEMPTY "|/(?:" FREEHOLD_PCHAR "+" FREEHOLD_ABEMPTY \
    ")?|" FREEHOLD_PCHAR "+" FREEHOLD_ABEMPTY "|)" FREEHOLD_TAIL
#define FREEHOLD_RELATIVE                                                                   \
    "(?://" FREEHOLD_AUTHORITY FREEHOLD_ABEMPTY "|/(?:" FREEHOLD_PCHAR "+" FREEHOLD_ABEMPTY \
    ")?|(?:[" FREEHOLD_UNRESERVED FREEHOLD_SUB "@]|" FREEHOLD_PCT ")+" FREEHOLD_ABEMPTY "|)" FREEHOLD_TAIL
#define FREEHOLD_POINTER "(?:/(?:[^~/]|~[01])*)*"
#define FREEHOLD_ATOM "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"

constexpr std::array kFormats = {
    Row{"date", "^" FREEHOLD_DATE "$"},
    Row{"time", "^" FREEHOLD_TIME "$"},
    Row{"date-time", "^" FREEHOLD_DATE "[tT]" FREEHOLD_TIME "$"},
    Row{"duration",
        "^P(?:\\d+W|(?:(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)(?:T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+"
        "S)?|\\d+S))?|"
        "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)))$"},
    Row{"email", "^(?:" FREEHOLD_ATOM "(?:\\." FREEHOLD_ATOM
                 ")*|\"(?:[\\x20\\x21\\x23-\\x5B\\x5D-\\x7E]|\\\\[\\x20-\\x7E])*\")@(?:" FREEHOLD_LABEL
                 "(?:\\." FREEHOLD_LABEL ")*|\\[(?:" FREEHOLD_V4 "|IPv6:" FREEHOLD_V6 ")\\])$"},
    Row{"hostname", "^" FREEHOLD_LABEL "(?:\\." FREEHOLD_LABEL ")*$"},
    Row{"ipv4", "^" FREEHOLD_V4 "$"},
    Row{"ipv6", "^" FREEHOLD_V6 "$"},
    Row{"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    Row{"uri", "^" FREEHOLD_URI "$"},
    Row{"uri-reference", "^(?:" FREEHOLD_URI "|" FREEHOLD_RELATIVE ")$"},
    Row{"json-pointer", "^" FREEHOLD_POINTER "$"},
    Row{"relative-json-pointer", "^(?:0|[1-9]\\d*)(?:#|" FREEHOLD_POINTER ")$"},
    Row{"uri-template",
        "^(?:[\\x21\\x23\\x24\\x26\\x28-\\x3B\\x3D\\x3F-\\x5B\\x5D\\x5F\\x61-\\x7A\\x7E\\u00A0-\\u{10FFFF}]"
        "|" FREEHOLD_PCT "|\\{[+#./;?&=,!@|]?(?:[a-zA-Z0-9_]|" FREEHOLD_PCT ")(?:\\.?(?:[a-zA-Z0-9_]|" FREEHOLD_PCT
        "))*(?::[1-9]\\d{0,3}|\\*)?(?:,(?:[a-zA-Z0-9_]|" FREEHOLD_PCT ")(?:\\.?(?:[a-zA-Z0-9_]|" FREEHOLD_PCT
        "))*(?::[1-9]\\d{0,3}|\\*)?)*\\})*$"},
    // Standard, and not to be had from a regular language that is worth it.
    Row{"idn-email", ""},
    Row{"idn-hostname", ""},
    Row{"iri", ""},
    Row{"iri-reference", ""},
    Row{"regex", ""},
};

}  // namespace

KnownFormat known_format(std::string_view name) {
    for (const Row& row : kFormats) {
        if (row.name == name) return {true, row.pattern};
    }
    return {};
}

}  // namespace freehold::grammar
