/*
 * Rates are over the time from the first request to the last acknowledgement, so waiting for a lost answer at
 * the end does not lower them. Latencies are in microseconds, from the intended send time.
 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static bool progress_shown;

static double seconds(const struct totals *totals)
{
    const uint64_t span_ns = totals->ended_ns - totals->started_ns;

    return span_ns == 0 ? 1e-9 : (double)span_ns / (double)NS_PER_S;
}

static double micros(const struct histogram *histogram, double share)
{
    return (double)histogram_percentile_ns(histogram, share) / (double)NS_PER_US;
}

void report_progress(const struct totals *totals, uint64_t now_ns)
{
    if (!isatty(STDERR_FILENO)) return;

    const double elapsed = (double)(now_ns - totals->started_ns) / (double)NS_PER_S;
    (void)fprintf(stderr,
                  "\r%6.1f s  %10" PRIu64 " spans acknowledged  %9.0f /s  p99 %8.0f us  refused %" PRIu64
                  " unknown %" PRIu64 " errors %" PRIu64 "   ",
                  elapsed, totals->spans_acked, (double)totals->spans_acked / (elapsed > 0 ? elapsed : 1),
                  micros(&totals->latency, 0.99), totals->refused, totals->unknown, totals->errors);
    progress_shown = true;
}

void report_progress_end(void)
{
    if (progress_shown) (void)fputc('\n', stderr);
    progress_shown = false;
}

static void json_text(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') (void)putchar('\\');
        (void)putchar(*text);
    }
    (void)putchar('"');
}

void report_json(const struct totals *totals, double cpu_seconds, const char *trace)
{
    const struct histogram *const latency = &totals->latency;

    (void)printf("{\"requests\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"bytes\":%" PRIu64
                 ",\"bytes_wire\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"spans_acked\":%" PRIu64
                 ",\"partial\":%" PRIu64 ",\"spans_rejected\":%" PRIu64 ",\"refused\":%" PRIu64
                 ",\"unknown\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"retries\":%" PRIu64
                 ",\"reconnects\":%" PRIu64,
                 totals->requests, totals->spans, totals->bytes_plain, totals->bytes_wire, totals->acked,
                 totals->spans_acked, totals->partial, totals->spans_rejected, totals->refused,
                 totals->unknown, totals->errors, totals->retries, totals->reconnects);
    (void)printf(",\"duration\":%.6f,\"spans_per_second\":%.1f,\"cpu_seconds\":%.6f", seconds(totals),
                 (double)totals->spans_acked / seconds(totals), cpu_seconds);
    (void)printf(",\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}",
                 micros(latency, 0.5), micros(latency, 0.9), micros(latency, 0.99), micros(latency, 0.999),
                 (double)latency->max_ns / (double)NS_PER_US);
    (void)printf(",\"send_lag_us\":{\"p99\":%.1f,\"max\":%.1f}", micros(&totals->lag, 0.99),
                 (double)totals->lag.max_ns / (double)NS_PER_US);
    if (totals->first_error_status != 0) {
        (void)printf(",\"first_error\":{\"status\":%d,\"text\":", totals->first_error_status);
        json_text(totals->first_error);
        (void)putchar('}');
    }
    if (trace != NULL) (void)printf(",\"print_trace\":\"%s\"", trace);
    (void)printf("}\n");
}

void report_table(const struct totals *totals, double cpu_seconds)
{
    const struct histogram *const latency = &totals->latency;
    const double per_span = totals->spans == 0 ? 0 : cpu_seconds * 1e9 / (double)totals->spans;

    (void)printf("sent          %12" PRIu64 " spans in %" PRIu64 " requests, %.1f MB (%.1f MB on the wire)\n",
                 totals->spans, totals->requests, (double)totals->bytes_plain / 1e6,
                 (double)totals->bytes_wire / 1e6);
    (void)printf("acknowledged  %12" PRIu64 " spans in %" PRIu64 " requests, %.0f spans/s over %.2f s\n",
                 totals->spans_acked, totals->acked, (double)totals->spans_acked / seconds(totals),
                 seconds(totals));
    (void)printf("not           %12" PRIu64 " refused, %" PRIu64 " unknown, %" PRIu64 " errors; %" PRIu64
                 " spans rejected in %" PRIu64 " requests\n",
                 totals->refused, totals->unknown, totals->errors, totals->spans_rejected, totals->partial);
    if (totals->first_error_status != 0)
        (void)printf("first error   %12d %s\n", totals->first_error_status, totals->first_error);
    (void)printf("latency us    p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f   (requests sent late by "
                 "p99 %.0f)\n",
                 micros(latency, 0.5), micros(latency, 0.9), micros(latency, 0.99), micros(latency, 0.999),
                 (double)latency->max_ns / (double)NS_PER_US, micros(&totals->lag, 0.99));
    (void)printf("generator     %12.2f s of CPU, %.0f ns a span; %" PRIu64 " retries, %" PRIu64
                 " reconnects\n",
                 cpu_seconds, per_span, totals->retries, totals->reconnects);
}
