# Everything foreign, from distribution packages only. tools/install names the packages.
function(dependency name module)
  pkg_check_modules(PC_${name} REQUIRED IMPORTED_TARGET ${module})
  add_library(dep_${name} INTERFACE)
  target_link_libraries(dep_${name} INTERFACE PkgConfig::PC_${name})
endfunction()

dependency(uring liburing>=2.3)
dependency(zstd libzstd>=1.5)
dependency(snappy snappy)
dependency(nghttp2 libnghttp2>=1.52)
dependency(crypto libcrypto>=3.0)
dependency(ssl libssl>=3.0)
dependency(yaml yaml-0.1)
dependency(seccomp libseccomp>=2.5)
dependency(protobuf_c libprotobuf-c)
dependency(criterion criterion)

find_library(DEFLATE_LIBRARY deflate REQUIRED)
find_library(Z_LIBRARY z REQUIRED)
add_library(dep_deflate INTERFACE)
target_link_libraries(dep_deflate INTERFACE ${DEFLATE_LIBRARY} ${Z_LIBRARY})

add_library(dep_xxhash INTERFACE) # header only: XXH_INLINE_ALL
find_path(XXHASH_INCLUDE xxhash.h REQUIRED)

add_library(dep_jemalloc INTERFACE)
if(SPANMILL_PRESET STREQUAL "release") # the sanitizers bring an allocator of their own
  find_library(JEMALLOC_LIBRARY jemalloc REQUIRED)
  target_link_libraries(dep_jemalloc INTERFACE ${JEMALLOC_LIBRARY})
endif()

# llhttp: a system library on Debian 13, C source in the node-llhttp package on Debian 12.
add_library(dep_llhttp INTERFACE)
find_library(LLHTTP_LIBRARY llhttp)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include PATH_SUFFIXES llhttp)
if(LLHTTP_LIBRARY AND LLHTTP_INCLUDE)
  target_link_libraries(dep_llhttp INTERFACE ${LLHTTP_LIBRARY})
elseif(EXISTS /usr/share/llhttp/llhttp.c AND LLHTTP_INCLUDE)
  add_library(llhttp_from_source STATIC /usr/share/llhttp/llhttp.c /usr/share/llhttp/api.c /usr/share/llhttp/http.c)
  target_include_directories(llhttp_from_source SYSTEM PUBLIC ${LLHTTP_INCLUDE})
  target_compile_options(llhttp_from_source PRIVATE -O2 -fPIE)
  target_link_libraries(dep_llhttp INTERFACE llhttp_from_source)
else()
  message(FATAL_ERROR "llhttp is missing: install libllhttp-dev, or node-llhttp on Debian 12 (tools/install does it)")
endif()
target_include_directories(dep_llhttp SYSTEM INTERFACE ${LLHTTP_INCLUDE})
