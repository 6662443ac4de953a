/*
 * Memory, processor time, age and version of the process, for /metrics. Names follow the Prometheus client
 * convention.
 */
#include "process.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t process_resident_bytes(void)
{
    FILE *const file = fopen("/proc/self/statm", "r");
    uint64_t size, resident = 0;

    if (file == NULL) return 0;
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &size, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? seconds(usage.ru_utime) + seconds(usage.ru_stime) : 0;
}

/* The first call, at the start, sets the clock. */
static double uptime_seconds(void)
{
    static struct timespec start;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (start.tv_sec == 0) start = now;
    return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

size_t process_metrics(char *text, size_t capacity)
{
    const int len = snprintf(text, capacity,
                             "# HELP process_resident_memory_bytes resident memory\n"
                             "# TYPE process_resident_memory_bytes gauge\n"
                             "process_resident_memory_bytes %" PRIu64 "\n"
                             "# HELP process_cpu_seconds_total processor time used\n"
                             "# TYPE process_cpu_seconds_total counter\n"
                             "process_cpu_seconds_total %.3f\n"
                             "# HELP process_uptime_seconds seconds since the start\n"
                             "# TYPE process_uptime_seconds gauge\n"
                             "process_uptime_seconds %.3f\n"
                             "# HELP spanmill_build_info version of the program\n"
                             "# TYPE spanmill_build_info gauge\n"
                             "spanmill_build_info{version=\"%s\"} 1\n",
                             process_resident_bytes(), cpu_seconds(), uptime_seconds(), SPANMILL_VERSION);

    return len > 0 && (size_t)len < capacity ? (size_t)len : 0;
}
