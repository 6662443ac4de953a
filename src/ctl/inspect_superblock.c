/* Both copies of the superblock. */
#include "inspect.h"

enum err inspect_superblock(struct out *out, struct io *io, struct io_file *file, bool *sound)
{
    struct superblock_look look;

    TRY(superblock_look(io, file, &look));
    *sound = look.sound[0] && look.sound[1] && !look.differ;
    out_group(out, "superblock");
    out_flag(out, "copy_0_sound", look.sound[0]);
    out_flag(out, "copy_1_sound", look.sound[1]);
    if (look.sound[0] || look.sound[1]) {
        out_number(out, "major", look.major);
        out_number(out, "minor", look.minor);
        out_hex(out, "uuid", slice_of(look.uuid, sizeof look.uuid));
        out_number(out, "instance", look.instance);
        out_time(out, "created", look.created_ns);
    }
    if (look.differ) out_text(out, "damage", "the copies differ");
    out_number(out, "file_bytes", look.file_bytes);
    out_group_end(out);
    return OK;
}
