/* Units of time. Time itself is a parameter (now_ns) or comes from io/. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

#endif
