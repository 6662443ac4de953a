/*
 * Reads how the network reaches the CPUs: receive queues from /sys/class/net/<interface>/queues, the
 * interrupts of the device from device/msi_irqs, their names from /proc/interrupts and their CPUs from
 * /proc/irq/<n>/effective_affinity_list.
 *
 * Names tell which interrupt belongs to which queue, and drivers differ: "eth0-TxRx-3", "mlx5_comp3@pci:...",
 * "virtio0-input.3", "ena-eth0-Tx-Rx-3", "nvme"-like others. Common to all is a number for the queue at the
 * end of the part before '@'. Interrupts of a device whose names speak of configuration, control or output
 * only are left out; the rest, in order of that number, are the queues in order. Where that does not come out
 * even, the plan says so instead of guessing.
 */
#include "plan.h"

#include "steering.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 512, LINE_BYTES_MAX = 4096, IRQS_MAX = 2048 };

struct irq {
    int number;
    unsigned order; /* the queue that its name speaks of */
};

static bool read_line(const char *path, char *line, size_t capacity)
{
    FILE *const file = fopen(path, "r");

    if (file == NULL) return false;
    const bool read = fgets(line, (int)capacity, file) != NULL;
    fclose(file);
    if (read) line[strcspn(line, "\n")] = '\0';
    return read;
}

/* The number at the end of a text; false when there is none. */
static bool trailing_number(const char *text, size_t len, unsigned *out)
{
    size_t begin = len;

    while (begin > 0 && isdigit((unsigned char)text[begin - 1]))
        begin--;
    if (begin == len || len - begin > 6) return false;
    *out = (unsigned)strtoul(text + begin, NULL, 10);
    return true;
}

/* ---- interrupts -----------------------------------------------------------------------------------------
 */

static bool is_receive(const char *name)
{
    static const char *const others[] = {"config", "control", "async", "mgmnt",
                                         "output", "aq",      "cmd",   "pages"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strstr(name, others[i]) != NULL) return false;
    return true;
}

/* The last word of the line of /proc/interrupts that begins with the number. */
static bool irq_name(FILE *interrupts, int number, char *out, size_t capacity)
{
    static char line[64 * 1024];

    rewind(interrupts);
    while (fgets(line, sizeof line, interrupts) != NULL) {
        char *end;
        const long found = strtol(line, &end, 10);

        if (end == line || *end != ':' || found != number) continue;
        line[strcspn(line, "\n")] = '\0';
        const char *const word = strrchr(line, ' ');
        snprintf(out, capacity, "%.200s", word != NULL ? word + 1 : line);
        return true;
    }
    return false;
}

static int by_order(const void *a, const void *b)
{
    const struct irq *const left = a, *const right = b;

    return left->order != right->order ? (left->order > right->order) - (left->order < right->order)
                                       : left->number - right->number;
}

/* Names of entries of a directory that are numbers. */
static unsigned list_numbers(const char *path, int *out, unsigned capacity)
{
    DIR *const dir = opendir(path);
    unsigned count = 0;

    if (dir == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && count < capacity;) {
        char *end;
        const long number = strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0') out[count++] = (int)number;
    }
    closedir(dir);
    return count;
}

/* Receive interrupts of the interface, in order of their queues. */
static unsigned find_irqs(const char *root, const char *interface, struct irq *out)
{
    static int numbers[IRQS_MAX];
    char path[PATH_BYTES_MAX], name[LINE_BYTES_MAX];
    unsigned count = 0;

    snprintf(path, sizeof path, "%s/sys/class/net/%s/device/msi_irqs", root, interface);
    unsigned found = list_numbers(path, numbers, IRQS_MAX);
    if (found == 0) { /* a virtio device: its interrupts are its parent's */
        snprintf(path, sizeof path, "%s/sys/class/net/%s/device/../msi_irqs", root, interface);
        found = list_numbers(path, numbers, IRQS_MAX);
    }
    snprintf(path, sizeof path, "%s/proc/interrupts", root);
    FILE *const interrupts = fopen(path, "r");
    if (interrupts == NULL) return 0;
    for (unsigned i = 0; i < found && count < PLAN_QUEUES_MAX; i++) {
        unsigned order;

        if (!irq_name(interrupts, numbers[i], name, sizeof name) || !is_receive(name)) continue;
        if (!trailing_number(name, strcspn(name, "@"), &order)) continue;
        out[count++] = (struct irq){.number = numbers[i], .order = order};
    }
    fclose(interrupts);
    qsort(out, count, sizeof *out, by_order);
    return count;
}

