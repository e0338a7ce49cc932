# Makes the files of the page, when the program is built: npm ci and esbuild, or, without them, one page that says how.
# cmake -D SOURCE=web -D WORK=folder -D OUT=file.cpp -D MODE=auto|on|off [-D NODE= -D NPM=] -P bundle.cmake
set(packages ${WORK}/packages)
set(dist ${WORK}/dist)
set(why "")

if(MODE STREQUAL "off")
  set(why "It was built with FREEHOLD_WEB=off.")
elseif(NOT NODE OR NOT NPM)
  set(why "Node.js and npm were not there when it was built.")
else()
  file(MAKE_DIRECTORY ${packages})
  # The packages are fetched again only when their list changes.
  file(SHA256 ${SOURCE}/package-lock.json wanted)
  set(have "")
  if(EXISTS ${packages}/installed)
    file(READ ${packages}/installed have)
  endif()
  if(NOT wanted STREQUAL have)
    foreach(name package.json package-lock.json .npmrc)
      file(COPY ${SOURCE}/${name} DESTINATION ${packages})
    endforeach()
    execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error
                    WORKING_DIRECTORY ${packages} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(status EQUAL 0)
      file(WRITE ${packages}/installed ${wanted})
    else()
      set(why "npm ci failed when it was built.")
      message(STATUS "npm ci: ${said}")
    endif()
  endif()
  if(why STREQUAL "")
    execute_process(COMMAND ${NODE} ${SOURCE}/build.mjs --packages ${packages} --out ${dist}
                    RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(NOT status EQUAL 0)
      # A fault in our own sources is never passed over.
      message(FATAL_ERROR "The page could not be bundled:\n${said}")
    endif()
  endif()
endif()

if(NOT why STREQUAL "")
  if(MODE STREQUAL "on")
    message(FATAL_ERROR "${why} FREEHOLD_WEB=on asks for the page; FREEHOLD_WEB=auto goes on without it.")
  endif()
  message(STATUS "The program gets no page: ${why}")
  file(REMOVE_RECURSE ${dist})
  file(WRITE ${dist}/index.html "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Freehold</title></head>
<body>
<h1>Freehold runs, without its page</h1>
<p>${why} To have the page, install Node.js 18 or newer and npm (Debian: apt-get install nodejs npm) and build again with cmake --build build/release.</p>
<p>Everything else is here: the API at /v1, and the program, freehold --help.</p>
</body>
</html>
")
endif()

# Compresses each file and writes a C++ file that takes their bytes in by the assembler, which no compiler has to read.
set(paths "")
file(GLOB_RECURSE files RELATIVE ${dist} ${dist}/*)
foreach(file IN LISTS files)
  if(file STREQUAL "index.html")
    list(APPEND paths "/")
  else()
    list(APPEND paths "/${file}")
  endif()
endforeach()
list(SORT paths)

set(types_html "text/html; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_svg "image/svg+xml")
set(types_txt "text/plain; charset=utf-8")

file(REMOVE_RECURSE ${WORK}/gzip)
file(MAKE_DIRECTORY ${WORK}/gzip)
set(bytes "")
set(rows "")
set(number 0)
foreach(path IN LISTS paths)
  set(file ${path})
  if(path STREQUAL "/")
    set(file "/index.html")
  endif()
  string(REGEX MATCH "[^.]+$" kind ${file})
  if(NOT DEFINED types_${kind})
    message(FATAL_ERROR "web/bundle.cmake knows no content type for ${file}; add one beside the others.")
  endif()
  set(packed ${WORK}/gzip/${number}.gz)
  file(ARCHIVE_CREATE OUTPUT ${packed} PATHS ${dist}${file} FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
  file(SHA256 ${dist}${file} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  set(immutable false)
  if(path MATCHES "^/assets/")
    set(immutable true)
  endif()
  string(APPEND bytes "FREEHOLD_TAKE(freehold_web_${number}, \"${packed}\")\n")
  string(APPEND rows "    {\"${path}\", \"${types_${kind}}\", \"\\\"${hash}\\\"\", FREEHOLD_SPAN(freehold_web_${number}), ${immutable}},\n")
  math(EXPR number "${number} + 1")
endforeach()

set(has_page true)
if(NOT why STREQUAL "")
  set(has_page false)
endif()
file(WRITE ${OUT}.new "// Made by web/bundle.cmake when the program was built: the files of the page, taken in by the assembler.
// clang-format off
#include \"freehold/web/assets.h\"

#define FREEHOLD_TAKE(name, file)                                                                          \\
  asm(\".pushsection .rodata\\n.balign 16\\n.globl \" #name \"\\n.hidden \" #name \"\\n\" #name \":\\n.incbin \\\"\" file \"\\\"\\n\" \\
      \".globl \" #name \"_end\\n.hidden \" #name \"_end\\n\" #name \"_end:\\n.byte 0\\n.popsection\\n\");                   \\
  extern \"C\" __attribute__((visibility(\"hidden\"))) const std::uint8_t name[];                              \\
  extern \"C\" __attribute__((visibility(\"hidden\"))) const std::uint8_t name##_end[];
#define FREEHOLD_SPAN(name) std::span<const std::uint8_t>(name, name##_end)

${bytes}
namespace freehold::web {

std::span<const Asset> web_assets() noexcept {
  static const Asset assets[] = {
${rows}  };
  return assets;
}

bool has_page() noexcept { return ${has_page}; }

}  // namespace freehold::web
")
file(RENAME ${OUT}.new ${OUT})
