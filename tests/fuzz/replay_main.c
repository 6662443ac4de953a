/*
 * Runs a fuzzer's target over files instead of inputs a fuzzer makes up: the corpus and every crasher ever
 * found become plain tests, in every build and with every compiler.
 *
 *   build/dev/fuzz_http1 tests/fuzz/corpus/http1 crash-1234    folders are read one level deep
 *
 * Exit code 0 when all inputs were run, 1 when a file could not be read or none was named. A finding ends the
 * process as it does under libFuzzer; the name of the input at fault is the last line printed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { PATH_BYTES_MAX = 4096, INPUT_BYTES_MAX = 64 * 1024 * 1024 };

static int run_file(const char *path)
{
    FILE *const file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0 || status.st_size > INPUT_BYTES_MAX) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        if (file != NULL) fclose(file);
        return 1;
    }

    /* exactly as long as the input, so that the address sanitizer sees a read past it */
    const size_t size = (size_t)status.st_size;
    uint8_t *const data = malloc(size > 0 ? size : 1);
    const int complete = data != NULL && fread(data, 1, size, file) == size;
    fclose(file);
    printf("replay: %s (%zu bytes)\n", path, size);
    fflush(stdout);
    if (complete) LLVMFuzzerTestOneInput(data, size);
    free(data);
    return complete ? 0 : 1;
}

static int run_folder(const char *path)
{
    DIR *const folder = opendir(path);
    if (folder == NULL) return run_file(path);

    int failures = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char inside[PATH_BYTES_MAX];
        if (entry->d_name[0] == '.') continue;
        const int len = snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        failures += len < 0 || (size_t)len >= sizeof inside || run_file(inside) != 0;
    }
    closedir(folder);
    return failures > 0;
}

int main(int argc, char **argv)
{
    int failures = 0;

    if (LLVMFuzzerInitialize != NULL) LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        failures += run_folder(argv[i]);
    return argc < 2 || failures > 0;
}