/* The one CPU that serves the interrupt; -1 when there are several. */
static int irq_cpu(const char *root, int irq)
{
    static const char *const files[] = {"effective_affinity_list", "smp_affinity_list"};
    char path[PATH_BYTES_MAX], line[LINE_BYTES_MAX];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *end;

        snprintf(path, sizeof path, "%s/proc/irq/%d/%s", root, irq, files[i]);
        if (!read_line(path, line, sizeof line)) continue;
        const long cpu = strtol(line, &end, 10);
        if (end != line && *end == '\0') return (int)cpu;
    }
    return -1;
}

/* ---- interfaces -----------------------------------------------------------------------------------------
 */

static unsigned count_queues(const char *root, const char *interface)
{
    char path[PATH_BYTES_MAX];
    unsigned count = 0;

    snprintf(path, sizeof path, "%s/sys/class/net/%s/queues", root, interface);
    DIR *const dir = opendir(path);
    if (dir == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, "rx-", 3) == 0;
    closedir(dir);
    return count;
}

static void find_driver(const char *root, struct plan_interface *interface)
{
    char path[PATH_BYTES_MAX], target[PATH_BYTES_MAX];

    snprintf(path, sizeof path, "%s/sys/class/net/%s/device/driver", root, interface->name);
    const ssize_t len = readlink(path, target, sizeof target - 1);
    target[len > 0 ? len : 0] = '\0';
    const char *const slash = strrchr(target, '/');
    snprintf(interface->driver, sizeof interface->driver, "%.31s", slash != NULL ? slash + 1 : target);
}

static int shard_on(const struct placement *placement, unsigned shards_count, int cpu)
{
    for (unsigned i = 0; i < shards_count && i < placement->cpus_count; i++)
        if ((int)placement->cpus[i] == cpu) return (int)i;
    return -1;
}

static const char *judge(const struct plan_interface *interface, unsigned shards_count, unsigned irqs_count)
{
    bool served[PLACEMENT_CPUS_MAX] = {false};

    if (interface->queues_count == 0) return "it has no receive queues";
    if (irqs_count == 0) return "its queues have no interrupts of their own that can be seen here";
    if (irqs_count < interface->queues_count) return "there are fewer interrupts than queues";
    for (unsigned i = 0; i < interface->queues_count; i++) {
        const struct plan_queue *const queue = &interface->queues[i];
        if (queue->cpu < 0) return "an interrupt may be served by several CPUs";
        if (queue->shard < 0) return "a queue is served by a CPU without a shard";
        if (served[queue->shard]) return "two queues are served by one CPU";
        served[queue->shard] = true;
    }
    return interface->queues_count == shards_count ? NULL : "there are fewer queues than shards";
}

static void read_interface(const char *root, const struct placement *placement, unsigned shards_count,
                           struct plan_interface *interface)
{
    static struct irq irqs[PLAN_QUEUES_MAX];
    const unsigned queues = count_queues(root, interface->name);
    const unsigned irqs_count = find_irqs(root, interface->name, irqs);

    find_driver(root, interface);
    interface->queues_count = queues < PLAN_QUEUES_MAX ? queues : PLAN_QUEUES_MAX;
    for (unsigned i = 0; i < interface->queues_count; i++) {
        struct plan_queue *const queue = &interface->queues[i];

        *queue = (struct plan_queue){.queue = i, .irq = -1, .cpu = -1, .shard = -1};
        if (i >= irqs_count) continue;
        queue->irq = irqs[i].number;
        queue->cpu = irq_cpu(root, queue->irq);
        if (queue->cpu >= 0) queue->shard = shard_on(placement, shards_count, queue->cpu);
    }
    interface->why_not = judge(interface, shards_count, irqs_count);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plan_interface *)a)->name, ((const struct plan_interface *)b)->name);
}

unsigned plan_read(const char *root, const struct placement *placement, unsigned shards_count,
                   struct plan_interface *out, unsigned capacity)
{
    char path[PATH_BYTES_MAX];
    unsigned count = 0;

    snprintf(path, sizeof path, "%s/sys/class/net", root);
    DIR *const dir = opendir(path);
    if (dir == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && count < capacity;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lo") == 0) continue;
        if (count_queues(root, entry->d_name) == 0) continue; /* bonding_masters and the like */
        struct plan_interface *const interface = &out[count++];
        snprintf(interface->name, sizeof interface->name, "%.31s", entry->d_name);
        read_interface(root, placement, shards_count, interface);
    }
    closedir(dir);
    qsort(out, count, sizeof *out, by_name);
    return count;
}

