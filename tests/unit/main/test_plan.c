/* The plan, read from copies of /sys and /proc. */
#include "option.h"
#include "plan.h"
#include "steering.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static struct plan_interface interfaces[PLAN_INTERFACES_MAX];
static const struct placement four_cpus = {.cpus = {0, 1, 2, 3}, .cpus_count = 4};

static void make_root(void)
{
    snprintf(root, sizeof root, "/tmp/spanmill-plan-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the directories of a path below root, and the file when text is given. */
static void put(const char *path, const char *text)
{
    char full[512];

    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(full, 0700);
        *at = '/';
    }
    if (text == NULL) {
        mkdir(full, 0700);
        return;
    }
    FILE *const file = fopen(full, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void put_interface(const char *name, unsigned queues, int first_irq)
{
    char path[128];

    for (unsigned i = 0; i < queues; i++) {
        snprintf(path, sizeof path, "sys/class/net/%s/queues/rx-%u", name, i);
        put(path, NULL);
        if (first_irq < 0) continue;
        snprintf(path, sizeof path, "sys/class/net/%s/device/msi_irqs/%u", name, (unsigned)first_irq + i);
        put(path, "msix\n");
    }
}

static void put_affinity(int irq, const char *list)
{
    char path[128];

    snprintf(path, sizeof path, "proc/irq/%d/effective_affinity_list", irq);
    put(path, list);
}

TestSuite(plan, .init = make_root, .fini = remove_root);

Test(plan, finds_queues_interrupts_cpus_and_shards)
{
    put_interface("eth0", 2, 40);
    put("sys/class/net/eth0/device/msi_irqs/39", "msix\n");
    put("sys/class/net/lo/queues/rx-0", NULL);
    put("proc/interrupts", "           CPU0       CPU1\n"
                           "  39:         10          0   PCI-MSI 65535-edge      eth0-config\n"
                           "  40:          0         10   PCI-MSI 65536-edge      eth0-TxRx-0\n"
                           "  41:         10          0   PCI-MSI 65537-edge      eth0-TxRx-1\n");
    put_affinity(40, "1\n");
    put_affinity(41, "0\n");
    cr_assert_eq(plan_read(root, &four_cpus, 2, interfaces, PLAN_INTERFACES_MAX), 1);
    cr_expect_str_eq(interfaces[0].name, "eth0");
    cr_assert_eq(interfaces[0].queues_count, 2);
    cr_expect_eq(interfaces[0].queues[0].irq, 40);
    cr_expect_eq(interfaces[0].queues[0].cpu, 1);
    cr_expect_eq(interfaces[0].queues[0].shard, 1);
    cr_expect_eq(interfaces[0].queues[1].cpu, 0);
    cr_expect(interfaces[0].why_not == NULL);
}

Test(plan, orders_interrupts_by_the_queue_in_their_name)
{
    put_interface("eth0", 2, 40);
    put("proc/interrupts", " 40: 0 PCI-MSI 1-edge mlx5_comp1@pci:0000:00:05.0\n"
                           " 41: 0 PCI-MSI 2-edge mlx5_comp0@pci:0000:00:05.0\n");
    put_affinity(40, "1\n");
    put_affinity(41, "0\n");
    cr_assert_eq(plan_read(root, &four_cpus, 2, interfaces, PLAN_INTERFACES_MAX), 1);
    cr_expect_eq(interfaces[0].queues[0].irq, 41);
    cr_expect_eq(interfaces[0].queues[1].irq, 40);
}

static const char *why_not(const char *affinity_0, const char *affinity_1, unsigned shards)
{
    put_interface("eth0", 2, 40);
    put("proc/interrupts", " 40: 0 PCI-MSI 1-edge eth0-rx-0\n 41: 0 PCI-MSI 2-edge eth0-rx-1\n");
    put_affinity(40, affinity_0);
    put_affinity(41, affinity_1);
    cr_assert_eq(plan_read(root, &four_cpus, shards, interfaces, PLAN_INTERFACES_MAX), 1);
    return interfaces[0].why_not != NULL ? interfaces[0].why_not : "";
}

Test(plan, says_where_it_is_not_one_to_one)
{
    cr_expect_str_eq(why_not("0\n", "1\n", 2), "");
    cr_expect_str_eq(why_not("0\n", "1\n", 3), "there are fewer queues than shards");
    cr_expect_str_eq(why_not("0-3\n", "1\n", 2), "an interrupt may be served by several CPUs");
    cr_expect_str_eq(why_not("0\n", "0\n", 2), "two queues are served by one CPU");
    cr_expect_str_eq(why_not("0\n", "3\n", 2), "a queue is served by a CPU without a shard");
}

Test(plan, orders_cpus_by_the_queues_they_serve)
{
    struct placement placement = {.cpus = {0, 1, 2, 3}, .cpus_count = 4};

    cr_expect_str_eq(why_not("3\n", "1\n", 2), "a queue is served by a CPU without a shard");
    plan_order_cpus(interfaces, 1, &placement);
    cr_expect_arr_eq(placement.cpus, ((unsigned[]){3, 1, 0, 2}), 4 * sizeof(unsigned));
    cr_assert_eq(plan_read(root, &placement, 2, interfaces, PLAN_INTERFACES_MAX), 1);
    cr_expect_null(interfaces[0].why_not);
    cr_expect_str_eq(why_not("7\n", "1\n", 2), "a queue is served by a CPU without a shard");
    placement = four_cpus;
    plan_order_cpus(interfaces, 1, &placement);
    cr_expect_arr_eq(placement.cpus, ((unsigned[]){1, 0, 2, 3}), 4 * sizeof(unsigned));
}

Test(plan, an_interface_without_interrupts_is_said_to_have_none)
{
    put_interface("eth0", 1, -1);
    put("proc/interrupts", " 1: 0 something\n");
    cr_assert_eq(plan_read(root, &four_cpus, 1, interfaces, PLAN_INTERFACES_MAX), 1);
    cr_expect_eq(interfaces[0].queues[0].irq, -1);
    cr_expect_str_eq(interfaces[0].why_not,
                     "its queues have no interrupts of their own that can be seen here");
}

Test(plan, nothing_there_is_no_interface)
{
    cr_expect_eq(plan_read(root, &four_cpus, 1, interfaces, PLAN_INTERFACES_MAX), 0);
}

Test(placement, shards_suit_the_cpus)
{
    cr_expect_eq(placement_shards(1), 1);
    cr_expect_eq(placement_shards(2), 1);
    cr_expect_eq(placement_shards(4), 3);
    cr_expect_eq(placement_shards(8), 6);
    cr_expect_eq(placement_shards(64), 48);
    cr_expect_eq(placement_sealers(1), 1);
    cr_expect_eq(placement_sealers(6), 2);
}

/* ---- nodes and steering ------------------------------------------------------------------------------ */

Test(plan, counts_memory_nodes)
{
    static const struct {
        const char *text;
        unsigned nodes;
    } cases[] = {{"0\n", 1}, {"0-1\n", 2}, {"0,2-3\n", 3}, {"\n", 1}, {"nonsense\n", 1}, {"3-1\n", 1}};

    cr_expect_eq(placement_nodes(root), 1, "no such file");
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("sys/devices/system/node/has_memory", cases[i].text);
        cr_expect_eq(placement_nodes(root), cases[i].nodes, "%s", cases[i].text);
    }
}

static struct options options;

static void set(enum option_id id, const char *text)
{
    char error[OPTION_ERROR_MAX];

    cr_assert_eq(options_set(&options, id, text, error), OK, "%s", error);
}

static const char *why_not_steered(const struct placement *placement, unsigned shards, bool one_to_one)
{
    static const struct plan_interface even = {.why_not = NULL}, odd = {.why_not = "for a reason"};
    const struct plan_interface two[] = {odd, one_to_one ? even : odd};
    const struct steering steering = steering_decide(&options, placement, shards, two, 2);

    return steering.why_not != NULL ? steering.why_not : "";
}

Test(plan, steers_only_where_it_is_right_and_works)
{
    static const char tried[] = "it was tried and does not work here";
    static const struct placement nowhere = {.cpus = {1000000, 1000001}, .cpus_count = 2};

    options_init(&options);
    cr_expect_str_eq(why_not_steered(&nowhere, 1, true), "there is one shard");
    cr_expect_str_eq(why_not_steered(&nowhere, 3, true), "there are more shards than CPUs");
    cr_expect_str_eq(why_not_steered(&nowhere, 2, true), "connections come from this host only");
    set(OPTION_OTLP_GRPC, "0.0.0.0:4317");
    cr_expect_str_eq(why_not_steered(&nowhere, 2, true), tried, "over gRPC from anywhere");
    set(OPTION_OTLP_GRPC, "127.0.0.1:4317");
    set(OPTION_OTLP_HTTP, "0.0.0.0:4318");
    cr_expect_str_eq(why_not_steered(&nowhere, 2, false), "no interface has one queue, one CPU, one shard");
    cr_expect_str_eq(why_not_steered(&nowhere, 2, true), tried);
    set(OPTION_STEER, "true");
    set(OPTION_OTLP_HTTP, "127.0.0.1:4318");
    cr_expect_str_eq(why_not_steered(&nowhere, 2, false), tried, "told so");
    set(OPTION_PIN, "false");
    cr_expect_str_eq(why_not_steered(&nowhere, 2, true), "shards are not pinned");
    set(OPTION_STEER, "false");
    cr_expect_str_eq(why_not_steered(&nowhere, 2, true), "placement.steer is false");
}
