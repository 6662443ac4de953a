# Compiler and linker flags of every room, as one interface library.
add_library(spanmill_flags INTERFACE)
target_compile_options(spanmill_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 -Wvla -Wundef
  -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -fno-strict-aliasing
  -fno-strict-overflow -fno-delete-null-pointer-checks -g -fno-omit-frame-pointer)
target_compile_options(spanmill_flags INTERFACE -UNDEBUG) # CMake's Release sets it; some system headers include <assert.h> again
target_compile_definitions(spanmill_flags INTERFACE _GNU_SOURCE SPANMILL_VERSION="${PROJECT_VERSION}")
target_compile_options(spanmill_flags INTERFACE "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")

function(flag_if_known flag)
  string(MAKE_C_IDENTIFIER "has${flag}" known)
  check_c_compiler_flag(${flag} ${known})
  if(${known})
    target_compile_options(spanmill_flags INTERFACE ${flag})
  endif()
endfunction()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # SSE4.2 carries the CRC32C instruction; every x86-64 server since 2009 has it.
  target_compile_options(spanmill_flags INTERFACE -msse4.2 -mpclmul)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  target_compile_options(spanmill_flags INTERFACE -march=armv8-a+crc)
endif()

if(SPANMILL_PRESET STREQUAL "release")
  target_compile_options(spanmill_flags INTERFACE -O2 -fPIE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
                                                  -fstack-protector-strong)
  flag_if_known(-fstack-clash-protection)
  flag_if_known(-fcf-protection=full)
  flag_if_known(-mbranch-protection=standard)
  flag_if_known(-ftrivial-auto-var-init=zero)
  flag_if_known(-fzero-call-used-regs=used-gpr)
  target_link_options(spanmill_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
elseif(SPANMILL_PRESET STREQUAL "dev")
  target_compile_options(spanmill_flags INTERFACE -O1 -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(spanmill_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(spanmill_flags INTERFACE SPANMILL_VERIFY=1)
elseif(SPANMILL_PRESET STREQUAL "thread")
  target_compile_options(spanmill_flags INTERFACE -O1 -g1 -fsanitize=thread) # -g1: places for reports
  flag_if_known(-Wno-maybe-uninitialized) # the sanitizer's calls hide from gcc what is set
  target_link_options(spanmill_flags INTERFACE -fsanitize=thread)
elseif(SPANMILL_PRESET STREQUAL "fuzz")
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "the fuzz preset needs clang: cmake -DCMAKE_C_COMPILER=clang")
  endif()
  target_compile_options(spanmill_flags INTERFACE -O1 -g1 -fsanitize=fuzzer-no-link,address,undefined
                                                  -fno-sanitize-recover=all)
  target_link_options(spanmill_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(spanmill_flags INTERFACE SPANMILL_VERIFY=1)
else()
  message(FATAL_ERROR "unknown SPANMILL_PRESET '${SPANMILL_PRESET}'")
endif()
