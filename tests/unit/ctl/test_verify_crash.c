/* Whatever a power cut leaves behind is no damage: at every event of a life, several disks as they may be found then. */
#include "data_directory.h"

#include "base/clock.h"
#include "store/compaction.h"

enum { IMAGES = 4 };

struct crashes {
    uint64_t seed;
    unsigned images, with_notes, without_directory;
};

static void verify_image(struct crashes *crashes, struct sim *crashed)
{
    struct data data = {.world = world_sim(crashed)};
    struct told told;

    const enum err err = data_verify(&data, false, &told);
    cr_assert(err == OK || err == ERR_NOT_FOUND, "seed %lu: %s", crashes->seed, err_text(err));
    cr_assert_eq(told.damaged, 0, "seed %lu: %s offset %lu: %s", crashes->seed, told.first.file,
                 told.first.offset, told.first.what);
    crashes->images++;
    crashes->with_notes += told.notes > 0;
    crashes->without_directory += err == ERR_NOT_FOUND;
    data_close(&data);
}

static void on_event(void *context, struct sim *sim)
{
    struct crashes *const crashes = context;

    for (unsigned i = 0; i < IMAGES; i++)
        verify_image(crashes, sim_crash_random(sim, ++crashes->seed));
}

/* The open segment is closed, its last block moved, and the filters are built and written later. */
static void restart(struct data *data)
{
    cr_assert_eq(world_open_catalog(&data->world), OK);
    while (catalog_build_filters(data->world.catalog, data->world.io))
        ;
    world_close_catalog(&data->world);
}

static void merge_all(struct data *data)
{
    const struct compaction_config config = {.reserve_free = 1};
    struct compactor *compactor;

    cr_assert_eq(world_open_catalog(&data->world), OK);
    cr_assert_eq(compactor_open(data->world.catalog, &config, &compactor), OK);
    while (compactor_step(compactor, data->world.io, fixture_arrival_ns + 2 * 3600 * NS_PER_S))
        ;
    compactor_close(compactor, data->world.io);
    world_close_catalog(&data->world);
}

Test(verify_crash, V4_no_power_cut_is_damage)
{
    struct crashes crashes = {.seed = 0};
    struct data data = data_open(41);

    sim_watch(data.world.sim, on_event, &crashes);
    data_journal(&data);
    data_segment(&data, 0, 0, 2, true);
    data_segment(&data, 0, 2, DATA_BLOCKS, false);
    restart(&data);
    merge_all(&data);
    sim_watch(data.world.sim, NULL, NULL);
    cr_assert_gt(crashes.images, 150);
    cr_assert_gt(crashes.with_notes, 5);
    data_close(&data);
}
