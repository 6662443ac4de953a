/*
 * Assertions state what must hold if our own code is right. They stay on in release: a broken invariant stops
 * the process before it can write a wrong byte. Never assert what foreign bytes can decide.
 *
 *   assert(x)      cheap, always on
 *   verify(x)      costs something; on in the dev and fuzz builds (SPANMILL_VERIFY)
 *   unreachable(s) a branch that must not be taken
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <assert.h> /* for static_assert */

_Noreturn void assert_failed(const char *condition, const char *file, int line);

#ifdef NDEBUG
#error "assertions stay on: build without NDEBUG"
#endif
#undef assert
#define assert(condition)                                                                                    \
    (__builtin_expect(!(condition), 0) ? assert_failed(#condition, __FILE__, __LINE__) : (void)0)
#ifdef SPANMILL_VERIFY
#define verify(condition) assert(condition)
#else
#define verify(condition) ((void)(0 && (condition))) /* compiled, so that it cannot rot, but not run */
#endif
#define unreachable(why) assert_failed("unreachable: " why, __FILE__, __LINE__)

#endif