/* ---- CPUs in the order of queues ----------------------------------------------------------------------- */

static unsigned queues_with_a_cpu(const struct plan_interface *interface)
{
    unsigned count = 0;

    for (unsigned i = 0; i < interface->queues_count; i++)
        count += interface->queues[i].cpu >= 0;
    return count;
}

/* Moves the CPU to place `to`, if it stands there or behind; the others keep their order. */
static bool move_to(struct placement *placement, int cpu, unsigned to)
{
    for (unsigned i = to; i < placement->cpus_count; i++) {
        if ((int)placement->cpus[i] != cpu) continue;
        memmove(&placement->cpus[to + 1], &placement->cpus[to], (i - to) * sizeof *placement->cpus);
        placement->cpus[to] = (unsigned)cpu;
        return true;
    }
    return false;
}

void plan_order_cpus(const struct plan_interface *interfaces, unsigned count, struct placement *placement)
{
    const struct plan_interface *widest = NULL;
    unsigned front = 0;

    for (unsigned i = 0; i < count; i++)
        if (queues_with_a_cpu(&interfaces[i]) > (widest != NULL ? queues_with_a_cpu(widest) : 0))
            widest = &interfaces[i];
    for (unsigned i = 0; widest != NULL && i < widest->queues_count; i++)
        front += move_to(placement, widest->queues[i].cpu, front);
}

/* ---- printing -------------------------------------------------------------------------------------------
 */

static void print_number(FILE *out, int number)
{
    if (number < 0)
        fprintf(out, " %6s", "-");
    else
        fprintf(out, " %6d", number);
}

void plan_print(FILE *out, const struct plan_interface *interfaces, unsigned count, unsigned shards_count,
                const struct steering *steering)
{
    fprintf(out, "%u shard%s\n", shards_count, shards_count == 1 ? "" : "s");
    for (unsigned i = 0; i < count; i++) {
        const struct plan_interface *const interface = &interfaces[i];

        fprintf(out, "\n%s (%s)\n  queue    irq    cpu  shard\n", interface->name,
                interface->driver[0] != '\0' ? interface->driver : "no device");
        for (unsigned q = 0; q < interface->queues_count; q++) {
            fprintf(out, " %6u", interface->queues[q].queue);
            print_number(out, interface->queues[q].irq);
            print_number(out, interface->queues[q].cpu);
            print_number(out, interface->queues[q].shard);
            fputc('\n', out);
        }
        fprintf(out, "  %s%s\n",
                interface->why_not != NULL ? "not one to one: " : "one queue, one CPU, one shard",
                interface->why_not != NULL ? interface->why_not : "");
    }
    if (count == 0) fprintf(out, "\nno network interface but loopback: not one to one\n");
    fprintf(out, "\nconnections: %s%s\n",
            steering->why_not == NULL ? "to the shard on whose CPU they arrive" : "dealt by hash: ",
            steering->why_not == NULL ? "" : steering->why_not);
}

void plan_print_json(FILE *out, const struct plan_interface *interfaces, unsigned count,
                     unsigned shards_count, const struct steering *steering)
{
    /* Names of interfaces and drivers are the kernel's: no quotes, no control bytes. */
    fprintf(out, "{\"shards\":%u,\"steered\":%s,\"notSteeredBecause\":\"%s\",\"interfaces\":[", shards_count,
            steering->why_not == NULL ? "true" : "false", steering->why_not == NULL ? "" : steering->why_not);
    for (unsigned i = 0; i < count; i++) {
        const struct plan_interface *const interface = &interfaces[i];

        fprintf(out, "%s{\"name\":\"%s\",\"driver\":\"%s\",\"oneToOne\":%s,\"reason\":\"%s\",\"queues\":[",
                i > 0 ? "," : "", interface->name, interface->driver,
                interface->why_not == NULL ? "true" : "false",
                interface->why_not != NULL ? interface->why_not : "");
        for (unsigned q = 0; q < interface->queues_count; q++)
            fprintf(out, "%s{\"queue\":%u,\"irq\":%d,\"cpu\":%d,\"shard\":%d}", q > 0 ? "," : "",
                    interface->queues[q].queue, interface->queues[q].irq, interface->queues[q].cpu,
                    interface->queues[q].shard);
        fprintf(out, "]}");
    }
    fprintf(out, "]}\n");
}
