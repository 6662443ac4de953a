/* Secrets: who may hold them, and that a change is all or nothing. */
#include "io/small_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], path[128];

static void begin(const char *content, mode_t mode)
{
    snprintf(directory, sizeof directory, "/tmp/spanmill-small-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/secret", directory);
    if (content == NULL) return;
    FILE *const file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(content, file);
    fclose(file);
    cr_assert_eq(chmod(path, mode), 0);
}

static void end(void)
{
    char new_path[160];

    snprintf(new_path, sizeof new_path, "%s.new", path);
    unlink(new_path);
    unlink(path);
    rmdir(directory);
}

static enum err read_it(enum small_file_kind kind, size_t max, char out[64])
{
    char *text;
    size_t len;

    const enum err err = small_file_read(path, kind, max, &text, &len);
    if (err != OK) return err;
    snprintf(out, 64, "%s", text);
    cr_assert_eq(strlen(text), len);
    small_file_forget(text, len);
    return OK;
}

Test(small_file, a_secret_is_for_its_owner_alone)
{
    static const mode_t wide[] = {0640, 0604, 0620, 0602, 0610, 0666, 0700 | 07},
                        narrow[] = {0600, 0400, 0700};
    char text[64];

    begin("hush", 0600);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        cr_assert_eq(chmod(path, wide[i]), 0);
        cr_assert_eq(read_it(SMALL_FILE_SECRET, 100, text), ERR_BUSY, "%o", (unsigned)wide[i]);
        if (wide[i] & 0400) cr_assert_eq(read_it(SMALL_FILE_PUBLIC, 100, text), OK);
    }
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) {
        cr_assert_eq(chmod(path, narrow[i]), 0);
        cr_assert_eq(read_it(SMALL_FILE_SECRET, 100, text), OK, "%o", (unsigned)narrow[i]);
        cr_assert_str_eq(text, "hush");
    }
    end();
}

Test(small_file, a_secret_may_be_mounted_for_a_group)
{
    char text[64];

    if (geteuid() != 0) cr_skip_test("needs root, to be somebody else");
    begin("hush", 0440);
    cr_assert_eq(chown(path, 0, 65534), 0);
    cr_assert_eq(chmod(directory, 0755), 0);
    cr_assert_eq(setegid(65534), 0);
    cr_assert_eq(seteuid(65534), 0);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 100, text), OK, "root's, with mode 0440");
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(chmod(path, 0444), 0);
    cr_assert_eq(seteuid(65534), 0);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 100, text), ERR_BUSY);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(chown(path, 1, 65534), 0);
    cr_assert_eq(chmod(path, 0440), 0);
    cr_assert_eq(seteuid(65534), 0);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 100, text), ERR_BUSY, "a third user's");
    cr_assert_eq(seteuid(0), 0);
    end();
}

Test(small_file, refuses_what_is_no_small_file)
{
    char text[64];

    begin("0123456789", 0600);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 10, text), OK);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 9, text), ERR_TOO_LARGE);
    unlink(path);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 9, text), ERR_NOT_FOUND);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 9, text), ERR_UNSUPPORTED, "and does not wait for a writer");
    end();
}

Test(small_file, a_change_shows_when_it_is_complete)
{
    struct small_file_change change, other;
    char text[64];

    begin("old", 0600);
    cr_assert_eq(small_file_begin(path, &change), OK);
    cr_assert_eq(small_file_begin(path, &other), ERR_EXISTS, "one at a time");
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 10, text), OK);
    cr_assert_str_eq(text, "old");
    cr_assert_eq(small_file_commit(&change, "new one", 7), OK);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 10, text), OK);
    cr_assert_str_eq(text, "new one");

    cr_assert_eq(small_file_begin(path, &change), OK);
    small_file_abandon(&change);
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 10, text), OK);
    cr_assert_str_eq(text, "new one");
    cr_assert_neq(access(change.new_path, F_OK), 0);
    end();
}

Test(small_file, a_new_file_is_0600_and_a_link_stays_one)
{
    struct small_file_change change;
    struct stat status;
    char link_path[160], text[64];

    begin(NULL, 0);
    umask(0);
    cr_assert_eq(small_file_begin(path, &change), OK);
    cr_assert_eq(small_file_commit(&change, "a", 1), OK);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);

    snprintf(link_path, sizeof link_path, "%s/link", directory);
    cr_assert_eq(symlink(path, link_path), 0);
    cr_assert_eq(small_file_begin(link_path, &change), OK);
    cr_assert_eq(small_file_commit(&change, "b", 1), OK);
    cr_assert_eq(lstat(link_path, &status), 0);
    cr_assert(S_ISLNK(status.st_mode));
    cr_assert_eq(read_it(SMALL_FILE_SECRET, 10, text), OK);
    cr_assert_str_eq(text, "b");
    unlink(link_path);
    end();
}
